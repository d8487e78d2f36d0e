"""How this wherry is started again: by conmon when a container ends, by timers and units."""

from __future__ import annotations

import os
import sys

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def command() -> list[str]:
    """The words that start this wherry, without arguments.

    The installed script when there is one, else an interpreter and the launcher of this package: the same for the
    command line and for a program that imported wherry.
    """
    started = os.path.abspath(sys.argv[0]) if sys.argv and sys.argv[0] else ""
    for candidate in (started, _beside()):
        if os.path.basename(candidate) == "wherry" and os.path.isfile(candidate) and os.access(candidate, os.X_OK):
            return [candidate]
    interpreter = sys.executable or os.path.join(sys.base_prefix, "bin", "python3")
    return [interpreter, "-I", f"{_PACKAGE}/cli/launcher.py"]


def _beside() -> str:
    """The script of the environment this package is in: ``PREFIX/bin`` above ``lib/pythonX.Y/site-packages``."""
    return os.path.normpath(os.path.join(_PACKAGE, "..", "..", "..", "..", "bin", "wherry"))
