"""Members of a layer's tar made into files: names, types, owners, modes, times and attributes on disk.

The rules are those of containers/storage's extraction (its ``pkg/archive``), down to their order: content, owner, mode,
times, extended attributes; directory times once everything else is in place.
"""

from __future__ import annotations

import errno
import os
import stat

from wherry.archive.crc64 import crc64
from wherry.archive.idmap import root_id, to_host
from wherry.archive.tarentry import (
    BLOCK_DEVICE,
    CHARACTER,
    DIRECTORY,
    FIFO,
    HARDLINK,
    REGULAR,
    SYMLINK,
)
from wherry.archive.tree import beneath, clean, handle_path, member_path, shown, split
from wherry.archive.whiteout import OverlayWhiteouts, RemovingWhiteouts
from wherry.errors import Corrupt, PermissionRefused, Unsupported
from wherry.model.record import Record
from wherry.sys import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import TypeVar

    from wherry.archive.tarentry import TarEntry
    from wherry.archive.tree import Tree
    from wherry.model.mount import IDMap

    _T = TypeVar("_T")

# What becomes of whiteouts (ExtractOptions.whiteouts).
OVERLAY = "overlay"     # character devices and opaque attributes
PLAIN = "plain"         # files named .wh.*, as fuse-overlayfs wants them; also for tars that are no layers
REMOVE = "remove"       # removal of what they hide (vfs)

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_HANDLE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_LATEST = (1 << 63) - 1         # nanoseconds, in the year 2262
_LARGEST_ID = (1 << 32) - 2     # 2^32-1 means "leave as it is"
_LARGEST_DEVICE = (1 << 32) - 1

_NODE_TYPES = {CHARACTER: stat.S_IFCHR, BLOCK_DEVICE: stat.S_IFBLK, FIFO: stat.S_IFIFO}
_OVERRIDE_ATTRIBUTE = "user.containers.override_stat"
_OVERRIDE_TYPES = {DIRECTORY: "dir", SYMLINK: "symlink", FIFO: "pipe"}


class ExtractOptions(Record):
    """How to extract. The defaults are those of a layer of the overlay driver, run by root."""

    whiteouts: str = OVERLAY
    userxattr: bool = False             # opaque directories by user.overlay.opaque (overlay in a user namespace)
    in_userns: bool = False             # devices are skipped; attributes the kernel refuses are left out
    uid_map: Sequence[IDMap] = ()       # empty: owners as in the tar
    gid_map: Sequence[IDMap] = ()
    ignore_chown_errors: bool = False
    force_mask: int = -1                # permission bits of every file, the real ones in an attribute; -1: not forced
    tar_split_path: str = ""            # file to write the tar-split to; members of one name are an error then
    max_size: int = 0                   # largest uncompressed size in bytes, 0: any


