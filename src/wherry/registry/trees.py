"""Named files of an image layout, in a directory or inside an uncompressed tar archive.

Nothing is extracted: members of an archive are read where they are.  Names come from the layouts' own rules
(``index.json``, ``blobs/sha256/...``, what manifest.json lists) and are looked up, never resolved on the host.
"""

from __future__ import annotations

import os
import posixpath
import stat
import threading
from typing import Protocol

from wherry.archive import compression
from wherry.archive.tarentry import HARDLINK, REGULAR, SYMLINK, TarEntry
from wherry.archive.tarheader import BLOCK
from wherry.archive.tarstream import TarReader
from wherry.errors import Corrupt, InvalidArgument, NotFound, WherryError, from_os_error
from wherry.registry.spool import Spool, write_all
from wherry.registry.streams import FileRange, Readable, Stream

#: Members an image archive may have. An image has a few per layer; more is an attempt at filling memory.
MAX_MEMBERS = 1 << 17

_COPY = 1 << 20
#: Content larger than this is jumped over when an archive is indexed, not read.
_JUMP = 1 << 20
_MAX_LINKS = 8


class Tree(Protocol):
    """Where a layout's files are."""

    def stream(self, name: str) -> tuple[Stream, int]:
        """The file *name* and its size in bytes. Raises :class:`NotFound`."""

    def close(self) -> None:
        """Give back what is held; a second call does nothing."""


def read_file(tree: Tree, name: str, limit: int) -> bytes:
    """All of a small file. Raises :class:`NotFound`, and :class:`Corrupt` when it is larger than *limit* bytes."""
    stream, size = tree.stream(name)
    with stream:
        if size > limit:
            raise Corrupt(f"{name}: exceeded maximum allowed size of {limit} bytes")
        return stream.readall() or b""


class DirectoryTree:
    """The files below the directory *path*."""

    def __init__(self, path: str) -> None:
        self.path = path

    def stream(self, name: str) -> tuple[Stream, int]:
        path = os.path.join(self.path, name)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise open_error(error, path) from error
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            os.close(fd)
            raise InvalidArgument(f"open {path}: not a regular file")
        return _OwnFile(fd, found.st_size), found.st_size

    def close(self) -> None:
        """Files are held by their streams only."""


class ArchiveTree:
    """The members of a tar archive, compressed or not; several images may share it, each closes it once.

    *source* is a path or a stream.  What cannot be read in place (compressed, a pipe) is first copied to a spool in
    *spool_parent*.  Raises :class:`Corrupt` when it is no tar archive.
    """

    def __init__(self, source: str | Readable, spool_parent: str) -> None:
        self._spool: Spool | None = None
        self._spool_parent = spool_parent
        self._fd = -1
        self._users = 1
        self._lock = threading.Lock()
        try:
            self._fd = self._open(source) if isinstance(source, str) else self._copy(source)
            self._members = _index(self._fd)
        except BaseException:
            self.close()
            raise

    def share(self) -> ArchiveTree:
        """One more user, who closes it too."""
        with self._lock:
            self._users += 1
        return self

    def close(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users:
                return
        if self._spool is not None:
            self._spool.close()
        elif self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def stream(self, name: str) -> tuple[Stream, int]:
        member = self._find(name)
        return FileRange(self._fd, member.offset, member.size), member.size

    def _find(self, name: str) -> _Member:
        """The regular file called *name*, through links inside the archive."""
        wanted = posixpath.normpath(name)
        for _ in range(_MAX_LINKS):
            member = self._members.get(wanted)
            if member is None:
                raise NotFound(f"loading tar component {name}: file does not exist")
            if member.kind == SYMLINK:
                wanted = posixpath.normpath(posixpath.join(posixpath.dirname(wanted), member.target))
            elif member.kind == HARDLINK:
                wanted = posixpath.normpath(member.target)
            elif member.kind != REGULAR or member.sparse:
                raise Corrupt(f"loading tar component {name}: not a regular file")
            else:
                return member
        raise Corrupt(f"loading tar component {name}: too many levels of symbolic links")

    def _open(self, path: str) -> int:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            failure = open_error(error, path)
            failure.message = f'opening file "{path}": {failure.message}'
            raise failure from error
        try:
            mode = os.fstat(fd).st_mode
            if stat.S_ISDIR(mode):
                raise InvalidArgument(f"read {path}: is a directory")
            if stat.S_ISREG(mode) and compression.detect(os.pread(fd, BLOCK, 0)) == compression.NONE:
                return fd
            copied = self._copy(_Sequential(fd))
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
        return copied

    def _copy(self, stream: Readable) -> int:
        plain, _ = compression.reader(stream)
        self._spool = Spool(self._spool_parent)
        fd = self._spool.create()
        offset = 0
        while data := plain.read(_COPY):
            write_all(fd, data, offset)
            offset += len(data)
        return fd


def open_error(error: OSError, path: str) -> WherryError:
    """``open PATH: no such file or directory``."""
    failure = from_os_error(error, "open")
    failure.message = f"open {path}: {(error.strerror or str(error)).lower()}"
    return failure


class _OwnFile(FileRange):
    """A whole file that is closed with its stream."""

    def __init__(self, fd: int, size: int) -> None:
        super().__init__(fd, 0, size)
        self._own = fd

    def close(self) -> None:
        if not self.closed:
            os.close(self._own)
        super().close()


class _Member:
    __slots__ = ("kind", "offset", "size", "sparse", "target")

    def __init__(self, entry: TarEntry, offset: int) -> None:
        self.kind = entry.type
        self.offset = offset
        self.size = entry.size
        self.sparse = entry.is_sparse
        self.target = os.fsdecode(entry.linkname)


class _Sequential:
    """A file, or a pipe, read to its end."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def read(self, size: int, /) -> bytes:
        try:
            return os.read(self._fd, size)
        except OSError as error:
            raise from_os_error(error, "reading archive") from error


class _Window:
    """The file from *offset* on, as the tar reader wants it."""

    def __init__(self, fd: int, offset: int) -> None:
        self._fd = fd
        self._offset = offset

    def read(self, size: int, /) -> bytes:
        try:
            data = os.pread(self._fd, size, self._offset)
        except OSError as error:
            raise from_os_error(error, "reading archive") from error
        self._offset += len(data)
        return data


def _index(fd: int) -> dict[str, _Member]:
    """Every member by its clean name; of several with one name the first counts, as for Podman."""
    members: dict[str, _Member] = {}
    size = os.fstat(fd).st_size
    reader = TarReader(_Window(fd, 0))
    at = 0                      # end of the content before, beginning of a block after a jump
    while (entry := next(reader, None)) is not None:
        at += len(entry.raw)
        if len(members) >= MAX_MEMBERS:
            raise Corrupt(f"archive has more than {MAX_MEMBERS} members")
        members.setdefault(posixpath.normpath(os.fsdecode(entry.name)), _Member(entry, at))
        at += entry.size
        if at > size:
            raise Corrupt("reading tar stream: unexpected EOF")
        if entry.size > _JUMP:
            at += -at % BLOCK
            reader = TarReader(_Window(fd, at))
    return members
