"""How a container ended, and waiting for it without polling and without inotify.

What conmon (2.1.6, 2.2.1) does when the container's process has ended, in this order (strace and source):

1. reaps the process; the rest of the output is read, logged and sent to attached clients;
2. fsyncs the log (unless ``--no-sync-log``);
3. closes the descriptors it inherited, then the **attach connections**: clients see end of file *before* the exit
   status is readable;
4. writes ``<persist-dir>/exit``, then ``<exit-dir>/<id>`` (each by rename; the status in decimal, -1 when its
   ``--timeout`` struck);
5. for an exec session, sends the status through the **sync pipe**;
6. unlinks the attach socket;
7. **closes every other descriptor**: the sync pipe and its end of the ``ctl`` fifo in the bundle;
8. runs the exit command (after its delay), waits for it, and ends: a pidfd of conmon fires only then.

So whoever may open ``ctl`` for writing can wait for step 7: poll(2) reports POLLERR on a fifo that has lost its last
reader.  The kernel tells us at once, whoever created the container, and a conmon that was killed looks the same,
except that no exit file is there.  ``oom`` appears in the persist directory (old versions: in the directory conmon
was started in, which is the bundle) when the kernel reported an out-of-memory kill.
"""

from __future__ import annotations

import errno
import os
import select
import time

from wherry.model.record import Record
from wherry.sys import processes
from wherry.sys.files import read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self


#: Seconds between two looks for an exit file when no fifo tells of it: the first and the longest.
_FIRST_LOOK = 0.002
_LAST_LOOK = 0.05


class Exit(Record):
    """The end of a container or exec session.

    ``code`` is the exit status, 128 plus the number of the signal that killed it, or -1 when conmon's timeout did
    (or nothing is known); ``time_ns`` is when it was noticed (ns since the epoch); ``lost`` says that the monitor died
    before it could tell, and then ``code`` means nothing.
    """

    code: int = 0
    time_ns: int = 0
    oom: bool = False
    lost: bool = False


def read_exit(exit_dir: str, container_id: str, *, persist_dir: str = "", bundle: str = "") -> Exit | None:
    """The exit conmon recorded, or None when there is none (yet).

    An out-of-memory kill is looked up in *persist_dir* and *bundle* where they are given.
    """
    path = f"{exit_dir}/{container_id}"
    try:
        code = int(read_text(path))
        stamp = os.stat(path).st_mtime_ns
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    oom = any(os.path.exists(f"{directory}/oom") for directory in (persist_dir, bundle) if directory)
    return Exit(code=code, time_ns=stamp, oom=oom)


class ExitWatch:
    """Waiting for one container (or exec session) to end.

    ``pid`` and ``conmon_pid`` with their start times are those of the creation; they are needed when there is no
    ``ctl`` fifo (log driver *passthrough*) and to tell a lost monitor from one that is still at work.
    """

    def __init__(
        self,
        exit_dir: str,
        container_id: str,
        bundle: str,
        *,
        pid: int,
        pid_start: int = 0,
        conmon_pid: int = 0,
        conmon_start: int = 0,
        persist_dir: str = "",
    ) -> None:
        self.exit_dir = exit_dir
        self.container_id = container_id
        self.bundle = bundle
        self.persist_dir = persist_dir
        self.pid = pid
        self.pid_start = pid_start
        self.conmon_pid = conmon_pid
        self.conmon_start = conmon_start
        self._fifo = _open_fifo(f"{bundle}/ctl")

    def fileno(self) -> int:
        """A descriptor for poll(2) with no events asked for: POLLERR means :meth:`wait` will not block for conmon.

        -1 when there is none; then conmon has already said all it will, or the log driver is *passthrough*.
        """
        return self._fifo

    def wait(self, timeout: float | None = None) -> Exit | None:
        """The exit, or None when *timeout* seconds pass first."""
        deadline = None if timeout is None else time.monotonic() + timeout
        found = self.read()
        if found is None and self._fifo >= 0:
            if not _lost_reader(self._fifo, deadline):
                return None
            found = self.read()
        if found is None:
            # No fifo, or the reader was killed.
            if not processes.wait_gone(self.pid, self.pid_start, _left(deadline)):
                return None
            found = self._from_monitor(deadline)
        return found

    def _from_monitor(self, deadline: float | None) -> Exit | None:
        """The exit of a process that is gone: a conmon that lives is about to write it.

        conmon's own end must not be waited for: it waits for the exit command, which may wait for the caller's lock.
        """
        pause = _FIRST_LOOK
        while True:
            gone = processes.wait_gone(self.conmon_pid, self.conmon_start, pause)
            found = self.read()
            if found is not None:
                return found
            if gone:
                return Exit(code=-1, time_ns=time.time_ns(), lost=True)
            if deadline is not None and time.monotonic() >= deadline:
                return None
            pause = min(pause * 2, _LAST_LOOK)

    def read(self) -> Exit | None:
        """The exit if it is known by now."""
        return read_exit(self.exit_dir, self.container_id, persist_dir=self.persist_dir, bundle=self.bundle)

    def close(self) -> None:
        if self._fifo >= 0:
            os.close(self._fifo)
            self._fifo = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _open_fifo(path: str) -> int:
    """The writing end of conmon's control fifo; -1 when nobody reads it or it is not there."""
    try:
        return os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.ENOENT, errno.ENOTDIR):
            return -1
        raise


def _lost_reader(fifo: int, deadline: float | None) -> bool:
    """Wait until the last reader of *fifo* is gone; False when the deadline passes first."""
    poller = select.poll()
    poller.register(fifo, 0)        # POLLERR needs no asking
    left = _left(deadline)
    return bool(poller.poll(None if left is None else left * 1000))


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())
