"""Control groups: which hierarchies the host has, and making, filling and removing groups in all of them.

A *path* here is a cgroup path as in ``/proc/PID/cgroup``: absolute, below the root of each hierarchy.
"""

from __future__ import annotations

import errno
import os
import time

from wherry.model.record import EMPTY, Record
from wherry.sys.files import read_bytes, read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

V1 = "v1"
HYBRID = "hybrid"
V2 = "v2"
NONE = "none"

_V2_ROOT = "/sys/fs/cgroup"
_NOT_CONTROLLERS = frozenset(("rw", "ro", "xattr", "noprefix", "clone_children", "cpuset_v2_mode", "all", "none"))
_BUSY_ROUNDS = 40
_BUSY_FIRST_SLEEP = 0.0005


class Layout(Record):
    """What is mounted. ``v1``: only version 1 controllers; ``v2``: only the unified tree; ``hybrid``: both."""

    mode: str = NONE
    controllers: Mapping[str, str] = EMPTY        # v1 controller (or "name=systemd") -> mount point
    unified: str = ""                             # mount point of the cgroup2 tree, or empty
    unified_controllers: Sequence[str] = ()       # controllers the unified tree owns
    roots: Mapping[str, str] = EMPTY              # mount point -> cgroup path its top directory is, when not "/"

    def hierarchies(self) -> list[str]:
        """The mount points, each once; the unified tree last."""
        points = list(dict.fromkeys(self.controllers.values()))
        return [*points, self.unified] if self.unified else points

    def directory(self, mount_point: str, path: str) -> str:
        """The directory of cgroup *path* in the hierarchy mounted at *mount_point*."""
        root = self.roots.get(mount_point, "")
        if root and (path + "/").startswith(root + "/"):
            path = path[len(root):]
        return (mount_point + "/" + path.strip("/")).rstrip("/")


def layout() -> Layout:
    """Look at what is mounted now."""
    try:
        text = read_text(f"{_V2_ROOT}/cgroup.controllers")
    except (FileNotFoundError, NotADirectoryError):
        return parse_layout(read_bytes("/proc/self/mountinfo"))
    return Layout(mode=V2, unified=_V2_ROOT, unified_controllers=tuple(text.split()))


def parse_layout(mountinfo: bytes) -> Layout:
    """The layout that a mountinfo text describes; the unified tree's controllers are read from the tree itself."""
    controllers: dict[str, str] = {}
    roots: dict[str, str] = {}
    unified = ""
    for line in mountinfo.splitlines():
        head, _, tail = line.partition(b" - ")
        if not tail.startswith(b"cgroup"):
            continue
        fields = head.decode().split(" ")
        fstype, _, super_options = tail.decode().split(" ", 2)
        root, target = fields[3], fields[4]
        if fstype == "cgroup2":
            unified = unified or target
        else:
            named = [word for word in super_options.split(",") if _is_controller(word)]
            for name in named:
                controllers.setdefault(name, target)
        if root != "/":
            roots[target] = root
    mode = HYBRID if unified and controllers else V2 if unified else V1 if controllers else NONE
    owned = tuple(read_text(f"{unified}/cgroup.controllers").split()) if unified else ()
    return Layout(mode=mode, controllers=controllers, unified=unified, unified_controllers=owned, roots=roots)


def _is_controller(word: str) -> bool:
    return word not in _NOT_CONTROLLERS and not word.startswith("release_agent=")


def own_path(controller: str = "") -> str:
    """The cgroup path of this process for a v1 *controller* (``memory``, ``name=systemd``), or in the unified tree.

    Empty when there is no such hierarchy.
    """
    return path_of("self", controller)


def path_of(pid: int | str, controller: str = "") -> str:
    """:func:`own_path` for another process. Raises :class:`OSError` when it is gone."""
    for line in read_text(f"/proc/{pid}/cgroup").splitlines():
        _, names, path = line.split(":", 2)
        if names == controller or (controller and controller in names.split(",")):
            return path
    return ""


