"""cp: files between the host, containers and archives.

The rules of what is called what are Docker's and Podman's (podman-cp(1)): a directory is copied into an existing one
under its own name, or under the name that does not exist yet; ``DIR/.`` means what is in it; a file is copied into a
directory, over a file, or to a new name in a directory that exists; a name that ends in ``/`` must be a directory.
"""

from __future__ import annotations

import errno
import os
import stat

from wherry.archive import filecopy
from wherry.archive.tree import Tree, beneath, clean, named
from wherry.engine.container_view import ContainerView
from wherry.errors import InvalidArgument, NotFound, from_os_error
from wherry.model.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from wherry.archive.compression import Readable
    from wherry.engine.runtime import Runtime

_PIECE = 1 << 20
#: Left out when a whole root is copied: they are the kernel's, not the container's.
_KERNEL = (b"dev", b"proc", b"sys")


class FileStatus(Record):
    """What :meth:`Container.stat` returns. Links on the way and at the end are followed within the container."""

    name: str = ""              # last part of the path asked for
    path: str = ""              # where it led, absolute in the container
    size: int = 0               # bytes
    mode: int = 0               # type and permission bits, as stat(2) has them
    mtime_ns: int = 0
    uid: int = 0                # as the host counts
    gid: int = 0
    link_target: str = ""       # what the link says if the path itself is a symbolic link

    @property
    def is_dir(self) -> bool:
        return stat.S_ISDIR(self.mode)


class Place:
    """One side of a copy. Paths are text, relative ones start at the root (container) or working directory (host)."""

    #: What messages say the path is missing on.
    where = ""

    def tree(self) -> Tree:
        raise NotImplementedError

    def inner(self, path: str) -> bytes:
        """*path* as a path beneath the tree's root."""
        return beneath(clean(os.fsencode(path)))

    def sending(self) -> filecopy.Send:
        return filecopy.Send()

    def receiving(self, *, own: bool, overwrite: bool) -> filecopy.Receive:
        raise NotImplementedError

    def status(self, path: str) -> FileStatus | None:
        """None if there is nothing."""
        with self.tree() as tree:
            return file_status(tree, self.inner(path), path)

    def missing(self, path: str) -> NotFound:
        return NotFound(f'"{path}" could not be found on {self.where}: no such file or directory')


def file_status(tree: Tree, inner: bytes, path: str) -> FileStatus | None:
    """What *inner* is in *tree*; None if there is nothing, or not any more."""
    try:
        resolved = filecopy.follow(tree, inner)
        fd = tree.open(resolved, os.O_PATH | (os.O_DIRECTORY if path.endswith("/") and inner else 0))
        try:
            found = os.fstat(fd)
        finally:
            os.close(fd)
        target = _link_target(tree, inner) if resolved != inner else ""
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise from_os_error(named(error, inner), "looking at") from error
    return FileStatus(
        name=os.path.basename(path.rstrip("/")) or "/",
        path="/" + os.fsdecode(resolved),
        size=found.st_size,
        mode=found.st_mode,
        mtime_ns=found.st_mtime_ns,
        uid=found.st_uid,
        gid=found.st_gid,
        link_target=target,
    )


def _link_target(tree: Tree, inner: bytes) -> str:
    """What a symbolic link says; empty if something else has taken its place."""
    directory, base = tree.locate(inner)
    try:
        return os.fsdecode(os.readlink(base, dir_fd=directory))
    except OSError as error:
        if error.errno == errno.EINVAL:
            return ""
        raise


class HostPlace(Place):
    """The host, as this process sees it."""

    where = "the host"

    def tree(self) -> Tree:
        return Tree("/")

    def inner(self, path: str) -> bytes:
        parent, base = os.path.split(os.path.abspath(path))
        return beneath(os.fsencode(os.path.join(os.path.realpath(parent), base)))

    def receiving(self, *, own: bool, overwrite: bool) -> filecopy.Receive:
        return filecopy.Receive(owner=(os.geteuid(), os.getegid()), overwrite=overwrite, to_host=True)


class ContainerPlace(Place):
    """A container, through an open view."""

    def __init__(self, view: ContainerView, shown: str) -> None:
        self.view = view
        self.where = f"container {shown}"

    def tree(self) -> Tree:
        return Tree(self.view.root)

    def sending(self) -> filecopy.Send:
        return filecopy.Send(uid_map=self.view.uid_map, gid_map=self.view.gid_map)

    def receiving(self, *, own: bool, overwrite: bool) -> filecopy.Receive:
        return filecopy.Receive(
            owner=self.view.owner() if own else None, uid_map=self.view.uid_map, gid_map=self.view.gid_map,
            overwrite=overwrite,
        )


def copy(
    source: Place, source_path: str, target: Place, target_path: str, *, own: bool = True, overwrite: bool = False
) -> None:
    """Copy *source_path* of *source* to *target_path* of *target*.

    With *own* what arrives in a container belongs to the user it runs as, else the numbers stay; on the host it always
    belongs to the caller.  Raises ``NotFound``, ``InvalidArgument`` in Podman's words, and what the file systems
    refuse.
    """
    have = source.status(source_path)
    if have is None:
        raise source.missing(source_path)
    directory, name = _destination(have, source_path, target, target_path)
    with source.tree() as from_tree, target.tree() as to_tree:
        pieces = filecopy.send(from_tree, source.inner(source_path), name, _sending(source, have))
        stream = IteratorStream(pieces)
        options = target.receiving(own=own, overwrite=overwrite)
        filecopy.receive(stream, to_tree, directory, options)


