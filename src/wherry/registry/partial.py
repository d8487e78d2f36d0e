"""Blobs kept between pulls: finished ones that no layer was made of yet, and the beginnings of others.

One file per blob in a directory of the user's, named by the digest.  Whoever downloads a blob holds a lock on its
file, so that a second pull waits and then finds it; the kernel drops the lock of a process that dies, and the next one
goes on where it stopped.  What a file holds is hashed again before anything is appended: a digest at the end is over
every byte there is.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time

from wherry.errors import Cancelled, from_os_error
from wherry.model.digest import check_digest
from wherry.registry.verify import Verifier
from wherry.sys import log
from wherry.sys.files import make_dirs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

#: Files nobody has touched for so many seconds are removed.
_KEPT = 7 * 24 * 3600.0
_PAUSE = 0.1        # seconds between two looks at a file somebody else holds
_PIECE = 1 << 20


class PartialBlobs:
    """The blobs of one pull in the directory *path*, made mode 0700. Close it: blobs not :meth:`forget`-ten stay."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._held: dict[str, int] = {}
        self._verified: set[str] = set()
        self._continued: set[str] = set()       # begun by an earlier pull
        try:
            make_dirs(path)
            _remove_old(path)
        except OSError as error:
            raise from_os_error(error, "creating directory for blobs") from error

    def open(self, digest: str, size: int, cancelled: threading.Event) -> int:
        """A descriptor of the blob's file, locked: what is in it may be used, the rest is to be appended.

        Waits for another pull that downloads it.  A lock is never waited for by a thread that holds one.  The
        descriptor is closed with this object.
        """
        path = os.path.join(self._path, check_digest(digest).replace(":", "-"))
        try:
            while True:
                fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
                # One that was removed meanwhile is in the other pull's store: what it holds is still good if whole.
                if _lock(fd, cancelled) and (_is_still(path, fd) or os.fstat(fd).st_size == size > 0):
                    with self._lock:
                        self._held[digest] = fd
                    return fd
                os.close(fd)
                if cancelled.is_set():
                    raise Cancelled("pull cancelled")
        except OSError as error:
            raise from_os_error(error, "opening blob") from error

    def continued(self, digest: str) -> None:
        """The blob's first bytes are from an earlier pull."""
        with self._lock:
            self._continued.add(digest)

    def downloaded(self, digest: str) -> None:
        """The blob is whole: others may have it, and this pull goes on reading it."""
        with self._lock:
            self._verified.add(digest)
            fd = self._held.get(digest, -1)
        if fd >= 0:
            fcntl.flock(fd, fcntl.LOCK_UN)

    def forget_all(self) -> None:
        """Everything that was opened is in the store."""
        with self._lock:
            digests = list(self._held)
        for digest in digests:
            self.forget(digest)

    def forget_unverified(self) -> bool:
        """Something came out wrong: what was not verified may be why. Was an earlier pull's part among it?"""
        with self._lock:
            suspect = [digest for digest in self._held if digest not in self._verified]
            stale = self._continued.intersection(suspect)
        for digest in suspect:
            self.forget(digest)
        return bool(stale)

    def forget(self, digest: str) -> None:
        """The blob is in the store, or was wrong: its file goes. Whoever waits for it begins anew."""
        with self._lock:
            known = digest in self._held
        if known:
            try:
                os.unlink(os.path.join(self._path, digest.replace(":", "-")))
            except OSError as error:
                log.debug(f"removing blob {digest}: {error}")

    def close(self) -> None:
        """Unlock what is held. A second call does nothing."""
        with self._lock:
            held, self._held = self._held, {}
        for fd in held.values():
            os.close(fd)


def hash_existing(fd: int, verifier: Verifier) -> int:
    """Feed what is in the file to *verifier*; returns how much. A file that is too long is emptied first."""
    size = os.fstat(fd).st_size
    if 0 <= verifier.size < size:
        os.ftruncate(fd, 0)
        return 0
    at = 0
    while at < size:
        data = os.pread(fd, _PIECE, at)
        if not data:
            break
        verifier.update(data)
        at += len(data)
    return at


def _lock(fd: int, cancelled: threading.Event) -> bool:
    while not cancelled.is_set():
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            cancelled.wait(_PAUSE)
    return False


def _is_still(path: str, fd: int) -> bool:
    """Is the locked file the one at *path*, not one that was removed while we waited?"""
    try:
        return os.path.samestat(os.stat(path), os.fstat(fd))
    except FileNotFoundError:
        return False


def _remove_old(path: str) -> None:
    """Remove what was left long ago and nobody holds."""
    oldest = time.time() - _KEPT
    with os.scandir(path) as entries:
        stale = [entry.path for entry in entries if entry.stat(follow_symlinks=False).st_mtime < oldest]
    for name in stale:
        _remove_idle(name)


def remove_stored(path: str, digests: Iterable[str]) -> None:
    """The blobs *digests* are in the store: what a pull that was killed in between kept of them goes.

    Those another pull is at stay; it removes them itself.
    """
    for digest in digests:
        _remove_idle(os.path.join(path, digest.replace(":", "-")))


def _remove_idle(path: str) -> None:
    """Remove a file that is there and that nobody holds."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(path)
    except OSError:
        return
    finally:
        os.close(fd)
