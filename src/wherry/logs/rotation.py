"""Keeping full log files: the one being written becomes ``PATH.1``, that ``PATH.2`` and so on.

conmon goes on writing to the file under its new name until it is told to open its log anew (``2 0 0`` on its ``ctl``
fifo, conmon's "reopen logs"), so no line is lost.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def is_full(path: str, size: int) -> bool:
    """Has the log reached *size* bytes?"""
    try:
        return os.stat(path).st_size >= size
    except FileNotFoundError:
        return False


def rotate(path: str, keep: int, reopen: Callable[[], None]) -> None:
    """Set the log aside, at most *keep* old files in all, and have its writer *reopen* it. Raises :class:`OSError`."""
    for number in range(keep - 1, 0, -1):
        try:
            os.rename(f"{path}.{number}", f"{path}.{number + 1}")
        except FileNotFoundError:
            continue
    os.rename(path, f"{path}.1")
    reopen()
