"""Keeping full log files: the one being written becomes ``PATH.1``, that ``PATH.2`` and so on.

conmon goes on writing to the file under its new name until it is told to open its log anew (``2 0 0`` on its ``ctl``
fifo, conmon's "reopen logs"), so no line is lost.  This module is also the program that does it beside conmon, which
itself can only empty a full log; it uses nothing else of wherry, so that it stays small.
"""

from __future__ import annotations

import os
import select
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

#: Milliseconds between two looks at the log.
INTERVAL = 250


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


def reopen_logs(control: str) -> None:
    """Tell the conmon that reads the fifo *control* to open its log files anew; a no-op when it has ended."""
    try:
        fifo = os.open(control, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    try:
        os.write(fifo, b"2 0 0\n")
    except OSError:         # it ended at this moment
        pass
    finally:
        os.close(fifo)


def watch(conmon: int, path: str, size: int, keep: int, control: str) -> None:
    """Until the process *conmon* ends, set the log aside whenever it has reached *size* bytes."""
    try:
        pidfd = os.pidfd_open(conmon)
    except ProcessLookupError:
        return
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    while not poller.poll(INTERVAL):
        if is_full(path, size):
            try:
                rotate(path, keep, lambda: reopen_logs(control))
            except OSError:
                continue        # a full disk, say: the log grows, and nothing is lost


if __name__ == "__main__":
    watch(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
