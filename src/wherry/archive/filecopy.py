"""Files on their way between containers and hosts: packed under another name and owner, unpacked below a directory.

The stream in between is an ordinary tar, not a layer's: no whiteouts, no marks.  What is sent is found by descriptors
from the source's root, what is received is placed by descriptors beneath the destination's root, so that a process
that swaps directories for symbolic links meanwhile never leads either side out (CVE-2018-15664, CVE-2019-10152).
"""

from __future__ import annotations

import errno
import os
import stat

from wherry.archive.diff import walk_files
from wherry.archive.idmap import to_host
from wherry.archive.pack import END, Packer, PackOptions
from wherry.archive.tarentry import DIRECTORY, HARDLINK, PAX_GLOBAL
from wherry.archive.tarstream import TarReader
from wherry.archive.tree import Tree, beneath, clean, handle_path, named, shown, split
from wherry.archive.unpack import PLAIN, ExtractOptions, Unpacker, open_new
from wherry.errors import from_os_error
from wherry.model.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import TypeVar

    from wherry.archive.compression import Readable
    from wherry.archive.tarentry import TarEntry
    from wherry.model.mount import IDMap

    _T = TypeVar("_T")

_MAX_LINKS = 40         # as the kernel's limit
_DIRECTORY = os.O_PATH | os.O_DIRECTORY
_PRIVILEGE = stat.S_ISUID | stat.S_ISGID


class Send(Record):
    """How files are sent. ``owner`` (uid, gid) replaces every file's; ``skip`` are paths below the source to leave out.
    """

    owner: tuple[int, int] | None = None
    uid_map: Sequence[IDMap] = ()
    gid_map: Sequence[IDMap] = ()
    skip: Sequence[bytes] = ()


class Receive(Record):
    """How files are placed.

    ``rename`` maps first parts of names to others; ``overwrite`` lets a file take a directory's place and the other way
    round; ``to_host`` is for a destination outside containers: no devices, no file capabilities.
    """

    owner: tuple[int, int] | None = None        # as the container counts
    uid_map: Sequence[IDMap] = ()
    gid_map: Sequence[IDMap] = ()
    rename: Mapping[bytes, bytes] | None = None
    overwrite: bool = False
    to_host: bool = False


def follow(tree: Tree, path: bytes) -> bytes:
    """*path* with a symbolic link in its last part replaced by where it leads, within the tree. Raises OSError."""
    for _ in range(_MAX_LINKS):
        parent, base = split(path)
        if base in (b"", b".."):
            return path
        fd = tree.open(path, os.O_PATH | os.O_NOFOLLOW)
        try:
            if not stat.S_ISLNK(os.fstat(fd).st_mode):
                return path
            target = os.readlink(b"", dir_fd=fd)
        finally:
            os.close(fd)
        path = beneath(clean(target if target.startswith(b"/") else b"/" + parent + b"/" + target))
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), shown(path))


def send(tree: Tree, path: bytes, name: bytes, options: Send) -> Iterator[bytes]:
    """The tar of what *path* leads to in *tree*, called *name*; without a name, of what is in the directory *path*.

    Raises wherry errors for what the file system refuses; files that vanish meanwhile are left out.
    """
    try:
        path = follow(tree, path)
        fd = tree.open(path, os.O_PATH)
        try:
            if stat.S_ISDIR(os.fstat(fd).st_mode):
                with Tree(os.fsdecode(handle_path(fd)), follow=False) as inner:
                    yield from _send_directory(inner, name, options)
                return
        finally:
            os.close(fd)
        parent, base = split(path)
        fd = tree.open(parent, _DIRECTORY)
        try:
            with Tree(os.fsdecode(handle_path(fd)), follow=False) as inner:
                yield from _Sender(inner, options, lambda _path: name).member(base)
        finally:
            os.close(fd)
        yield END
    except OSError as error:
        raise from_os_error(named(error), "copying") from error


def _send_directory(tree: Tree, name: bytes, options: Send) -> Iterator[bytes]:
    def rename(path: bytes) -> bytes:
        return name + b"/" + path if name and path else name or path

    sender = _Sender(tree, options, rename)
    if name:
        yield from sender.member(b"")
    for path, status in walk_files(tree):
        if any(path == skipped or path.startswith(skipped + b"/") for skipped in options.skip):
            continue
        begun = False
        try:
            for piece in sender.member(path, status):
                begun = True
                yield piece
        except FileNotFoundError:
            if begun:
                raise
    yield END


