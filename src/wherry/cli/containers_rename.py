"""``wherry rename``, and the verbs that need CRIU."""

from __future__ import annotations

from wherry.cli import targets
from wherry.cli.containers_stop import ALL, LATEST
from wherry.errors import Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.call import Call

CHECKPOINT = (ALL, LATEST)
RESTORE = (ALL, LATEST)


def rename(call: Call) -> int:
    """Give a container another name."""
    name, new_name = call.args
    call.runtime.containers.get(name).rename(new_name)
    return 0


def checkpoint(call: Call) -> int:
    """Freeze containers to disk."""
    return _unsupported(call, "checkpointing")


def restore(call: Call) -> int:
    """Bring frozen containers back."""
    return _unsupported(call, "restoring")


def _unsupported(call: Call, what: str) -> int:
    targets.check(call)
    for target in targets.select(call):
        call.runtime.containers.get(target.text)
    raise Unsupported(f"{what} containers is not supported yet: not yet implemented")