def create(path: str, where: Layout | None = None) -> None:
    """Make the cgroup *path* and its parents in every hierarchy, ready to take processes. Existing ones are fine.

    On a v2 host the parents hand down every controller they can (cgroups(7), "cgroup.subtree_control"); on a hybrid one
    they do not, since a controller in use there cannot be mounted as v1 any more.  A new v1 cpuset inherits its
    parent's cpus and memory nodes, without which no process may enter it.
    """
    where = where or layout()
    cpuset = where.controllers.get("cpuset", "")
    for mount_point in where.hierarchies():
        directory = mount_point
        for name in where.directory(mount_point, path)[len(mount_point):].strip("/").split("/"):
            if where.mode == V2:
                _hand_down(directory)
            directory = f"{directory}/{name}"
            try:
                os.mkdir(directory, 0o755)
            except FileExistsError:
                continue
            if mount_point == cpuset:
                _inherit_cpuset(directory)


def create_leaf(path: str, where: Layout) -> None:
    """Make the cgroup *path* of the unified tree, whose parent exists; what the parent hands down stays as it is."""
    try:
        os.mkdir(where.directory(where.unified, path), 0o755)
    except FileExistsError:
        pass


def members(path: str, where: Layout) -> list[int]:
    """Pids in the cgroup *path* of the unified tree itself, not those in groups below it."""
    return [int(pid) for pid in read_bytes(where.directory(where.unified, path) + "/cgroup.procs").split()]


def _hand_down(directory: str) -> None:
    """Enable the controllers *directory* has for its children, one by one: some may be refused."""
    available = read_text(f"{directory}/cgroup.controllers").split()
    enabled = read_text(f"{directory}/cgroup.subtree_control").split()
    for name in available:
        if name not in enabled:
            try:
                _write(f"{directory}/cgroup.subtree_control", "+" + name)
            except OSError as error:
                # Not ours to give, or (EBUSY) the group holds processes itself.
                if error.errno not in (errno.EBUSY, errno.EACCES, errno.EPERM, errno.EINVAL, errno.EOPNOTSUPP):
                    raise


def _inherit_cpuset(directory: str) -> None:
    parent = os.path.dirname(directory)
    for name in ("cpuset.cpus", "cpuset.mems"):
        if not read_text(f"{directory}/{name}").strip():
            _write(f"{directory}/{name}", read_text(f"{parent}/{name}").strip())


def remove(path: str, where: Layout | None = None) -> None:
    """Remove the cgroup *path* and those below it from every hierarchy; a missing one is fine.

    A group whose processes have just died stays busy for a moment and is tried again; one that still has processes
    raises :class:`OSError` with EBUSY.
    """
    if not path.strip("/"):
        raise OSError(errno.EINVAL, "the root cgroup cannot be removed", path)
    where = where or layout()
    for mount_point in where.hierarchies():
        _remove_directory(where.directory(mount_point, path))


def _remove_directory(directory: str) -> None:
    pause = _BUSY_FIRST_SLEEP
    for last in (*(False,) * _BUSY_ROUNDS, True):
        try:
            os.rmdir(directory)
            return
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            children = _children(directory)
            if not children and last:
                raise
        for child in children:
            _remove_directory(child)
        if not children:
            time.sleep(pause)
            pause = min(pause * 1.5, 0.05)


def _children(directory: str) -> list[str]:
    try:
        with os.scandir(directory) as entries:
            return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []


def processes(path: str, where: Layout | None = None) -> list[int]:
    """Pids in the cgroup *path* and those below it, over all hierarchies, in ascending order."""
    where = where or layout()
    found: set[int] = set()
    for mount_point in where.hierarchies():
        _collect(where.directory(mount_point, path), found)
    return sorted(found)


def _collect(directory: str, found: set[int]) -> None:
    try:
        found.update(int(pid) for pid in read_bytes(f"{directory}/cgroup.procs").split())
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP):   # gone, going, threaded
            raise
    for child in _children(directory):
        _collect(child, found)


def move(path: str, pid: int, where: Layout | None = None) -> None:
    """Move process *pid* into the cgroup *path* in every hierarchy. The group must exist."""
    where = where or layout()
    for mount_point in where.hierarchies():
        _write(where.directory(mount_point, path) + "/cgroup.procs", str(pid))


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    except OSError as error:
        error.filename = path
        raise
    finally:
        os.close(fd)
