"""``wherry mount`` and ``wherry unmount``."""

from __future__ import annotations

from wherry.cli import targets
from wherry.cli.containers_stop import ALL, LATEST
from wherry.cli.flags import Flag, UsageError
from wherry.errors import StateError, WherryError
from wherry.model import jsontext
from wherry.model.ids import short

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.call import Call

MOUNT = (
    ALL,
    Flag("format", metavar="format", help="Show the list as json"),
    LATEST,
    Flag("no-trunc", kind="bool", aliases=("notruncate",), help="Do not shorten ids"),
)
UNMOUNT = (
    ALL,
    Flag("force", "f", "bool", "Unmount whoever else uses the mount"),
    LATEST,
)
INDENT = 1


def mount(call: Call) -> int:
    """Mount the roots of containers and print where they are; without containers, list those that are mounted."""
    flags = call.flags
    text = flags.text("format")
    if text not in ("", "json"):
        raise UsageError(f'unknown --format argument: "{text}"', see=False)
    if not (call.args or flags.on("all") or flags.on("latest")):
        _list(call, text == "json")
        return 0
    targets.check(call)
    errors: list[WherryError] = []
    for target in targets.select(call):
        try:
            call.out(call.runtime.containers.get(target.text).mount() + "\n")
        except WherryError as error:
            errors.append(error)
    return targets.finish(errors)


def _list(call: Call, as_json: bool) -> None:
    from wherry.cli.tables import table
    from wherry.engine.mounting import mounted

    found = mounted(call.runtime)
    if as_json:
        tree = [{"id": one.id, "Names": [one.name], "mountpoint": one.path} for one in found]
        call.out(jsontext.dumps_pretty(tree, INDENT) + "\n")
        return
    full = call.flags.on("no-trunc")
    call.out(table([[one.id if full else short(one.id), one.path] for one in found]))


def unmount(call: Call) -> int:
    """Give up mounts of containers. One that is not mounted, or that runs, is left as it is."""
    targets.check(call)
    force, everything = call.flags.on("force"), call.flags.on("all")
    errors: list[WherryError] = []
    for target in targets.select(call):
        try:
            done = call.runtime.containers.get(target.text).unmount(force=force)
        except StateError:
            done = False        # it runs, and goes on running
        except WherryError as error:
            errors.append(error)
            continue
        if done or not everything:
            call.out(target.shown + "\n")
    return targets.finish(errors)
