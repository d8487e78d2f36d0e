"""``wherry rename``."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.call import Call


def rename(call: Call) -> int:
    """Give a container another name."""
    name, new_name = call.args
    call.runtime.containers.get(name).rename(new_name)
    return 0
