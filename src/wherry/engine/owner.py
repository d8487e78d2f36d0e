"""Ownership of a container's clean-up: which process will do it when the container exits.

conmon starts ``wherry container cleanup ID`` when the container ends, while the process that runs it in the foreground
(or stops it) wants to clean up at once, being awake already.  That process holds an advisory lock on a file of the
container; the exit command waits for it and then finds nothing left to do.  The kernel drops the lock if the owner is
killed, so the exit command always takes over.

An owner that has done everything says so in the file (:func:`mark_done`), or removes it with the container; the exit
command looks there before it starts an interpreter (:mod:`wherry.engine.exit_command`).
"""

from __future__ import annotations

import fcntl
import os

from wherry.errors import NoSuchContainer
from wherry.model import status
from wherry.sys.files import make_dirs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.engine.locked import LockedContainer
    from wherry.engine.runtime import Runtime


#: What the file says once everything that follows the end of the container is done.
DONE = b"done"


class Ownership:
    """Hold with ``with``; several owners (two ``stop`` at once) may hold it together: it is a shared lock."""

    def __init__(self, runtime: Runtime, identity: str) -> None:
        self._path = f"{runtime.paths.owners}/{identity}"
        self._fd = -1

    def __enter__(self) -> Ownership:
        make_dirs(os.path.dirname(self._path))
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_SH)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_exc: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if kind is not None and issubclass(kind, NoSuchContainer):
            _unlink(self._path)      # somebody else removed the container first


def wait_for_owners(runtime: Runtime, identity: str) -> None:
    """Wait until no living process owns the clean-up of this container."""
    try:
        fd = os.open(f"{runtime.paths.owners}/{identity}", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
    finally:
        os.close(fd)


def is_owned(runtime: Runtime, identity: str) -> bool:
    """Does a living process own the clean-up of this container?"""
    try:
        fd = os.open(f"{runtime.paths.owners}/{identity}", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def mark_done(held: LockedContainer) -> None:
    """The owner has cleaned up and nothing is left to do: the exit command may end at once.

    Does nothing where nobody owned the clean-up, or where more than the container itself has to be told of its end.
    """
    from wherry.engine.exit_command import tells_pod

    if held.state.status != status.EXITED or tells_pod(held):
        return
    try:
        fd = os.open(f"{held.runtime.paths.owners}/{held.id}", os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    os.pwrite(fd, DONE, 0)
    os.close(fd)


def begin_life(held: LockedContainer) -> None:
    """The container is about to be started: what was done after its last end says nothing about the next."""
    try:
        os.truncate(f"{held.runtime.paths.owners}/{held.id}", 0)
    except FileNotFoundError:
        pass


def forget(runtime: Runtime, identity: str) -> None:
    """Remove the file; called when the container is removed."""
    _unlink(f"{runtime.paths.owners}/{identity}")


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
