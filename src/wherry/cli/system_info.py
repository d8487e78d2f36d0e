"""``wherry info``."""

from __future__ import annotations

from wherry.cli.flags import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.call import Call

INFO = (
    Flag("debug", "D", "bool", hidden=True),
    Flag("format", "f", metavar="format", help="Show as json or through a Go template"),
)


def info(call: Call) -> int:
    """Show host, store, registries, plugins and version: as YAML, JSON or through a template."""
    tree = call.runtime.info()
    text = call.flags.text("format")
    if not text:
        from wherry.cli.yamltext import dump

        call.out(dump(tree) + "\n")
        return 0
    from wherry.cli.formatting import is_json, render_one

    if is_json(text):
        from wherry.model import jsontext

        call.out(jsontext.dumps_pretty(tree) + "\n")
        return 0
    from wherry.cli.inspect_shapes import INFO as SHAPE
    from wherry.cli.shapes import parse, wrap

    call.out(render_one("info", text, wrap(parse(SHAPE), tree)))
    return 0
