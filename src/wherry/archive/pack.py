"""Files made into members of a layer's tar, the reverse of :mod:`wherry.archive.unpack`.

The conventions are those of containers/storage: owners as numbers without names, times in whole seconds, hard links by
inode, sockets left out, of the extended attributes only ``user.*`` and the two that belong to the file itself.
"""

from __future__ import annotations

import errno
import os
import stat

from wherry.archive.idmap import to_container
from wherry.archive.tarentry import BLOCK_DEVICE, CHARACTER, DIRECTORY, FIFO, HARDLINK, REGULAR, SYMLINK, TarEntry
from wherry.archive.tarheader import BLOCK, SECOND, ZERO_BLOCK
from wherry.archive.tarstream import encode_header
from wherry.archive.tree import member_path, shown, split
from wherry.archive.whiteout import OPAQUE, PREFIX
from wherry.errors import Corrupt, InvalidArgument, Unsupported
from wherry.model.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wherry.archive.tree import Tree
    from wherry.model.mount import IDMap

END = ZERO_BLOCK * 2        # of every archive

_READ = 1 << 20
_TYPES = {
    stat.S_IFREG: REGULAR, stat.S_IFDIR: DIRECTORY, stat.S_IFLNK: SYMLINK, stat.S_IFCHR: CHARACTER,
    stat.S_IFBLK: BLOCK_DEVICE, stat.S_IFIFO: FIFO,
}
_SECURITY_XATTRS = frozenset(("security.capability", "security.ima"))
_INCOMPLETE = frozenset((
    "trusted.overlay.metacopy", "trusted.overlay.redirect", "user.overlay.metacopy", "user.overlay.redirect",
))


class PackOptions(Record):
    """How files become members."""

    uid_map: Sequence[IDMap] = ()       # owners on disk are the host's; empty: take them as they are
    gid_map: Sequence[IDMap] = ()
    userxattr: bool = False             # opaque directories are marked by user.overlay.opaque


class Packer:
    """Makes the bytes of an archive's members out of one tree's files, in whatever order the caller names them."""

    def __init__(self, tree: Tree, options: PackOptions) -> None:
        self._tree = tree
        self._options = options
        self._linked: dict[tuple[int, int], bytes] = {}     # inode -> the name it was first packed under

    def member(self, path: bytes, status: os.stat_result | None = None) -> Iterator[bytes]:
        """Headers, content and padding of what *path* is; nothing for a socket. *status* is lstat's, if known.

        Raises :class:`Corrupt` when a file shrinks while it is read, :class:`Unsupported` when the overlay file system
        keeps part of it elsewhere, :class:`InvalidArgument` for an owner no id map covers, :class:`OSError`.
        """
        status = status or self._tree.status(path)
        kind = _TYPES.get(stat.S_IFMT(status.st_mode))
        if kind is None:
            return
        fd = self._tree.open_regular(path) if kind == REGULAR else -1
        try:
            if fd >= 0:
                status = os.fstat(fd)
            entry = self._entry(path, kind, status)
            yield encode_header(entry)
            if fd >= 0 and entry.size:
                yield from _content(fd, entry)
        finally:
            if fd >= 0:
                os.close(fd)

    def whiteout(self, path: bytes, status: os.stat_result | None = None) -> bytes:
        """The member that says *path* is gone; owner and time are those of what stands for it on disk, if anything."""
        parent, base = split(path)
        name = PREFIX + base
        entry = TarEntry(parent + b"/" + name if parent else name)
        if status:
            # The kernel makes whiteouts as whoever mounted the file system, whom the map may not know.
            try:
                entry.uid, entry.gid = self._owner(status)
            except InvalidArgument:
                pass
            entry.mtime_ns = _whole_seconds(status)
        return encode_header(entry)

    def opaque_mark(self, path: bytes, status: os.stat_result) -> bytes:
        """The member that says nothing of lower layers shows in the directory *path*."""
        uid, gid = self._owner(status)
        name = path + b"/" + OPAQUE if path else OPAQUE
        return encode_header(TarEntry(name, mode=status.st_mode & 0o777, uid=uid, gid=gid))

    def _entry(self, path: bytes, kind: bytes, status: os.stat_result) -> TarEntry:
        directory, base = self._tree.locate(path)
        uid, gid = self._owner(status)
        entry = TarEntry(
            path, kind, mode=status.st_mode & 0o7777, uid=uid, gid=gid, mtime_ns=_whole_seconds(status),
            xattrs=exported_xattrs(member_path(directory, base)),
        )
        if kind == DIRECTORY:
            entry.name += b"/"
            return entry
        if kind == REGULAR:
            entry.size = status.st_size
        elif kind == SYMLINK:
            entry.linkname = os.readlink(base, dir_fd=directory)
        elif kind != FIFO:
            entry.devmajor, entry.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)
        if status.st_nlink > 1:
            first = self._linked.setdefault((status.st_dev, status.st_ino), path)
            if first != path:
                entry.type = HARDLINK
                entry.linkname = first
                entry.size = 0
        return entry

    def _owner(self, status: os.stat_result) -> tuple[int, int]:
        options = self._options
        return (
            to_container(status.st_uid, options.uid_map, "UID"), to_container(status.st_gid, options.gid_map, "GID")
        )


def exported_xattrs(path: bytes) -> dict[bytes, bytes]:
    """The extended attributes of *path*, not followed, that belong in an archive.

    Raises :class:`Unsupported` for a file whose content, or a directory whose name in lower layers, is recorded in an
    attribute: then only the mounted layers show what is in it.
    """
    found: dict[bytes, bytes] = {}
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return found
        raise
    for name in names:
        if name in _INCOMPLETE:
            raise Unsupported("the overlay file system keeps part of this layer in lower ones (metacopy or redirect)")
        if name in _SECURITY_XATTRS or (name.startswith("user.") and not name.startswith("user.overlay.")):
            found[os.fsencode(name)] = os.getxattr(path, name, follow_symlinks=False)
    return found


def _whole_seconds(status: os.stat_result) -> int:
    return status.st_mtime_ns // SECOND * SECOND


def _content(fd: int, entry: TarEntry) -> Iterator[bytes]:
    left = entry.size
    while left:
        piece = os.read(fd, min(left, _READ))
        if not piece:
            raise Corrupt(f"{shown(entry.name)}: file shrank while it was read")
        left -= len(piece)
        yield piece
    yield bytes(-entry.size % BLOCK)