class _Sender(Packer):
    """A packer whose members are called what *rename* says."""

    def __init__(self, tree: Tree, options: Send, rename: Callable[[bytes], bytes]) -> None:
        super().__init__(tree, PackOptions(uid_map=options.uid_map, gid_map=options.gid_map))
        self._rename = rename
        self._all_owner = options.owner

    def _entry(self, path: bytes, kind: bytes, status: os.stat_result) -> TarEntry:
        entry = super()._entry(path, kind, status)
        entry.name = self._rename(path) + (b"/" if kind == DIRECTORY else b"")
        if entry.type == HARDLINK:
            entry.linkname = self._rename(entry.linkname)
        if self._all_owner is not None:
            entry.uid, entry.gid = self._all_owner
        return entry


def receive(stream: Readable, tree: Tree, directory: bytes, options: Receive) -> None:
    """Place the members of the tar *stream* below *directory* (which must exist) of *tree*; reads to its end.

    Raises wherry errors; what was placed before an error stays.
    """
    receiver = _Receiver(tree, directory, options)
    try:
        reader = TarReader(stream)
        for entry in reader:
            if entry.type == PAX_GLOBAL or not receiver.prepare(entry):
                continue
            try:
                receiver.unpack(entry, reader.content())
            except OSError as error:
                raise from_os_error(named(error, entry.name), "copying") from error
        receiver.finish()
        for _rest in reader.trailing():
            pass
    except OSError as error:
        raise from_os_error(named(error), "copying") from error


class _Receiver(Unpacker):
    """An unpacker that works below one directory and replaces only what may be replaced."""

    def __init__(self, tree: Tree, directory: bytes, options: Receive) -> None:
        super().__init__(tree, ExtractOptions(
            whiteouts=PLAIN, in_userns=options.to_host, uid_map=options.uid_map, gid_map=options.gid_map,
        ))
        self._directory_name = directory
        self._wanted = options
        if options.owner is not None:
            self._root_ids = (to_host(options.owner[0], options.uid_map), to_host(options.owner[1], options.gid_map))

    def prepare(self, entry: TarEntry) -> bool:
        """Give *entry* its place and owner; False for the archive's own root, which is the directory itself."""
        name = beneath(clean(entry.name))
        if not name:
            return False
        entry.name = self._place_of(name)
        if entry.type == HARDLINK:
            entry.linkname = self._place_of(beneath(clean(entry.linkname)))
        if self._wanted.owner is not None:
            entry.uid, entry.gid = self._wanted.owner
        if entry.type != DIRECTORY:
            # The owner changes on the way, and with a change of owner these bits go (chown(2)).
            entry.mode &= ~_PRIVILEGE
        if self._wanted.to_host:
            entry.xattrs = {key: value for key, value in entry.xattrs.items() if not key.startswith(b"security.")}
        return True

    def _place_of(self, name: bytes) -> bytes:
        first, slash, rest = name.partition(b"/")
        name = (self._wanted.rename or {}).get(first, first) + slash + rest
        return self._directory_name + b"/" + name if self._directory_name else name

    def _directory(self, entry: TarEntry, path: bytes) -> None:
        if not self._wanted.overwrite:
            try:
                there = self._tree.status(path)
            except (FileNotFoundError, NotADirectoryError):
                pass
            else:
                if not stat.S_ISDIR(there.st_mode):
                    raise FileExistsError(errno.EEXIST, "cannot overwrite a file with a directory", shown(path))
        super()._directory(entry, path)

    def _place(self, path: bytes, make: Callable[[int, bytes], _T]) -> _T:
        directory, base = self._tree.locate(path, self._make_parent)
        try:
            return make(directory, base)
        except FileExistsError:
            pass
        mode = os.stat(base, dir_fd=directory, follow_symlinks=False).st_mode
        if stat.S_ISDIR(mode):
            if not self._wanted.overwrite:
                raise IsADirectoryError(errno.EISDIR, "cannot overwrite a directory with a file", shown(path))
            self._tree.remove(path)
            directory, base = self._tree.locate(path, self._make_parent)
            return make(directory, base)
        if self._wanted.to_host and not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
            raise FileExistsError(errno.EEXIST, "cannot overwrite a device, fifo or socket", shown(path))
        try:
            os.unlink(base, dir_fd=directory)
        except OSError as error:
            if error.errno != errno.EBUSY or make is not open_new or not stat.S_ISREG(mode):
                raise
            # A file that is mounted (the hosts file, say) can only be written in place.
            flags = os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            return os.open(base, flags, dir_fd=directory)  # type: ignore[return-value]
        return make(directory, base)
