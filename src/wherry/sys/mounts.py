"""Mounting, unmounting and looking at mounts."""

from __future__ import annotations

import errno
import os

from wherry.model.record import Record
from wherry.sys import libc
from wherry.sys.files import mount_id, read_bytes
from wherry.sys.libc import MS_BIND, MS_PRIVATE, MS_RDONLY, MS_REC, MS_REMOUNT, MS_SHARED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from wherry.model.mount import IDMap

# statvfs(3) reports these mount flags under the numbers mount(2) takes, relatime excepted.
_SAME_FLAGS = libc.MS_NOSUID | libc.MS_NODEV | libc.MS_NOEXEC | libc.MS_NOATIME | libc.MS_NODIRATIME
_ST_RELATIME = 4096


class MountEntry(Record):
    """One line of mountinfo (proc(5)). Paths are unescaped; option strings are as the kernel prints them."""

    id: int = 0
    parent: int = 0
    device: str = ""           # major:minor
    root: str = ""             # directory of the file system that is mounted
    target: str = ""
    options: str = ""
    propagation: str = ""      # "shared:1 master:2", empty when private
    fstype: str = ""
    source: str = ""
    super_options: str = ""


def mount(source: str, target: str, fstype: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2); *data* may be up to a page. Raises :class:`OSError` naming *target*."""
    libc.mount(source, target, fstype, flags, data)


def unmount(target: str, flags: int = 0) -> None:
    """umount2(2), never through a symbolic link at the end of *target*. EINVAL means: not a mount point."""
    libc.umount2(target, flags | libc.UMOUNT_NOFOLLOW)


def detach(target: str) -> bool:
    """Lazily unmount everything stacked at *target*; False when nothing was mounted there or it does not exist."""
    found = False
    while True:
        try:
            unmount(target, libc.MNT_DETACH)
            found = True
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOENT, errno.ENOTDIR):
                return found
            raise


def bind(source: str, target: str, *, recursive: bool = False, read_only: bool = False) -> None:
    """Bind-mount *source* at *target*; *read_only* applies to every mount taken along. All or nothing."""
    libc.mount(source, target, "", MS_BIND | (MS_REC if recursive else 0), "")
    if not read_only:
        return
    try:
        if recursive:
            libc.mount_setattr(libc.AT_FDCWD, target, libc.AT_RECURSIVE, attr_set=libc.MOUNT_ATTR_RDONLY)
        else:
            libc.mount("", target, "", MS_BIND | MS_REMOUNT | MS_RDONLY | _flags_of(target), "")
    except OSError:
        libc.umount2(target, libc.MNT_DETACH)
        raise


def _flags_of(path: str) -> int:
    """Flags a remount must repeat: inside a user namespace the inherited ones are locked."""
    flags = os.statvfs(path).f_flag
    return flags & _SAME_FLAGS | (libc.MS_RELATIME if flags & _ST_RELATIME else 0)


def make_private(target: str, *, recursive: bool = False) -> None:
    """Stop propagation to and from the mount at *target*."""
    libc.mount("", target, "", MS_PRIVATE | (MS_REC if recursive else 0), "")


def make_shared(target: str, *, recursive: bool = False) -> None:
    """Let mounts below *target* propagate."""
    libc.mount("", target, "", MS_SHARED | (MS_REC if recursive else 0), "")


def is_mount_point(path: str) -> bool:
    """Is *path* itself (not what a symbolic link there points to) the root of a mount? A missing path is not.

    Compares the mount ids of the path and of its parent directory, which finds bind mounts within one file system
    as well and does not get slower with the number of mounts.
    """
    path = os.path.abspath(path)
    if path == "/":
        return True
    try:
        fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        parent = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return mount_id(fd) != mount_id(parent)
        finally:
            os.close(parent)
    finally:
        os.close(fd)


def mount_table() -> list[MountEntry]:
    """All mounts of our mount namespace, in the order they were made."""
    return parse_mount_table(read_bytes("/proc/self/mountinfo"))


def parse_mount_table(data: bytes) -> list[MountEntry]:
    """Parse the text of a mountinfo file (proc(5))."""
    table = []
    for line in data.splitlines():
        head, _, tail = line.partition(b" - ")
        number, parent, device, root, target, options, *optional = head.split()
        fstype, source, super_options = (*tail.split(b" "), b"", b"")[:3]
        table.append(MountEntry(
            id=int(number), parent=int(parent), device=device.decode(), root=unescape(root), target=unescape(target),
            options=options.decode(), propagation=b" ".join(optional).decode(), fstype=unescape(fstype),
            source=unescape(source), super_options=unescape(super_options),
        ))
    return table


def unescape(field: bytes) -> str:
    """Undo the octal escapes (``\\040`` for a space) of mountinfo and fstab fields."""
    if b"\\" in field:
        parts = field.split(b"\\")
        field = parts[0] + b"".join(bytes((int(part[:3], 8),)) + part[3:] for part in parts[1:])
    return os.fsdecode(field)


def mount_from_child(cwd: str, source: str, target: str, fstype: str, flags: int, data: str) -> None:
    """mount(2) with relative paths in *data* (and *target*) meaning those below *cwd*.

    Overlay option strings must fit one page; ``lowerdir=l/AAA:l/BBB`` relative to the store does where absolute paths
    would not.  Done in a thread with a working directory of its own, which is cheaper than the child process the
    tools that invented this need.
    """
    from wherry.sys.namespaces import in_thread

    def work() -> None:
        libc.unshare(libc.CLONE_FS)
        os.chdir(cwd)
        libc.mount(source, target, fstype, flags, data)

    in_thread(work)


def adopt(pid: int, path: str, target: str) -> None:
    """Mount at *target* what process *pid* sees mounted at *path*.

    A bind mount cannot take a mount of another mount namespace (mount(2), EINVAL): a thread enters it and clones the
    mount, which can be attached anywhere then.  Raises :class:`OSError`.
    """
    from wherry.sys.namespaces import in_thread

    namespace = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)

    def clone() -> int:
        libc.unshare(libc.CLONE_FS)         # entering a mount namespace changes root and working directory
        libc.setns(namespace, libc.CLONE_NEWNS)
        return libc.open_tree(libc.AT_FDCWD, path, libc.OPEN_TREE_CLONE)

    try:
        tree = in_thread(clone)
    finally:
        os.close(namespace)
    try:
        libc.move_mount(tree, "", libc.AT_FDCWD, target, libc.MOVE_MOUNT_F_EMPTY_PATH)
    finally:
        os.close(tree)


def mount_idmapped(
    tree: str, target: str, uid_map: Sequence[IDMap], gid_map: Sequence[IDMap], *, userns_fd: int = -1
) -> None:
    """Mount directory *tree* at *target* (which must exist) with ids shifted by the maps.

    Through the mount a file owned by ``container_id`` appears owned by ``host_id``.  Several mounts with the same maps
    may share *userns_fd* (:func:`wherry.sys.namespaces.open_user_namespace`), which then replaces the maps.  Needs
    Linux 5.12, or 5.19 for a lower layer of an overlay.  Raises :class:`OSError`, EINVAL when the file system cannot.
    """
    from wherry.sys.namespaces import open_user_namespace

    own_fd = open_user_namespace(uid_map, gid_map) if userns_fd < 0 else -1
    try:
        fd = libc.open_tree(libc.AT_FDCWD, tree, libc.OPEN_TREE_CLONE)
        try:
            libc.mount_setattr(
                fd, "", libc.AT_EMPTY_PATH | libc.AT_RECURSIVE, attr_set=libc.MOUNT_ATTR_IDMAP,
                userns_fd=own_fd if userns_fd < 0 else userns_fd,
            )
            libc.move_mount(fd, "", libc.AT_FDCWD, target, libc.MOVE_MOUNT_F_EMPTY_PATH)
        except OSError as error:
            error.filename = error.filename or tree
            raise
        finally:
            os.close(fd)
    finally:
        if own_fd >= 0:
            os.close(own_fd)