class Unpacker:
    """Makes the members of one archive beneath a tree's root. Methods raise :class:`OSError` and wherry errors."""

    def __init__(self, tree: Tree, options: ExtractOptions) -> None:
        self._tree = tree
        self._options = options
        self._forced = options.force_mask >= 0
        self._root_ids = (root_id(options.uid_map), root_id(options.gid_map))
        self._directory_times: list[tuple[bytes, tuple[int, int]]] = []
        self._root: TarEntry | None = None
        self._whiteouts: OverlayWhiteouts | RemovingWhiteouts | None = None
        if options.whiteouts == OVERLAY:
            self._whiteouts = OverlayWhiteouts(tree, self._make_parent, self._chown_whiteout, options.userxattr)
        elif options.whiteouts == REMOVE:
            self._whiteouts = RemovingWhiteouts(tree, self._make_parent)

    def unpack(self, entry: TarEntry, content: Iterator[memoryview]) -> tuple[bool, int]:
        """Make one member: is its content in a file of its name now, and the CRC-64 of that."""
        cleaned = clean(entry.name)
        path = beneath(cleaned)
        if not path:
            self._unpack_root(entry, cleaned)
            return False, 0
        if self._whiteouts:
            if self._whiteouts.apply(entry, path):
                return False, 0
            self._whiteouts.created(path)
        kind = entry.type
        if kind == REGULAR:
            if entry.is_sparse:
                raise Unsupported(f"{shown(entry.name)}: sparse files in tar archives are not supported")
            return True, self._file(entry, path, content)
        if kind == DIRECTORY:
            self._directory(entry, path)
        elif kind == SYMLINK:
            self._symlink(entry, path)
        elif kind == HARDLINK:
            self._hardlink(entry, path)
        elif kind in _NODE_TYPES:
            self._node(entry, path)
        else:
            raise Unsupported(f"{shown(entry.name)}: unhandled tar header type {kind[0]}")
        return False, 0

    def finish(self) -> None:
        """What has to wait until all members are there: times of directories, the mark of a forced root."""
        for path, times in self._directory_times:
            try:
                if path:
                    directory, base = self._tree.locate(path)
                    os.utime(base, ns=times, dir_fd=directory, follow_symlinks=False)
                else:
                    os.utime(handle_path(self._tree.fd), ns=times)
            except (FileNotFoundError, NotADirectoryError):
                pass        # replaced since, through another name
        if self._forced:
            root = self._root
            value = _override(root.uid, root.gid, root.mode, "dir") if root else _override(0, 0, 0o755, "dir")
            os.setxattr(handle_path(self._tree.fd), _OVERRIDE_ATTRIBUTE, value)

    def _unpack_root(self, entry: TarEntry, cleaned: bytes) -> None:
        """The root's own member. ``./`` is ignored, unless the tree is a whole one (vfs); ``/`` is not."""
        if entry.type != DIRECTORY:
            if cleaned != b".":
                raise Corrupt(f"{shown(entry.name)}: the root directory cannot be replaced")
            return
        self._root = entry
        if cleaned != b"." or self._options.whiteouts == REMOVE:
            fd = self._tree.open(b"", _NEW_DIRECTORY)
            self._finish_open(fd, entry, times=False)
            self._directory_times.append((b"", _times(entry)))

    def _file(self, entry: TarEntry, path: bytes, content: Iterator[memoryview]) -> int:
        fd = self._place(path, open_new)
        crc = 0
        try:
            for piece in content:
                crc = crc64(piece, crc)
                while piece:
                    piece = piece[os.write(fd, piece):]
        except BaseException:
            os.close(fd)
            raise
        self._finish_open(fd, entry)
        return crc

    def _directory(self, entry: TarEntry, path: bytes) -> None:
        directory, base = self._tree.locate(path, self._make_parent)
        try:
            os.mkdir(base, 0o700, dir_fd=directory)
        except FileExistsError:
            if not stat.S_ISDIR(os.stat(base, dir_fd=directory, follow_symlinks=False).st_mode):
                self._tree.remove(path)
                directory, base = self._tree.locate(path, self._make_parent)
                os.mkdir(base, 0o700, dir_fd=directory)
        self._finish_open(os.open(base, _NEW_DIRECTORY, dir_fd=directory), entry, times=False)
        self._directory_times.append((path, _times(entry)))

    def _symlink(self, entry: TarEntry, path: bytes) -> None:
        self._place(path, lambda directory, base: os.symlink(entry.linkname, base, dir_fd=directory))
        directory, base = self._tree.locate(path)
        self._chown(entry, base, dir_fd=directory)
        os.utime(base, ns=_times(entry), dir_fd=directory, follow_symlinks=False)
        if entry.xattrs:
            self._set_xattrs(entry, member_path(directory, base))

    def _hardlink(self, entry: TarEntry, path: bytes) -> None:
        """A link to a member that came before. Mode, owner and times are the shared inode's, and these are the last."""
        parent, name = split(beneath(clean(entry.linkname)))
        source = self._tree.open(parent, os.O_PATH | os.O_DIRECTORY)
        try:
            self._place(path, lambda directory, base: os.link(
                name, base, src_dir_fd=source, dst_dir_fd=directory, follow_symlinks=False
            ))
        finally:
            os.close(source)
        self._finish_handle(entry, path)

    def _node(self, entry: TarEntry, path: bytes) -> None:
        kind = entry.type
        if self._forced:
            self._finish_open(self._place(path, open_new), entry)
            return
        if kind != FIFO and self._options.in_userns:
            return
        if max(entry.devmajor, entry.devminor) > _LARGEST_DEVICE or min(entry.devmajor, entry.devminor) < 0:
            raise Corrupt(f"{shown(entry.name)}: device number out of range")
        device = 0 if kind == FIFO else os.makedev(entry.devmajor, entry.devminor)
        mode = _NODE_TYPES[kind] | 0o600
        self._place(path, lambda directory, base: os.mknod(base, mode, device, dir_fd=directory))
        self._finish_handle(entry, path)

    def _place(self, path: bytes, make: Callable[[int, bytes], _T]) -> _T:
        """Make something new at *path*, in place of what is there."""
        directory, base = self._tree.locate(path, self._make_parent)
        try:
            return make(directory, base)
        except FileExistsError:
            self._tree.remove(path)
            directory, base = self._tree.locate(path, self._make_parent)
            return make(directory, base)

    def _make_parent(self, directory: int, name: bytes) -> None:
        """A directory the archive does not mention: mode by the umask, the root user's."""
        os.mkdir(name, 0o777, dir_fd=directory)
        if not self._forced:
            try:
                os.chown(name, *self._root_ids, dir_fd=directory, follow_symlinks=False)
            except OSError as error:
                self._chown_failed(error, shown(name), *self._root_ids)

    def _finish_open(self, fd: int, entry: TarEntry, *, times: bool = True) -> None:
        """Owner, mode, times and attributes of a file or directory open for the purpose, which is closed.

        A directory's times have to wait for what is put into it (:meth:`finish`).
        """
        try:
            self._chown(entry, fd)
            os.fchmod(fd, self._options.force_mask if self._forced else entry.mode & 0o7777)
            if times:
                os.utime(fd, ns=_times(entry))
            if entry.xattrs:
                self._set_xattrs(entry, fd)
            if self._forced:
                os.setxattr(fd, _OVERRIDE_ATTRIBUTE, self._override_of(entry))
        finally:
            os.close(fd)

    def _finish_handle(self, entry: TarEntry, path: bytes) -> None:
        """The same for what must not be opened; a symbolic link (reached by a hard link) keeps its times."""
        directory, base = self._tree.locate(path)
        fd = os.open(base, _HANDLE, dir_fd=directory)
        try:
            inode = handle_path(fd)
            self._chown(entry, inode)
            if not stat.S_ISLNK(os.fstat(fd).st_mode):
                os.chmod(inode, self._options.force_mask if self._forced else entry.mode & 0o7777)
                os.utime(inode, ns=_times(entry))
            if entry.xattrs:
                self._set_xattrs(entry, inode, follow=True)
        finally:
            os.close(fd)

    def _chown(self, entry: TarEntry, what: int | bytes, *, dir_fd: int | None = None) -> None:
        """Set the owner of *what*: a descriptor, a magic path, or with *dir_fd* a name that is not followed."""
        if self._forced:
            return
        uid, gid = self._owner(entry)
        try:
            if dir_fd is None:
                os.chown(what, uid, gid)
            else:
                os.chown(what, uid, gid, dir_fd=dir_fd, follow_symlinks=False)
        except OSError as error:
            self._chown_failed(error, shown(entry.name), uid, gid)

    def _chown_whiteout(self, directory: int, base: bytes, entry: TarEntry) -> None:
        self._chown(entry, base, dir_fd=directory)

    def _chown_failed(self, error: OSError, name: str, uid: int, gid: int) -> None:
        if self._options.ignore_chown_errors:
            log.debug(f"chown {name} to {uid}:{gid} ignored: {error.strerror}")
        elif error.errno == errno.EINVAL:
            raise PermissionRefused(
                "potentially insufficient UIDs or GIDs available in user namespace "
                f"(requested {uid}:{gid} for {name}): lchown {name}: invalid argument",
                hint="check /etc/subuid and /etc/subgid",
            ) from error
        else:
            raise error

    def _owner(self, entry: TarEntry) -> tuple[int, int]:
        options = self._options
        uid = to_host(entry.uid, options.uid_map, "UID")
        gid = to_host(entry.gid, options.gid_map, "GID")
        if not 0 <= uid <= _LARGEST_ID or not 0 <= gid <= _LARGEST_ID:
            raise Corrupt(f"{shown(entry.name)}: owner {uid}:{gid} out of range")
        return uid, gid

    def _override_of(self, entry: TarEntry) -> bytes:
        if entry.type in (CHARACTER, BLOCK_DEVICE):
            word = "char" if entry.type == CHARACTER else "block"
            kind = f"{word}-{entry.devmajor}-{entry.devminor}"
        else:
            kind = _OVERRIDE_TYPES.get(entry.type, "file")
        return _override(*self._owner(entry), entry.mode, kind)

    def _set_xattrs(self, entry: TarEntry, what: int | bytes, *, follow: bool = False) -> None:
        for name, value in entry.xattrs.items():
            # The overlay driver's own attributes describe a file's place in a mount, not the file: coming from an
            # archive they could make the kernel look elsewhere (redirect, metacopy).
            if name == b"security.selinux" or name.startswith((b"trusted.overlay.", b"user.overlay.")):
                continue
            try:
                if isinstance(what, int):
                    os.setxattr(what, name, value)
                else:
                    os.setxattr(what, name, value, follow_symlinks=follow)
            except OSError as error:
                if error.errno != errno.ENOTSUP and not (error.errno == errno.EPERM and self._options.in_userns):
                    raise
                log.once("warning", "ignored xattrs in archive: underlying filesystem doesn't support them")


def open_new(directory: int, base: bytes) -> int:
    """A descriptor of the new file *base*."""
    return os.open(base, _NEW_FILE, 0o600, dir_fd=directory)


def _times(entry: TarEntry) -> tuple[int, int]:
    """Access and modification time to set, nanoseconds. What is before 1970 or after 2262 becomes 1970, as in Go."""
    mtime = entry.mtime_ns
    atime = mtime if entry.atime_ns is None else max(entry.atime_ns, mtime)
    earliest = -_LATEST if entry.type == SYMLINK else 0
    return (
        atime if earliest <= atime <= _LATEST else 0,
        mtime if earliest <= mtime <= _LATEST else 0,
    )


def _override(uid: int, gid: int, mode: int, kind: str) -> bytes:
    """The attribute that says whose and what a file really is (containers/storage 1.57 and later)."""
    return b"%d:%d:%04o:%s" % (uid, gid, mode & 0o7777, kind.encode())
