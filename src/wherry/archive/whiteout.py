"""Whiteouts: how a layer's tar says that something of a lower layer is gone, and what stands for that on disk.

In the tar (OCI image spec, layer.md "Whiteouts") an entry ``.wh.NAME`` hides NAME and ``.wh..wh..opq`` everything a
directory had.  On an overlay file system these are a character device 0:0 and an extended attribute; in a tree of
copies (the vfs driver) the things are simply removed.
"""

from __future__ import annotations

import errno
import os
import stat

from wherry.archive.tree import handle_path, member_path, shown, split
from wherry.errors import Corrupt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from wherry.archive.tarentry import TarEntry
    from wherry.archive.tree import MakeDirectory, Tree

PREFIX = b".wh."
OPAQUE = b".wh..wh..opq"
_AUFS_PREFIX = b".wh..wh."


def opaque_attribute(userxattr: bool) -> str:
    """The attribute of an opaque directory: the kernel's ordinary one, or that of mounts with ``userxattr``."""
    return "user.overlay.opaque" if userxattr else "trusted.overlay.opaque"


def is_opaque(tree: Tree, path: bytes, userxattr: bool) -> bool:
    """Is the directory *path* marked as hiding all that lower layers have? Raises :class:`OSError`."""
    directory, base = tree.locate(path)
    try:
        return os.getxattr(member_path(directory, base), opaque_attribute(userxattr), follow_symlinks=False) == b"y"
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.ENOTSUP):
            return False
        raise


def _hidden(entry: TarEntry, path: bytes) -> bytes:
    """The path that the whiteout *path* hides."""
    parent, base = split(path)
    name = base[len(PREFIX):]
    if name in (b"", b".", b".."):
        raise Corrupt(f"{shown(entry.name)}: whiteout of nothing: file exists")
    return parent + b"/" + name if parent else name


class OverlayWhiteouts:
    """Turns whiteouts into what the kernel's overlay file system takes for them."""

    def __init__(
        self, tree: Tree, make: MakeDirectory, chown: Callable[[int, bytes, TarEntry], None], userxattr: bool
    ) -> None:
        self._tree = tree
        self._make = make
        self._chown = chown
        self._attribute = opaque_attribute(userxattr)

    def apply(self, entry: TarEntry, path: bytes) -> bool:
        """Apply the member at *path* if it is a whiteout; False if it is not. Raises :class:`OSError`."""
        parent, base = split(path)
        if not base.startswith(PREFIX):
            return False
        try:
            if base == OPAQUE:
                self._mark_opaque(parent)
            else:
                self._hide(entry, _hidden(entry, path))
        except NotADirectoryError:
            pass        # below something this layer hides already; some builders write that
        return True

    def created(self, path: bytes) -> None:
        """Nothing to remember: on disk this layer is apart from those it hides things of."""

    def _mark_opaque(self, path: bytes) -> None:
        os.setxattr(handle_path(self._tree.directory(path, self._make)), self._attribute, b"y")

    def _hide(self, entry: TarEntry, path: bytes) -> None:
        directory, base = self._tree.locate(path, self._make)
        try:
            os.mknod(base, stat.S_IFCHR, 0, dir_fd=directory)
        except FileExistsError:
            # The layer has both NAME and .wh.NAME: only what lower layers have of that name is hidden (OCI image
            # spec), which a file does by being there and a directory by being opaque.
            if stat.S_ISDIR(os.stat(base, dir_fd=directory, follow_symlinks=False).st_mode):
                self._mark_opaque(path)
            return
        self._chown(directory, base, entry)


class RemovingWhiteouts:
    """Removes what whiteouts hide, in a tree that began as a copy of the layer below."""

    def __init__(self, tree: Tree, make: MakeDirectory) -> None:
        self._tree = tree
        self._make = make
        self._own: set[bytes] = set()       # what this layer brought, and the directories that lead there

    def created(self, path: bytes) -> None:
        """Remember that *path* is this layer's: whiteouts hide what lower layers have only."""
        while path and path not in self._own:
            self._own.add(path)
            path = split(path)[0]

    def apply(self, entry: TarEntry, path: bytes) -> bool:
        """Apply the member at *path* if it is a whiteout; False if it is not. Raises :class:`OSError`."""
        parent, base = split(path)
        if path.startswith(_AUFS_PREFIX) and path != OPAQUE:
            return True         # the book-keeping of AUFS, at the top of its layers
        if not base.startswith(PREFIX):
            return False
        self._tree.directory(parent, self._make)
        if base == OPAQUE:
            self._clear(parent)
            return True
        hidden = _hidden(entry, path)
        if hidden not in self._own:
            self._tree.remove(hidden)
        elif stat.S_ISDIR(self._tree.status(hidden).st_mode):
            self._clear(hidden)
        return True

    def _clear(self, path: bytes) -> None:
        """Remove what the directory *path* has from lower layers."""
        pending = [path]
        while pending:
            path = pending.pop()
            fd = self._tree.open(path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                with os.scandir(fd) as found:
                    children = [(os.fsencode(item.name), item.is_dir(follow_symlinks=False)) for item in found]
            finally:
                os.close(fd)
            for name, is_directory in children:
                child = path + b"/" + name if path else name
                if child not in self._own:
                    self._tree.remove(child)
                elif is_directory:
                    pending.append(child)
