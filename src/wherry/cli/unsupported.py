"""Flags that are accepted but cannot be honoured: an error, and only when they are used."""

from __future__ import annotations

from wherry.errors import Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.flags import Parsed


def refuse(flags: Parsed, name: str, reason: str) -> None:
    """Raise :class:`Unsupported` when the flag was given."""
    if flags.given(name):
        raise Unsupported(f"--{name}: {reason}: not yet implemented")
