"""``wherry volume ls`` and ``volume inspect``."""

from __future__ import annotations

from wherry.cli.flags import Flag, UsageError
from wherry.cli.listings import show_inspect, show_list
from wherry.cli.targets import filters, finish
from wherry.errors import NoSuchVolume, NotFound, WherryError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.cli.call import Call

LS = (
    Flag("filter", "f", many=True, metavar="filter", help="Show volumes that match this condition (key=value)"),
    Flag("format", metavar="format", help="Show as json or through a Go template"),
    Flag("noheading", "n", "bool", "Leave out the heading"),
    Flag("quiet", "q", "bool", "Show names only"),
)
INSPECT = (
    Flag("all", "a", "bool", "Show all volumes"),
    Flag("format", "f", default="json", metavar="format", help="Show as json or through a Go template"),
)
#: One volume, as Podman's templates see it.
SHAPE = """*define.InspectVolumeData{Name:str, Driver:str, Mountpoint:str, CreatedAt:time, Status:map[any],
    Labels:map[str], Scope:str, Options:map[str], UID:int, GID:int, Anonymous:bool, MountCount:int, NeedsCopyUp:bool,
    NeedsChown:bool, Timeout:int, StorageID:str, LockNumber:int}"""
HEADINGS = {"Name": "VOLUME NAME", "CreatedAt": "CREATED", "MountCount": "MOUNT COUNT"}


def ls(call: Call) -> int:
    """List volumes."""
    from wherry.cli.formatting import is_json
    from wherry.cli.tables import table

    flags = call.flags
    if flags.on("quiet") and flags.given("format"):
        raise UsageError("quiet and format flags cannot be used together", see=False)
    found = call.runtime.volumes.list(filters(call))
    text = flags.text("format")
    if flags.on("quiet"):
        call.out("".join(volume.name + "\n" for volume in found))
    elif is_json(text):
        from wherry.model.jsontext import dumps_pretty

        call.out(dumps_pretty([volume.inspect() for volume in found], 2) + "\n")
    elif text:
        show_list(call, "list", SHAPE, [volume.inspect() for volume in found], HEADINGS)
    else:
        headings = () if flags.on("noheading") else ("DRIVER", "VOLUME NAME")
        call.out(table([(volume.config.driver, volume.name) for volume in found], headings))
    return 0


def inspect(call: Call) -> int:
    """Show everything about volumes."""
    everything = call.flags.on("all")
    if bool(call.args) == everything:
        raise UsageError("choose either one or more volumes or all", see=False)
    trees: list[dict[str, Any]] = []
    errors: list[WherryError] = []
    if everything:
        trees = [volume.inspect() for volume in call.runtime.volumes.list()]
    for name in call.args:
        try:
            trees.append(tree(call, name))
        except WherryError as error:
            errors.append(error)
    show_inspect(call, "volume inspect", SHAPE, trees)
    return finish(errors)


def tree(call: Call, name: str) -> dict[str, Any]:
    """The tree of one volume. Raises ``NotFound`` in the words of inspect."""
    try:
        return call.runtime.volumes.get(name).inspect()
    except NoSuchVolume:
        raise NotFound(f"inspecting object: no such volume {name}") from None
