"""What a layer changes: as a list, as ``podman diff`` shows it, and as the tar the layer is distributed as.

Two ways to find out.  An overlay *upper* directory holds the changes themselves, in the kernel's notation (character
devices 0:0, opaque directories); :func:`changes` and :func:`layer_tar` read it beside the lower layers.  Any two trees,
mounted or copied, can be compared; :func:`tree_changes` and :func:`tree_tar` do.
"""

from __future__ import annotations

import os
import stat

from wherry.archive.idmap import to_container
from wherry.archive.pack import END, Packer, PackOptions, exported_xattrs
from wherry.archive.tarheader import SECOND
from wherry.archive.tree import Tree, member_path, named, split
from wherry.archive.whiteout import is_opaque
from wherry.errors import InvalidArgument, from_os_error
from wherry.model.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wherry.model.mount import IDMap

__all__ = ["Change", "PackOptions", "changes", "layer_tar", "tree_changes", "tree_tar"]

ADDED = "A"
CHANGED = "C"
DELETED = "D"

_AS_IT_IS = PackOptions()
_LIST = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


class Change(Record):
    """One line of ``podman diff``: *kind* A, C or D, and an absolute path (undecodable bytes as surrogates)."""

    kind: str = ""
    path: str = ""


def layer_tar(upper: str, lowers: Sequence[str] = (), options: PackOptions = _AS_IT_IS) -> Iterator[bytes]:
    """The tar of an overlay upper directory, in pieces.

    *lowers* are the ``diff`` directories of the layers below, topmost first: an opaque directory is worth a mark only
    if one of them has something for it to hide.  Order is that of names within each directory; the root itself is not
    included.  Files that vanish meanwhile are left out.  Raises what :meth:`Packer.member` does, with OSError
    converted.
    """
    trees: list[Tree] = []
    try:
        trees.extend(Tree(root, follow=False) for root in (upper, *lowers))
        tree, *below = trees
        packer = Packer(tree, options)
        for path, status in walk_files(tree):
            if _is_whiteout(status):
                yield packer.whiteout(path, status)
                continue
            yield from _member(packer, path, status)
            if (
                stat.S_ISDIR(status.st_mode) and is_opaque(tree, path, options.userxattr)
                and _find_below(below, path) is not None
            ):
                yield packer.opaque_mark(path, status)
        yield END
    except OSError as error:
        raise from_os_error(named(error), "reading layer") from error
    finally:
        for tree in trees:
            tree.close()


def changes(upper: str, lowers: Sequence[str] = (), *, userxattr: bool = False) -> list[Change]:
    """The changes an overlay upper directory makes to *lowers* (``diff`` directories, topmost first).

    Order and choice are podman's: a directory counts as changed when its own attributes differ or something in it was
    added or deleted.  Raises wherry errors for what the file system refuses.
    """
    trees: list[Tree] = []
    try:
        trees.extend(Tree(root, follow=False) for root in (upper, *lowers))
        return _overlay_changes(trees[0], trees[1:], userxattr)
    except OSError as error:
        raise from_os_error(named(error), "reading layer") from error
    finally:
        for tree in trees:
            tree.close()


def tree_changes(new: str, old: str, options: PackOptions = _AS_IT_IS) -> list[Change]:
    """The changes that lead from the tree *old* to the tree *new*, sorted by path.

    Files are the same when type, mode, owner (in the container's numbers), device number, size, content attributes and
    modification time agree; times agree also when one of them has no fraction of a second.  The very same inode in
    both is not looked into.
    """
    try:
        with Tree(new, follow=False) as new_tree, Tree(old, follow=False) as old_tree:
            found = _Comparison(new_tree, old_tree, options).run()
    except OSError as error:
        raise from_os_error(named(error), "comparing layers") from error
    return [Change(kind=found[path], path="/" + os.fsdecode(path)) for path in sorted(found, key=_parts)]


def tree_tar(new: str, old: str = "", options: PackOptions = _AS_IT_IS) -> Iterator[bytes]:
    """The tar that turns a copy of the tree *old* into *new*, or that of all of *new* without an old one."""
    try:
        with Tree(new, follow=False) as tree:
            packer = Packer(tree, options)
            if not old:
                for path, status in walk_files(tree):
                    yield from _member(packer, path, status)
            else:
                with Tree(old, follow=False) as old_tree:
                    found = _Comparison(tree, old_tree, options).run()
                for path in sorted(found):
                    if found[path] == DELETED:
                        yield packer.whiteout(path)
                    else:
                        yield from _member(packer, path)
            yield END
    except OSError as error:
        raise from_os_error(named(error), "reading layer") from error


def _member(packer: Packer, path: bytes, status: os.stat_result | None = None) -> Iterator[bytes]:
    """One member, or nothing if the file is gone by now (before anything of it has been written)."""
    begun = False
    try:
        for piece in packer.member(path, status):
            begun = True
            yield piece
    except OSError as error:
        if begun or not isinstance(error, FileNotFoundError):
            raise named(error, path) from error


def walk_files(tree: Tree) -> Iterator[tuple[bytes, os.stat_result]]:
    """Everything in *tree* but its root: parents first, names of a directory in byte order."""
    pending = _children(tree, b"")
    pending.reverse()
    while pending:
        path = pending.pop()
        try:
            status = tree.status(path)
            below = _children(tree, path) if stat.S_ISDIR(status.st_mode) else []
        except (FileNotFoundError, NotADirectoryError):
            continue
        yield path, status
        pending.extend(reversed(below))


