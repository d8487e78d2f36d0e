"""``wherry version``."""

from __future__ import annotations

from wherry.cli.flags import Flag
from wherry.engine.version import version as engine_version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.cli.call import Call

VERSION = (Flag("format", "f", metavar="format", help="Show as json or through a Go template"),)

#: Go field -> JSON key of the blocks of ``version``, in the order of Podman's struct.
_FIELDS = ("APIVersion", "Version", "GoVersion", "GitCommit", "BuiltTime", "Built", "OsArch", "Os")


def version(call: Call) -> int:
    """Print the version as text, JSON or through a template."""
    tree = engine_version()
    text = call.flags.text("format")
    if not call.flags.given("format"):
        call.out(_plain(tree["Client"]))
        return 0
    from wherry.cli.formatting import is_json, render_one

    if is_json(text):
        from wherry.model import jsontext

        call.out(jsontext.dumps(tree) + "\n")
        return 0
    from wherry.cli.gotemplate.errors import TemplateError

    whole = _report(tree)
    try:
        call.out(render_one("version", text, whole))
    except TemplateError:
        # Templates written for clients before there was a server part name the fields of the client block.
        call.out(render_one("version", text, whole.fields["Client"]))
    return 0


def _plain(client: dict[str, Any]) -> str:
    rows = [
        ("Client:", "wherry"),
        ("Version:", client["Version"]),
        ("API Version:", client["APIVersion"]),
        ("Python Version:", client["GoVersion"].removeprefix("python")),
        ("OS/Arch:", client["OsArch"]),
    ]
    return "".join(f"{title:<16}{value}\n" for title, value in rows)


def _report(tree: dict[str, Any]) -> Any:
    from wherry.cli.gotemplate.values import Nil, Struct

    client = tree["Client"]
    block = Struct("define.Version", {name: client.get(name, "") for name in _FIELDS}, pointer=True)
    fields = {"Client": block, "Server": Nil("define.Version", _FIELDS)}
    return Struct("entities.SystemVersionReport", fields, json=tree)
