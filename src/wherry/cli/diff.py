"""``wherry diff``."""

from __future__ import annotations

from wherry.cli.flags import Flag, UsageError
from wherry.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.call import Call

_FORMAT = Flag("format", help="Show as json")
_LATEST = Flag("latest", "l", "bool", "The container created last")
DIFF = (_FORMAT, _LATEST)
CONTAINER_DIFF = (_FORMAT, _LATEST)
IMAGE_DIFF = (_FORMAT,)


def diff(call: Call) -> int:
    """Show what a container or image changes."""
    return _diff(call, "")


def container_diff(call: Call) -> int:
    """Show what a container changes."""
    return _diff(call, "container")


def image_diff(call: Call) -> int:
    """Show what an image's top layer changes."""
    return _diff(call, "image")


def _diff(call: Call, kind: str) -> int:
    from wherry.engine.changed import diff as changes

    flags, words = call.flags, list(call.args)
    if flags.flags.owns("latest") and flags.on("latest"):
        if words:
            raise UsageError("--latest and containers cannot be used together", see=False)
        from wherry.cli.targets import latest

        words = [latest(call.runtime)]
    if not words:
        raise UsageError(f'"{call.command}" requires a name, id, or the "--latest" flag', see=False)
    format = flags.text("format")
    if format not in ("", "json"):
        raise InvalidArgument("only supported value for '--format' is 'json'")
    found = changes(call.runtime, words[0], words[1] if len(words) > 1 else "", kind=kind)
    if format == "json":
        from wherry.model.jsontext import dumps_pretty

        lists = {
            name: [change.path for change in found if change.kind == letter]
            for name, letter in (("changed", "C"), ("added", "A"), ("deleted", "D"))
        }
        call.out(dumps_pretty({name: paths for name, paths in lists.items() if paths}, 5) + "\n")
    else:
        call.out("".join(f"{change.kind} {change.path}\n" for change in found))
    return 0
