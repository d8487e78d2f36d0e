"""Having probes run at their times: the interface, and the way for hosts without systemd.

There one *supervisor* process per user and engine runs them (:mod:`wherry.health.supervisor`).  What it is to do lies
in a directory below the run directory:

``wake``          a fifo the supervisor reads; there as long as anything is scheduled, so that one open(2) tells whether
                  a supervisor is needed and whether one lives (no reader: ENXIO)
``lock``          held (flock) while an entry is added and a supervisor sought, and by a supervisor that is leaving
``alive``         held (flock) by the supervisor for as long as it lives
``schedule/ID``   one JSON object per container: ``interval`` (ns), ``at_once``, ``pid``, ``pid_start``, ``boot``

Whoever adds an entry makes the fifo first: wherever a process is killed, the next command finds what is left.
"""

from __future__ import annotations

import errno
import fcntl
import os

from wherry.model.jsontext import dumps
from wherry.model.record import EMPTY, Record
from wherry.sys import processes
from wherry.sys.files import atomic_write, make_dirs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Protocol


class Job(Record):
    """What is to be run: ``words`` every ``interval`` ns, the first time now or one interval from now."""

    container: str = ""
    interval: int = 0
    at_once: bool = True
    words: Sequence[str] = ()
    environment: Mapping[str, str] = EMPTY
    pid: int = 0                    # the container's process: nothing is run any more once it is gone
    pid_start: int = 0


if TYPE_CHECKING:

    class Timers(Protocol):
        """Who runs probes."""

        def start(self, job: Job) -> None:
            """Begin, or go on in another way. Raises ``WherryError`` or :class:`OSError` when it cannot be had."""

        def stop(self, container: str) -> None:
            """Run no more probes of the container; one that is being run is left alone. Nothing scheduled is fine."""


#: Starts a program that is nobody's child: the shell ends at once and is waited for, in a millisecond.
_ORPHAN = ("/bin/sh", "-c", '"$@" &', "sh")


class SupervisorTimers:
    """Timers of the supervisor that looks after *directory*; *words* start one, in *environment*."""

    def __init__(self, directory: str, words: Sequence[str], environment: Mapping[str, str]) -> None:
        self.directory = directory
        self._words = words
        self._environment = environment

    def start(self, job: Job) -> None:
        make_dirs(schedule_of(self.directory))
        with Registry(self.directory):
            _make_fifo(self.directory)
            atomic_write(f"{schedule_of(self.directory)}/{job.container}", _entry(job), sync=False)
            if not wake(self.directory):
                self._spawn()

    def stop(self, container: str) -> None:
        try:
            os.unlink(f"{schedule_of(self.directory)}/{container}")
        except FileNotFoundError:
            return
        wake(self.directory)

    def revive(self) -> None:
        """Start a supervisor if there is work for one and none lives."""
        with Registry(self.directory):
            if wake(self.directory):
                return
            if os.listdir(schedule_of(self.directory)):
                self._spawn()
            else:
                remove_fifo(self.directory)

    def _spawn(self) -> None:
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        try:
            processes.wait(processes.spawn(
                [*_ORPHAN, *self._words], env=self._environment, cwd="/", fds={0: null, 1: null, 2: null},
                new_session=True,
            ))
        finally:
            os.close(null)


class Registry:
    """``with registry:`` - nobody else adds to the schedule meanwhile, and no supervisor leaves. May be nested."""

    def __init__(self, directory: str) -> None:
        self._path = f"{directory}/lock"
        self._fd = -1
        self._depth = 0

    def __enter__(self) -> Registry:
        if not self._depth:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._fd, fcntl.LOCK_EX)
        self._depth += 1
        return self

    def __exit__(self, *_exc: object) -> None:
        self._depth -= 1
        if not self._depth:
            os.close(self._fd)


def schedule_of(directory: str) -> str:
    return f"{directory}/schedule"


def fifo_of(directory: str) -> str:
    return f"{directory}/wake"


def wake(directory: str) -> bool:
    """Make the supervisor look at its schedule; False when there is none."""
    try:
        fd = os.open(fifo_of(directory), os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.ENOENT):
            return False
        raise
    try:
        os.write(fd, b"x")
    except BlockingIOError:
        pass        # full: it has not looked for long and will
    finally:
        os.close(fd)
    return True


def _make_fifo(directory: str) -> None:
    try:
        os.mkfifo(fifo_of(directory), 0o600)
    except FileExistsError:
        pass


def remove_fifo(directory: str) -> None:
    """Nothing is scheduled any more; to be called with the registry locked."""
    try:
        os.unlink(fifo_of(directory))
    except FileNotFoundError:
        pass


def _entry(job: Job) -> bytes:
    return dumps({
        "interval": job.interval, "at_once": job.at_once, "pid": job.pid, "pid_start": job.pid_start,
        "boot": processes.boot_id(),
    }).encode()
