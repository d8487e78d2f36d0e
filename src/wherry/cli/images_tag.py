"""``wherry tag`` and ``wherry untag``."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.call import Call


def tag(call: Call) -> int:
    """Give an image further names."""
    call.runtime.images.get(call.args[0]).tag(*call.args[1:])
    return 0


def untag(call: Call) -> int:
    """Take names from an image: those given, or all."""
    call.runtime.images.get(call.args[0]).untag(*call.args[1:])
    return 0
