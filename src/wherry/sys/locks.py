"""Locks between processes and threads.

:class:`FileLock` speaks the locking of containers/storage (whole-file record locks on files that are never deleted);
:class:`RankedLock` is wherry's own: one lock file per object, removed with it, and a check at run time that locks are
taken in the order of :mod:`wherry.model.ranks`.  Both exclude threads of one process as well as processes, both may
be taken again by the thread that holds them, and both vanish with the process.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from _struct import pack
from _thread import _local, get_ident

from wherry.errors import InternalError, TimedOut
from wherry.model.ranks import NAMES
from wherry.sys.files import make_dirs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self

# fcntl(2), "Open file description locks".  They conflict with the classic record locks other tools of the store take,
# and unlike those belong to the descriptor: threads exclude each other and closing another descriptor keeps them.
_F_OFD_SETLK = 37
_F_OFD_SETLKW = 38
_READ = pack("hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
_WRITE = pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
_UNLOCK = pack("hhqqi4x", fcntl.F_UNLCK, os.SEEK_SET, 0, 0, 0)

_FIRST_SLEEP = 0.0005
_LONGEST_SLEEP = 0.02
_WOULD_BLOCK = (errno.EAGAIN, errno.EACCES)


class _Hold:
    """One lock as held by one thread."""

    __slots__ = ("count", "exclusive", "fd", "key", "rank", "remove")

    def __init__(self, fd: int, exclusive: bool = True, rank: int = 0, key: str = "") -> None:
        self.fd = fd
        self.exclusive = exclusive
        self.count = 1
        self.rank = rank
        self.key = key
        self.remove = False


#: Holds on storage locks by (path, thread).  Shared by all FileLock objects, so that two stores opened on one
#: directory by the same thread do not wait for each other for ever.
_file_holds: dict[tuple[str, int], _Hold] = {}

#: ``.held``: path -> hold, the ranked locks of this thread.
_ranked = _local()


def _sleep_until(deadline: float, pause: float, path: str) -> float:
    """Sleep for *pause* and return the next, longer one. Raises :class:`TimedOut` at the deadline."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimedOut(f"timed out waiting for lock {path}")
    time.sleep(min(pause, left))
    return min(pause * 1.5, _LONGEST_SLEEP)


class FileLock:
    """A reader/writer lock on a whole file, as containers/storage takes it.

    The file is opened anew for every acquisition, created when missing (0644, its directory 0700) and never deleted.
    *read_only* opens it for reading, which allows only shared locks (additional image stores).
    """

    def __init__(self, path: str, *, read_only: bool = False) -> None:
        self.path = os.path.abspath(path)
        self.read_only = read_only

    def acquire(self, exclusive: bool = True, timeout: float | None = None) -> int:
        """Take the lock and return the descriptor of the lock file (its content is the last-writer token).

        Raises :class:`TimedOut` after *timeout* seconds (None waits for ever), :class:`OSError` when the file cannot
        be opened, and :class:`InternalError` when the thread holds a shared lock and asks for an exclusive one.
        """
        who = (self.path, get_ident())
        held = _file_holds.get(who)
        if held is not None:
            if exclusive and not held.exclusive:
                raise InternalError(f"lock {self.path} is held shared and cannot become exclusive")
            held.count += 1
            return held.fd
        if exclusive and self.read_only:
            raise InternalError(f"lock {self.path} is read-only and cannot be taken exclusively")
        fd = self._open()
        try:
            self._lock(fd, _WRITE if exclusive else _READ, timeout)
        except BaseException:
            os.close(fd)
            raise
        _file_holds[who] = _Hold(fd, exclusive)
        return fd

    def release(self) -> None:
        """Undo one :meth:`acquire` of this thread."""
        who = (self.path, get_ident())
        held = _file_holds[who]
        held.count -= 1
        if held.count == 0:
            del _file_holds[who]
            # Unlock before closing: a child between fork and exec may still share the descriptor.
            fcntl.fcntl(held.fd, _F_OFD_SETLK, _UNLOCK)
            os.close(held.fd)

    def exclusive(self, timeout: float | None = None) -> _Held:
        """``with lock.exclusive() as fd:``"""
        return _Held(self, True, timeout)

    def shared(self, timeout: float | None = None) -> _Held:
        """``with lock.shared() as fd:``"""
        return _Held(self, False, timeout)

    def is_held(self, *, exclusive: bool = False) -> bool:
        """Does this thread hold the lock (exclusively)?"""
        held = _file_holds.get((self.path, get_ident()))
        return held is not None and (held.exclusive or not exclusive)

    def _open(self) -> int:
        flags = (os.O_RDONLY if self.read_only else os.O_RDWR) | os.O_CREAT | os.O_CLOEXEC
        try:
            return os.open(self.path, flags, 0o644)
        except FileNotFoundError:
            make_dirs(os.path.dirname(self.path))
            return os.open(self.path, flags, 0o644)

    def _lock(self, fd: int, request: bytes, timeout: float | None) -> None:
        if timeout is None:
            fcntl.fcntl(fd, _F_OFD_SETLKW, request)
            return
        deadline = time.monotonic() + timeout
        pause = _FIRST_SLEEP
        while True:
            try:
                fcntl.fcntl(fd, _F_OFD_SETLK, request)
                return
            except OSError as error:
                if error.errno not in _WOULD_BLOCK:
                    raise
            pause = _sleep_until(deadline, pause, self.path)