def _sending(source: Place, have: FileStatus) -> filecopy.Send:
    whole_root = isinstance(source, ContainerPlace) and have.path == "/"
    return source.sending().replace(skip=_KERNEL) if whole_root else source.sending()


def _destination(have: FileStatus, source_path: str, target: Place, target_path: str) -> tuple[bytes, bytes]:
    """The directory to copy into and the name to copy to there; no name: copy what is in the source directory."""
    there = target.status(target_path)
    if there is None:
        if target_path.endswith("/"):
            raise target.missing(target_path)
        parent, base = os.path.split(target_path)
        above = target.status(parent or ".")
        if above is None or not above.is_dir:
            raise target.missing(target_path)
        return _beneath(above), os.fsencode(base)
    if there.is_dir:
        name = "" if have.is_dir and _is_content(source_path) else have.name
        return _beneath(there), os.fsencode(name)
    if have.is_dir:
        raise InvalidArgument("destination must be a directory when copying a directory")
    parent, base = os.path.split(there.path)
    return beneath(os.fsencode(parent)), os.fsencode(base)


def _beneath(place: FileStatus) -> bytes:
    return beneath(os.fsencode(place.path))


def _is_content(path: str) -> bool:
    """Does *path* mean what is in a directory rather than the directory: ``DIR/.``, ``.``, ``..``, ``/``?"""
    return os.path.basename(path.rstrip("/")) in ("", ".", "..")


def archive_of(place: Place, path: str) -> Iterator[bytes]:
    """The tar of *path*, called by its own name, or of what is in it for ``DIR/.``. Raises ``NotFound`` at once."""
    have = place.status(path)
    if have is None:
        raise place.missing(path)
    return _archive(place, path, have)


def _archive(place: Place, path: str, have: FileStatus) -> Iterator[bytes]:
    name = b"" if have.is_dir and _is_content(path) else os.fsencode(have.name)
    with place.tree() as tree:
        yield from filecopy.send(tree, place.inner(path), name, _sending(place, have))


def place_archive(
    place: Place,
    path: str,
    stream: Readable,
    *,
    own: bool = True,
    overwrite: bool = False,
    rename: Mapping[str, str] | None = None,
) -> None:
    """Unpack a tar (compressed or not) into the directory *path*; *rename* maps first parts of names to others."""
    from wherry.archive.compression import reader

    there = place.status(path)
    if there is None:
        raise place.missing(path)
    if not there.is_dir:
        raise InvalidArgument("destination must be a directory when copying from stdin")
    renamed = {os.fsencode(old): os.fsencode(new) for old, new in (rename or {}).items()}
    options = place.receiving(own=own, overwrite=overwrite).replace(rename=renamed)
    with place.tree() as tree:
        filecopy.receive(reader(stream)[0], tree, _beneath(there), options)


def stat_in(runtime: Runtime, identity: str, path: str) -> FileStatus:
    """See ``Container.stat``."""
    with ContainerView(runtime, identity, path) as view:
        place = ContainerPlace(view, identity)
        found = place.status(path)
        if found is None:
            raise place.missing(path)
        return found


class CopyStream:
    """What :meth:`Container.copy_from` returns: a tar to iterate over or read; close it if you stop early."""

    def __init__(self, runtime: Runtime, identity: str, path: str) -> None:
        self._view = ContainerView(runtime, identity, path)
        try:
            place = ContainerPlace(self._view, identity)
            found = place.status(path)
            if found is None:
                raise place.missing(path)
            #: What is copied.
            self.status: FileStatus = found
            self._stream = IteratorStream(archive_of(place, path))
        except BaseException:
            self._view.close()
            raise

    def __iter__(self) -> Iterator[bytes]:
        try:
            while piece := self._stream.read(_PIECE):
                yield piece
        finally:
            self.close()

    def read(self, size: int = -1) -> bytes:
        """Up to *size* bytes, none only at the end; without a size the rest of the archive."""
        if size < 0:
            return b"".join(self)
        piece = self._stream.read(size)
        if not piece:
            self.close()
        return piece

    def close(self) -> None:
        self._view.close()

    def __enter__(self) -> CopyStream:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


class IteratorStream:
    """Pieces of bytes as a stream with ``read``."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def read(self, size: int) -> bytes:
        """Up to *size* bytes, none only at the end."""
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._rest = piece
        out, self._rest = self._rest[:size], self._rest[size:]
        return out


def as_stream(archive: bytes | Readable | Iterable[bytes]) -> Readable:
    """Bytes, a stream or pieces as a stream."""
    if isinstance(archive, bytes):
        return IteratorStream(iter((archive,)))
    if hasattr(archive, "read"):
        return archive  # type: ignore[return-value]
    return IteratorStream(iter(archive))
