"""Directories reached by names from an archive: resolution that cannot leave a root directory.

Every look-up starts at a descriptor of the root and treats it as ``/``: absolute symbolic links and ``..`` stay inside,
magic links (``/proc/PID/fd``) are refused.  The kernel does this in one call (openat2(2), Linux 5.6); where it cannot,
or a seccomp filter forbids it, :func:`walk` takes the same steps one by one, each through a descriptor, so that a tree
somebody changes meanwhile leads to an error at worst.
"""

from __future__ import annotations

import errno
import os
import stat

from wherry.sys import libc
from wherry.sys.files import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    #: Makes the directory *name* in the directory open as *fd*.
    MakeDirectory = Callable[[int, bytes], None]

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_CACHED = 64            # directories kept open per tree
_MAX_LINKS = 40         # as the kernel's limit
_RETRIES = 32           # of a look-up that somebody's renames keep disturbing


def clean(name: bytes) -> bytes:
    """Go's ``path.Clean``: no ``.``, no empty parts, no ``..`` but at the start of a relative name.

    ``.`` stands for what is empty otherwise.  Two members whose cleaned names are equal cannot be in one layer.
    """
    if name and b"//" not in name and b"/." not in name and not name.startswith(b"."):
        return name.rstrip(b"/") or b"/"
    absolute = name.startswith(b"/")
    parts: list[bytes] = []
    for part in name.split(b"/"):
        if part in (b"", b"."):
            continue
        if part != b"..":
            parts.append(part)
        elif parts and parts[-1] != b"..":
            parts.pop()
        elif not absolute:
            parts.append(part)
    return b"/" * absolute + b"/".join(parts) or b"."


def beneath(cleaned: bytes) -> bytes:
    """A cleaned name as a path beneath the root: leading ``/`` and ``..`` are dropped, the root itself is empty."""
    while cleaned.startswith(b"../"):
        cleaned = cleaned[3:]
    cleaned = cleaned.lstrip(b"/")
    return b"" if cleaned in (b".", b"..") else cleaned


def split(path: bytes) -> tuple[bytes, bytes]:
    """The parent and the last part of a path beneath the root."""
    parent, _, base = path.rpartition(b"/")
    return parent, base


def shown(name: bytes) -> str:
    """A name for people: what is not UTF-8 is escaped."""
    return name.decode(errors="backslashreplace")


def named(error: OSError, path: bytes | None = None) -> OSError:
    """The same error, about *path* if given, with its file name as text."""
    name = error.filename if path is None else path
    return OSError(error.errno, error.strerror, shown(name) if isinstance(name, bytes) else name)


