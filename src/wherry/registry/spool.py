"""A private directory for blobs on their way in, removed when it is closed.

A process that is killed cannot remove its directory.  It does lose the lock it held on it, and that is how the next
one that opens a spool in the same place recognises the directory as abandoned and removes it.
"""

from __future__ import annotations

import fcntl
import os
import stat
import threading
from typing import TYPE_CHECKING

from wherry.errors import WherryError, from_os_error
from wherry.sys import log
from wherry.sys.files import make_dirs, remove_tree

if TYPE_CHECKING:
    from wherry.config.settings import Settings

_PREFIX = "wherry-spool-"
DEFAULT_DIRECTORY = "/var/tmp"


def spool_directory(settings: Settings) -> str:
    """Where big temporary files go: image_copy_tmp_dir of containers.conf, else $TMPDIR, else /var/tmp.

    ``storage`` in containers.conf means ``tmp`` below the graph root.
    """
    configured = settings.engine.image_copy_tmp_dir
    if configured == "storage":
        path = os.path.join(settings.storage.graph_root, "tmp")
        try:
            make_dirs(path)
        except OSError as error:
            raise from_os_error(error, "creating temporary directory") from error
        return path
    return configured or settings.environment.tmpdir or DEFAULT_DIRECTORY


class Spool:
    """A directory below *parent*, mode 0700. Raises a :class:`WherryError` when it cannot be made."""

    def __init__(self, parent: str) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._files: set[int] = set()
        try:
            _remove_abandoned(parent)
            self.path, self._fd = _create(parent)
        except OSError as error:
            raise from_os_error(error, "creating temporary directory") from error

    def create(self) -> int:
        """A descriptor of a new empty file, open for reading and writing; closed together with the spool."""
        with self._lock:
            self._count += 1
            path = os.path.join(self.path, str(self._count))
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise from_os_error(error, "creating temporary file") from error
        with self._lock:
            self._files.add(fd)
        return fd

    def close(self) -> None:
        """Remove everything. A second call does nothing."""
        with self._lock:
            files, self._files = self._files, set()
            own, self._fd = self._fd, -1
        for fd in files:
            os.close(fd)
        if own < 0:
            return
        try:
            remove_tree(self.path)
        except OSError as error:
            log.warning(f"removing temporary directory {self.path}: {error.strerror}")
        finally:
            os.close(own)


def write_all(fd: int, data: bytes, offset: int) -> None:
    """Write *data* at *offset*. Raises :class:`NoSpace` and its kin."""
    view = memoryview(data)
    try:
        while view:
            written = os.pwrite(fd, view, offset)
            view = view[written:]
            offset += written
    except OSError as error:
        raise _write_error(error) from error


def _write_error(error: OSError) -> WherryError:
    return from_os_error(error, "writing blob: storing blob to file")


def _create(parent: str) -> tuple[str, int]:
    """Make and lock a directory. One that is taken for abandoned before it is locked is made again."""
    while True:
        path = os.path.join(parent, _PREFIX + os.urandom(8).hex())
        os.mkdir(path, 0o700)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        fcntl.flock(fd, fcntl.LOCK_EX)
        if os.fstat(fd).st_nlink:
            return path, fd
        os.close(fd)


def _remove_abandoned(parent: str) -> None:
    """Remove spools of ours that nobody holds. *parent* is often world-writable: trust only what we own."""
    with os.scandir(parent) as entries:
        names = [entry.name for entry in entries if entry.name.startswith(_PREFIX)]
    for name in names:
        path = os.path.join(parent, name)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            found = os.fstat(fd)
            if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
                continue
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove_tree(path)
        except OSError:
            continue
        finally:
            os.close(fd)