def _children(tree: Tree, path: bytes) -> list[bytes]:
    fd = tree.open(path, _LIST)
    try:
        names = sorted(os.fsencode(name) for name in os.listdir(fd))
    finally:
        os.close(fd)
    return [path + b"/" + name for name in names] if path else names


def _parts(path: bytes) -> list[bytes]:
    return path.split(b"/")


def _is_whiteout(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def _lookup(tree: Tree, path: bytes) -> tuple[os.stat_result | None, bool]:
    """What a lower layer has at *path*, and whether it decides: False sends the question on to the next layer."""
    try:
        status = tree.status(path)
    except FileNotFoundError:
        return None, False
    except NotADirectoryError:
        return None, True       # a whiteout or another file in place of a directory on the way
    return (None if _is_whiteout(status) else status), True


def _find_below(lowers: Sequence[Tree], path: bytes) -> os.stat_result | None:
    for tree in lowers:
        status, decided = _lookup(tree, path)
        if decided:
            return status
    return None


def _overlay_changes(tree: Tree, lowers: Sequence[Tree], userxattr: bool) -> list[Change]:
    found: list[Change] = []
    listed: set[bytes] = set()          # directories that need no line for what is in them
    for path, status in walk_files(tree):
        is_directory = stat.S_ISDIR(status.st_mode)
        below = _find_below(lowers, path)
        if _is_whiteout(status) or (is_directory and below is not None and is_opaque(tree, path, userxattr)):
            kind = DELETED
        elif below is None:
            kind = ADDED
        elif is_directory and _same_directory(status, below):
            continue
        else:
            kind = CHANGED
        if is_directory:
            listed.add(path)
        if kind != CHANGED:
            found.extend(_changed_parents(path, listed))
        found.append(Change(kind=kind, path="/" + os.fsdecode(path)))
    return found


def _changed_parents(path: bytes, listed: set[bytes]) -> list[Change]:
    """Lines for the directories above an added or deleted *path* that have none, outermost first."""
    lines: list[Change] = []
    parent = split(path)[0]
    while parent:
        if parent not in listed:
            listed.add(parent)
            lines.append(Change(kind=CHANGED, path="/" + os.fsdecode(parent)))
        parent = split(parent)[0]
    lines.reverse()
    return lines


def _same_directory(one: os.stat_result, other: os.stat_result) -> bool:
    return (
        stat.S_ISDIR(other.st_mode) and one.st_size == other.st_size and one.st_mode == other.st_mode
        and _same_time(one, other)
    )


def _same_time(one: os.stat_result, other: os.stat_result) -> bool:
    """Equal times; a tar without fractions, once extracted, agrees with the file it was made of."""
    a, b = one.st_mtime_ns, other.st_mtime_ns
    return a == b or (a // SECOND == b // SECOND and (a % SECOND == 0 or b % SECOND == 0))


class _Comparison:
    """The differences between two trees as path -> kind."""

    def __init__(self, new: Tree, old: Tree, options: PackOptions) -> None:
        self._new = new
        self._old = old
        self._options = options
        self._found: dict[bytes, str] = {}

    def run(self) -> dict[bytes, str]:
        pending = [(b"", True)]         # directories of the new tree; is there one in the old?
        while pending:
            path, in_old = pending.pop()
            before = set(_children(self._old, path)) if in_old else set()
            for child in _children(self._new, path):
                status = self._new.status(child)
                old_status = self._old.status(child) if child in before else None
                before.discard(child)
                if old_status and (status.st_dev, status.st_ino) == (old_status.st_dev, old_status.st_ino):
                    continue
                self._compare(child, status, old_status)
                if stat.S_ISDIR(status.st_mode):
                    pending.append((child, old_status is not None and stat.S_ISDIR(old_status.st_mode)))
            for child in before:
                self._found[child] = DELETED
        self._add_parents()
        return self._found

    def _compare(self, path: bytes, status: os.stat_result, old_status: os.stat_result | None) -> None:
        if old_status is None:
            self._found[path] = ADDED
        elif self._differ(status, old_status) or self._details(self._new, path, status) != self._details(
            self._old, path, old_status
        ):
            self._found[path] = CHANGED

    def _differ(self, one: os.stat_result, other: os.stat_result) -> bool:
        return (
            one.st_mode != other.st_mode or self._owner(one) != self._owner(other) or one.st_rdev != other.st_rdev
            or not _same_time(one, other) or (not stat.S_ISDIR(one.st_mode) and one.st_size != other.st_size)
        )

    def _owner(self, status: os.stat_result) -> tuple[int, int]:
        return (
            _mapped(status.st_uid, self._options.uid_map), _mapped(status.st_gid, self._options.gid_map)
        )

    @staticmethod
    def _details(tree: Tree, path: bytes, status: os.stat_result) -> tuple[object, bytes]:
        """Extended attributes and, for a symbolic link, where it leads."""
        directory, base = tree.locate(path)
        target = os.readlink(base, dir_fd=directory) if stat.S_ISLNK(status.st_mode) else b""
        return exported_xattrs(member_path(directory, base)), target

    def _add_parents(self) -> None:
        """A directory is changed when something in it is: layers carry it along for its attributes."""
        for path in list(self._found):
            parent = split(path)[0]
            while parent and parent not in self._found:
                self._found[parent] = CHANGED
                parent = split(parent)[0]


def _mapped(number: int, maps: Sequence[IDMap]) -> int:
    try:
        return to_container(number, maps)
    except InvalidArgument:
        return number