class _Held:
    """The block in which a :class:`FileLock` is held."""

    __slots__ = ("exclusive", "lock", "timeout")

    def __init__(self, lock: FileLock, exclusive: bool, timeout: float | None) -> None:
        self.lock = lock
        self.exclusive = exclusive
        self.timeout = timeout

    def __enter__(self) -> int:
        return self.lock.acquire(self.exclusive, self.timeout)

    def __exit__(self, *_: object) -> None:
        self.lock.release()


class RankedLock:
    """An exclusive lock with a place in the lock order.

    *path* is the lock file (created 0600 as needed), *rank* one of :mod:`wherry.model.ranks`, *key* the id of the
    object.  A thread may only take locks of a higher rank than it holds, or of the same rank with a higher key.
    """

    def __init__(self, path: str, rank: int, key: str) -> None:
        self.path = os.path.abspath(path)
        self.rank = rank
        self.key = key

    def acquire(self, timeout: float | None = None) -> None:
        """Take the lock. Raises :class:`TimedOut`, :class:`OSError`, or :class:`InternalError` when out of order."""
        held = _held_here()
        again = held.get(self.path)
        if again is not None:
            again.count += 1
            return
        self._check_order(held)
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            fd = self._open()
            try:
                self._flock(fd, deadline)
                if self._is_current(fd):
                    break
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)    # removed by the last holder while we waited: begin again with a new file
        held[self.path] = _Hold(fd, True, self.rank, self.key)

    def release(self, *, remove: bool = False) -> None:
        """Undo one :meth:`acquire` of this thread; with *remove* the file goes too, once the last one is undone."""
        held = _held_here()
        hold = held[self.path]
        hold.remove = hold.remove or remove
        hold.count -= 1
        if hold.count:
            return
        del held[self.path]
        try:
            if hold.remove:
                try:
                    os.unlink(self.path)
                except FileNotFoundError:
                    pass
        finally:
            fcntl.flock(hold.fd, fcntl.LOCK_UN)
            os.close(hold.fd)

    def is_held(self) -> bool:
        """Does this thread hold the lock?"""
        return self.path in _held_here()

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def __repr__(self) -> str:
        return f"{NAMES.get(self.rank, self.rank)} {self.key}"

    def _check_order(self, held: dict[str, _Hold]) -> None:
        for hold in held.values():
            if (hold.rank, hold.key) >= (self.rank, self.key):
                other = f"{NAMES.get(hold.rank, hold.rank)} {hold.key}"
                raise InternalError(f"lock order violated: {self!r} taken while holding {other}")

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            return os.open(self.path, flags, 0o600)
        except FileNotFoundError:
            make_dirs(os.path.dirname(self.path))
            return os.open(self.path, flags, 0o600)

    def _flock(self, fd: int, deadline: float | None) -> None:
        if deadline is None:
            fcntl.flock(fd, fcntl.LOCK_EX)
            return
        pause = _FIRST_SLEEP
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                pause = _sleep_until(deadline, pause, self.path)

    def _is_current(self, fd: int) -> bool:
        """Is the file we locked still the one at the path?"""
        ours = os.fstat(fd)
        try:
            there = os.stat(self.path, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return (ours.st_ino, ours.st_dev) == (there.st_ino, there.st_dev)


def _held_here() -> dict[str, Any]:
    held: dict[str, _Hold] | None = getattr(_ranked, "held", None)
    if held is None:
        held = _ranked.held = {}
    return held
