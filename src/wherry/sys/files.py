"""Files and directory trees: atomic replacement, reading, making and removing."""

from __future__ import annotations

import errno
import os
import stat
import time

_CHUNK = 1 << 20
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_DEPTH = 64           # directories open at once while removing a tree
_BUSY_ROUNDS = 12         # with the sleeps below: about half a second
_BUSY_FIRST_SLEEP = 0.002


def atomic_write(path: str, data: bytes, mode: int = 0o600, *, sync: bool = True) -> None:
    """Replace *path* by a file holding *data* with permission bits *mode*, or leave it untouched.

    The data goes to ``.tmp-<base><digits>`` in the same directory, reaches the disk if *sync*, and is renamed; this is
    the sequence of containers/storage (tmp, fdatasync, chmod, rename).  Raises :class:`OSError`.
    """
    directory, base = os.path.split(path)
    digits = int.from_bytes(os.urandom(5), "little")
    temporary = os.path.join(directory, f".tmp-{base[:200]}{digits}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            write_all(fd, data)
            if sync:
                os.fdatasync(fd)
            os.fchmod(fd, mode)
        finally:
            os.close(fd)
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def write_all(fd: int, data: bytes) -> None:
    """Write every byte of *data* to a blocking descriptor."""
    done = os.write(fd, data)
    if done < len(data):
        rest = memoryview(data)[done:]
        while rest:
            rest = rest[os.write(fd, rest):]


def read_bytes(path: str) -> bytes:
    """The whole content of *path*; also right for files of /proc and /sys, whose size reads as zero."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return read_all(fd)
    except OSError as error:
        error.filename = path
        raise
    finally:
        os.close(fd)


def read_all(fd: int) -> bytes:
    """Everything from the current offset of *fd* to the end of file."""
    size = max(os.fstat(fd).st_size + 1, 4096)
    first = os.read(fd, size)
    if not first:
        return b""
    chunks = [first]
    while True:
        chunk = os.read(fd, min(max(size, 65536), _CHUNK))
        if not chunk:
            return b"".join(chunks) if len(chunks) > 1 else first
        chunks.append(chunk)


def read_text(path: str) -> str:
    """:func:`read_bytes` as text. Bytes that are not UTF-8 become surrogates, so any file can be read."""
    return read_bytes(path).decode("utf-8", "surrogateescape")


def try_read_text(path: str) -> str | None:
    """:func:`read_text`, or None when there is no such file."""
    try:
        return read_text(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def make_dirs(path: str, mode: int = 0o700) -> None:
    """Create directory *path* and its missing parents with *mode* (less the umask). An existing one is left as it is.

    Raises :class:`NotADirectoryError` when something else is in the way.
    """
    try:
        os.mkdir(path, mode)
        return
    except FileExistsError:
        if os.path.isdir(path):
            return
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path) from None
    except FileNotFoundError:
        parent = os.path.dirname(path.rstrip("/"))
        if not parent:
            raise
    make_dirs(parent, mode)
    try:
        os.mkdir(path, mode)
    except FileExistsError:
        if not os.path.isdir(path):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path) from None


def mount_id(fd: int) -> str:
    """The id of the mount that *fd* lives on, as text (proc(5), ``/proc/pid/fdinfo``, field ``mnt_id``).

    The ids may be compared while both descriptors are open; a mount that is gone frees its number.
    """
    info = os.open(f"/proc/self/fdinfo/{fd}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        text = os.read(info, 4096)
    finally:
        os.close(info)
    return text.partition(b"mnt_id:")[2].partition(b"\n")[0].strip().decode()


def remove_tree(path: str) -> None:
    """Remove the file or directory tree *path*; a missing one is fine.

    Every step is relative to an open directory and no symbolic link is followed, so a tree that somebody changes
    meanwhile cannot lead outside.  A mount point inside (or at) *path* is never entered: it raises :class:`OSError`
    with EBUSY after a short while of trying, as does a directory somebody keeps filling (ENOTEMPTY).  Depth is
    bounded by disk space only: deep directories are moved up before they are emptied.
    """
    parent, base = os.path.split(path.rstrip("/"))
    if base in ("", ".", ".."):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
    try:
        parent_fd = os.open(parent or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        try:
            os.unlink(base, dir_fd=parent_fd)
            return
        except FileNotFoundError:
            return
        except (IsADirectoryError, PermissionError):
            if not stat.S_ISDIR(os.stat(base, dir_fd=parent_fd, follow_symlinks=False).st_mode):
                raise
        _Removal(parent_fd, path).remove(base)
    finally:
        os.close(parent_fd)


class _Removal:
    """One :func:`remove_tree` at work: knows the mount it must stay on and how to name what it could not remove."""

    def __init__(self, parent_fd: int, path: str) -> None:
        self.parent_fd = parent_fd
        self.path = path
        self.mount = mount_id(parent_fd)
        self.top_fd = -1
        self.moved = 0
        self.deferred: list[str] = []
        self.gave_up = False

    def remove(self, base: str) -> None:
        self._repeat(base, self.parent_fd, self.path, 0)

    def _repeat(self, name: str, directory: int, path: str, depth: int) -> None:
        """Empty and remove *name*, trying again for a moment when it is busy or was filled meanwhile."""
        pause = _BUSY_FIRST_SLEEP
        for last in (*(False,) * _BUSY_ROUNDS, True):
            try:
                self._empty(name, directory, path, depth)
                os.rmdir(name, dir_fd=directory)
                return
            except FileNotFoundError:
                return
            except OSError as error:
                if self.gave_up:        # below us, where it was tried often enough
                    raise
                if last or error.errno not in (errno.EBUSY, errno.ENOTEMPTY):
                    self.gave_up = True
                    error.filename = path
                    raise
            time.sleep(pause)
            pause = min(pause * 1.7, 0.1)

    def _empty(self, name: str, directory: int, path: str, depth: int) -> None:
        fd = os.open(name, _DIRECTORY, dir_fd=directory)
        try:
            if mount_id(fd) != self.mount:
                raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), path)
            if depth == 0:
                self.top_fd = fd
            with os.scandir(fd) as entries:
                names = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
            for child, is_directory in names:
                self._remove_entry(child, is_directory, fd, f"{path}/{child}", depth)
            while depth == 0 and self.deferred:
                self._repeat(self.deferred.pop(), fd, path, 1)
        finally:
            os.close(fd)

    def _remove_entry(self, name: str, is_directory: bool, directory: int, path: str, depth: int) -> None:
        if not is_directory:
            try:
                os.unlink(name, dir_fd=directory)
            except FileNotFoundError:
                pass
            except IsADirectoryError:       # replaced since it was listed
                self._repeat(name, directory, path, depth + 1)
            return
        if depth + 1 < _MAX_DEPTH:
            self._repeat(name, directory, path, depth + 1)
            return
        self.moved += 1
        shallow = f".removing-{os.getpid()}-{self.moved}"
        os.rename(name, shallow, src_dir_fd=directory, dst_dir_fd=self.top_fd)
        self.deferred.append(shallow)