class Tree:
    """A directory tree, open.  Paths are relative to its root, cleaned (:func:`beneath`); empty means the root.

    With *follow* symbolic links in the middle of a path are followed inside the root; without, meeting one is
    :class:`NotADirectoryError`.  Methods raise :class:`OSError`.  Not for use by several threads at once.
    """

    def __init__(self, root: str, *, follow: bool = True) -> None:
        self.fd = os.open(root, _DIRECTORY)
        self._follow = follow
        self._resolve = libc.RESOLVE_IN_ROOT | libc.RESOLVE_NO_MAGICLINKS
        if not follow:
            self._resolve |= libc.RESOLVE_NO_SYMLINKS
        self._cache: dict[bytes, int] = {}
        self._has_openat2 = True

    def __enter__(self) -> Tree:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.forget()
        os.close(self.fd)

    def forget(self) -> None:
        """Close the directories kept open; necessary when one of them, or a link on the way, has been replaced."""
        for fd in self._cache.values():
            os.close(fd)
        self._cache.clear()

    def open(self, path: bytes, flags: int) -> int:
        """A descriptor, the caller's to close, of something that exists; close-on-exec always.

        The last part may be a symbolic link, which is followed unless *flags* has ``O_NOFOLLOW``.
        """
        if self._has_openat2:
            for _ in range(_RETRIES):
                try:
                    return libc.openat2(self.fd, path or b".", flags, 0, self._resolve)
                except OSError as error:
                    if error.errno in (errno.ENOSYS, errno.EPERM):
                        fd = walk(self.fd, path, flags, follow=self._follow)
                        self._has_openat2 = False       # an old kernel or a filter: no need to ask again
                        return fd
                    if error.errno == errno.ELOOP and not self._follow:
                        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path) from None
                    if error.errno != errno.EAGAIN:
                        raise
        return walk(self.fd, path, flags, follow=self._follow)

    def directory(self, path: bytes, make: MakeDirectory | None = None) -> int:
        """A descriptor (O_PATH) of a directory, which stays the tree's and is good until :meth:`forget`.

        With *make* missing directories are made by calling it.
        """
        if not path:
            return self.fd
        fd = self._cache.get(path)
        if fd is not None:
            return fd
        missing: list[bytes] = []
        while True:
            try:
                fd = self._open_directory(path) if path else os.dup(self.fd)
                break
            except FileNotFoundError:
                if make is None:
                    raise
                missing.append(path)
                path = split(path)[0]
        if make is not None:
            for below in reversed(missing):
                fd, path = self._make(fd, below, make), below
        self._keep(path, fd)
        return fd

    def _open_directory(self, path: bytes) -> int:
        """Open a directory: from its parent, if that is open and it is no link, else from the root."""
        parent, base = split(path)
        above = self._cache.get(parent) if parent else self.fd
        if above is not None:
            try:
                return os.open(base, _DIRECTORY | os.O_NOFOLLOW, dir_fd=above)
            except NotADirectoryError:
                pass        # a symbolic link, perhaps
        return self.open(path, _DIRECTORY)

    def _make(self, parent: int, path: bytes, make: MakeDirectory) -> int:
        """Make the directory *path* in its open parent, which is closed."""
        base = split(path)[1]
        try:
            make(parent, base)
            return os.open(base, _DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
        except FileExistsError:
            # It could not be opened and yet is there: a symbolic link that leads nowhere.
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from None
        finally:
            os.close(parent)

    def _keep(self, path: bytes, fd: int) -> None:
        if len(self._cache) >= _CACHED:
            for old in list(self._cache)[:_CACHED // 2]:
                os.close(self._cache.pop(old))
        self._cache[path] = fd

    def locate(self, path: bytes, make: MakeDirectory | None = None) -> tuple[int, bytes]:
        """The directory (see :meth:`directory`) and the name in it of *path*, which need not exist."""
        parent, base = split(path)
        return self.directory(parent, make), base

    def status(self, path: bytes) -> os.stat_result:
        """lstat(2)."""
        if not path:
            return os.stat(self.fd)
        directory, base = self.locate(path)
        return os.stat(base, dir_fd=directory, follow_symlinks=False)

    def open_regular(self, path: bytes) -> int:
        """Open the regular file *path* for reading. Raises :class:`FileNotFoundError` when it is anything else."""
        directory, base = self.locate(path)
        # Looked at before it is opened: opening a device or a fifo can do things.
        if stat.S_ISREG(os.stat(base, dir_fd=directory, follow_symlinks=False).st_mode):
            fd = os.open(base, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
            if stat.S_ISREG(os.fstat(fd).st_mode):
                return fd
            os.close(fd)
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)

    def remove(self, path: bytes) -> None:
        """Remove a file or a directory with all it holds; a missing one is fine. Forgets the open directories."""
        try:
            directory, base = self.locate(path)
        except (FileNotFoundError, NotADirectoryError):
            return
        try:
            remove_tree(os.fsdecode(member_path(directory, base)))
        finally:
            self.forget()


def member_path(directory: int, base: bytes) -> bytes:
    """A path of *base* in an open directory, for calls that take no descriptor of one."""
    return b"/proc/self/fd/%d/%s" % (directory, base)


def handle_path(fd: int) -> bytes:
    """A path of what *fd* is open on (O_PATH will do), for calls that refuse such descriptors."""
    return b"/proc/self/fd/%d" % fd


def walk(root: int, path: bytes, flags: int, *, follow: bool = True) -> int:
    """What openat2(2) does with ``RESOLVE_IN_ROOT``, in single steps. Raises :class:`OSError` with the same numbers.

    ``..`` goes back through the descriptors that led here, so a directory moved meanwhile does not lead out.
    """
    above = [os.dup(root)]
    pending = [part for part in reversed(path.split(b"/")) if part not in (b"", b".")]
    links = 0
    try:
        while pending:
            part = pending.pop()
            if part == b"..":
                if len(above) > 1:
                    os.close(above.pop())
                continue
            step = os.open(part, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above[-1])
            above.append(step)
            mode = os.fstat(step).st_mode
            if not stat.S_ISLNK(mode):
                if pending and not stat.S_ISDIR(mode):
                    raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
                continue
            if not pending and flags & os.O_NOFOLLOW:
                break
            links += 1
            if links > _MAX_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            if not follow:
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
            target = os.readlink(b"", dir_fd=step)
            os.close(above.pop())
            if target.startswith(b"/"):
                while len(above) > 1:
                    os.close(above.pop())
            pending.extend(part for part in reversed(target.split(b"/")) if part not in (b"", b"."))
        return _reopen(above, path, flags)
    finally:
        for fd in above:
            os.close(fd)


def _reopen(above: list[int], path: bytes, flags: int) -> int:
    """Open with *flags* what the walk ended on."""
    found = above[-1]
    mode = os.fstat(found).st_mode
    if flags & os.O_DIRECTORY and not stat.S_ISDIR(mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
    if flags & os.O_PATH:
        return os.dup(found)
    if stat.S_ISLNK(mode):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
    if stat.S_ISDIR(mode):
        return os.open(b".", flags | os.O_CLOEXEC, dir_fd=found)
    return os.open(handle_path(found), (flags & ~os.O_NOFOLLOW) | os.O_CLOEXEC)
