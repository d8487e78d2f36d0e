"""The reporter for transfers: bars on a terminal, plain lines elsewhere, nothing with ``--quiet``."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.registry.progress import Reporter


def reporter(*, quiet: bool = False) -> Reporter:
    """A reporter that writes to standard error."""
    from wherry.registry.progress import BarReporter, LinesReporter, Reporter
    from wherry.sys.terminal import is_terminal

    if quiet:
        return Reporter()
    return BarReporter() if is_terminal(2) else LinesReporter()
