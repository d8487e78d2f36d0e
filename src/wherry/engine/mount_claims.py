"""Counting oneself as a user of a container's mount for a while, and not for longer than one lives.

The store counts who uses a mount but not who they are, so a process that is killed would leave the count one too high
for ever.  Whoever mounts a container's root for a copy or an export notes that in a file it holds a lock on: *mounting*
with the count before, *mounted*, *unmounting* with the count before.  All of it happens while the container is locked,
so whoever locks the container next and finds a note nobody holds knows exactly whether to count one user less.
"""

from __future__ import annotations

import fcntl
import os

from wherry.errors import NoSuchContainer, NotFound
from wherry.sys.files import make_dirs, read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.engine.locked import LockedContainer
    from wherry.engine.runtime import Runtime

_MOUNTING = "mounting"
_MOUNTED = "mounted"
_UNMOUNTING = "unmounting"


class Claim:
    """One use of a container's mount, begun under its lock; end it with :meth:`release`."""

    def __init__(self, held: LockedContainer) -> None:
        self._runtime = held.runtime
        self._id = held.id
        directory = held.runtime.paths.mount_claims(held.id)
        make_dirs(directory)
        self._path = f"{directory}/{os.urandom(8).hex()}"
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            self._note(f"{_MOUNTING} {_count(held.runtime, held.id)}")
            #: Where the root is.
            self.path = held.runtime.store.mount_container(held.id)
            self._note(_MOUNTED)
        except BaseException:
            self._forget()
            raise

    def release(self) -> None:
        """Count one user less. Takes the container's lock; a container that was removed meanwhile is fine."""
        if self._fd < 0:
            return
        try:
            with self._runtime.lock(self._id) as held:
                self.release_locked(held)
        except NoSuchContainer:
            self._forget()

    def release_locked(self, held: LockedContainer) -> None:
        """The same while the container is locked."""
        if self._fd < 0:
            return
        try:
            self._note(f"{_UNMOUNTING} {_count(held.runtime, held.id)}")
            held.runtime.store.unmount_container(held.id)
        except NotFound:
            pass
        finally:
            self._forget()

    def _note(self, text: str) -> None:
        # One write of one block: a killed process leaves the old note or the new one.
        os.pwrite(self._fd, text.ljust(32).encode(), 0)

    def _forget(self) -> None:
        fd, self._fd = self._fd, -1
        try:
            os.unlink(self._path)
            os.rmdir(os.path.dirname(self._path))
        except OSError:
            pass            # others have claims too
        os.close(fd)


def settle(held: LockedContainer) -> None:
    """Undo the claims of processes that were killed. Nearly always there is nothing, and finding that out is cheap."""
    directory = held.runtime.paths.mount_claims(held.id)
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return
    for name in names:
        _settle(held, f"{directory}/{name}")
    try:
        os.rmdir(directory)
    except OSError:
        pass


def _settle(held: LockedContainer, path: str) -> None:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return              # its process lives
    else:
        word, _space, before = read_text(path).strip().partition(" ")
        count = _count(held.runtime, held.id)
        mounted = {_MOUNTED: True, _MOUNTING: f"{count - 1}" == before, _UNMOUNTING: f"{count}" == before}
        if mounted.get(word) and count:
            held.runtime.store.unmount_container(held.id)
        os.unlink(path)
    finally:
        os.close(fd)


def _count(runtime: Runtime, identity: str) -> int:
    """How many users the store counts."""
    try:
        found = runtime.store.mounted().get(runtime.store.container(identity).layer)
    except NotFound:
        return 0
    return found.count if found is not None else 0
