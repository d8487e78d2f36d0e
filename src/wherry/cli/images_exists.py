"""``wherry image exists``."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.call import Call


def exists(call: Call) -> int:
    """0 when there is such an image, 1 when not."""
    return 0 if call.runtime.images.exists(call.args[0]) else 1
