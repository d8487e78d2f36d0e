"""A container's files as its processes see them - root, volumes, bind mounts - held open by descriptors.

Of a container with a process the view is that process's own mount namespace, reached through ``/proc/PID/root``.  Of
one without, the same is put together in a mount namespace nobody is in: the root is mounted and its volumes and bind
mounts are mounted over it there, each at a place resolved beneath the root.  Either way one descriptor is the root
from which everything is looked up (:class:`wherry.archive.tree.Tree`), so no link leads out, whoever changes what
meanwhile; nobody enters the container's namespaces, and nothing of the container is run.
"""

from __future__ import annotations

import os

from wherry.engine import rootfs_files
from wherry.errors import StateError, from_os_error
from wherry.model import status
from wherry.sys import libc
from wherry.sys.processes import start_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from wherry.engine.locked import LockedContainer
    from wherry.engine.mount_claims import Claim
    from wherry.engine.runtime import Runtime
    from wherry.model.container import ContainerConfig
    from wherry.model.mount import IDMap

_ROOT = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_IN_ROOT = libc.RESOLVE_IN_ROOT | libc.RESOLVE_NO_MAGICLINKS


class ContainerView:
    """The open view of one container; close it (or use it as a context manager).

    *path* of what is going to be looked at: a volume that would be mounted there gets its mount point in the root even
    if the container never ran.
    """

    def __init__(self, runtime: Runtime, identity: str, path: str = "") -> None:
        self._claim: Claim | None = None        # on the container's storage mount
        self._fds: list[int] = []
        with runtime.lock(identity) as held:
            self.config: ContainerConfig = held.config
            try:
                if held.alive:
                    self._open_process(held)
                else:
                    self._open_mounted(held, path)
            except OSError as error:
                self._give_up(held)
                raise from_os_error(error, f"opening the files of container {identity}") from error
            except BaseException:
                self._give_up(held)
                raise

    @property
    def root(self) -> str:
        """A path of the root directory, good while the view is open."""
        return f"/proc/self/fd/{self._fds[0]}"

    @property
    def uid_map(self) -> Sequence[IDMap]:
        return () if self.config.id_mappings.host_uid_mapping else self.config.id_mappings.uid_map

    @property
    def gid_map(self) -> Sequence[IDMap]:
        return () if self.config.id_mappings.host_gid_mapping else self.config.id_mappings.gid_map

    def owner(self) -> tuple[int, int]:
        """The user and group (in the container's numbers) its process runs as."""
        from wherry.spec import users

        passwd = rootfs_files.read_text(self.root, "etc/passwd")
        group = rootfs_files.read_text(self.root, "etc/group")
        user = users.resolve(self.config.user, passwd, group)
        return user.uid, user.gid

    def close(self) -> None:
        self._close_all()
        claim, self._claim = self._claim, None
        if claim is not None:
            claim.release()

    def _give_up(self, held: LockedContainer) -> None:
        """:meth:`close` while the container is locked."""
        self._close_all()
        claim, self._claim = self._claim, None
        if claim is not None:
            claim.release_locked(held)

    def _close_all(self) -> None:
        for fd in self._fds:
            os.close(fd)
        self._fds = []

    def __enter__(self) -> ContainerView:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _open_process(self, held: LockedContainer) -> None:
        pid = held.state.pid
        self._fds.append(os.open(f"/proc/{pid}/root", _ROOT))
        # Keeps the mounts together should the process end.
        self._fds.append(os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC))
        if start_time(pid) != held.state.pid_start:
            raise StateError(f"container {held.id} ended meanwhile: container state improper")

    def _open_mounted(self, held: LockedContainer, path: str) -> None:
        from wherry.sys.namespaces import in_thread

        if held.state.status == status.REMOVING:
            raise StateError(f"container {held.id} is being removed: container state improper")
        config = held.config
        if config.rootfs:
            root = os.path.realpath(config.rootfs)
        else:
            from wherry.engine.mount_claims import Claim

            self._claim = Claim(held)
            root = self._claim.path
        over = _mounts(held, root)
        if not over:
            self._fds.append(os.open(root, _ROOT))
            return
        in_thread(lambda: self._compose(root, over, path))

    def _compose(self, root: str, over: Sequence[tuple[str, str]], path: str) -> None:
        """In a thread of its own: a copy of our mount namespace with *over* mounted on *root*, kept by descriptors."""
        from _thread import get_native_id

        from wherry.sys.mounts import bind

        libc.unshare(libc.CLONE_NEWNS)
        libc.mount("", "/", "", libc.MS_SLAVE | libc.MS_REC, "")
        top = os.open(root, _ROOT)
        self._fds.append(top)
        self._fds.append(os.open(f"/proc/self/task/{get_native_id()}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC))
        for source, destination in over:
            target = _mount_point(top, source, destination, path)
            if target < 0:
                continue
            try:
                bind(source, f"/proc/self/fd/{target}", recursive=True)
            finally:
                os.close(target)


def _mounts(held: LockedContainer, root: str) -> list[tuple[str, str]]:
    """(source on the host, destination) of volumes and bind mounts, outer ones first."""
    config = held.config
    found: dict[str, str] = {}
    if config.named_volumes:
        from wherry.engine.volume_mounts import mount_paths

        found.update(mount_paths(held.runtime, config, root))
    wanted = {*config.mounts, *config.user_volumes}
    for mount in config.spec.get("mounts") or ():
        if mount.get("type") == "bind" and mount.get("destination") in wanted and os.path.exists(mount["source"]):
            found[mount["destination"]] = mount["source"]
    for overlay in config.overlay_volumes:
        if os.path.isdir(overlay.source):
            found[overlay.destination] = overlay.source
    return sorted(((source, destination) for destination, source in found.items()), key=lambda pair: pair[1])


def _mount_point(top: int, source: str, destination: str, path: str) -> int:
    """A descriptor of where to mount, -1 if there is no such place and nobody is going to look there."""
    name = destination.strip("/")
    try:
        return libc.openat2(top, name, os.O_PATH, 0, _IN_ROOT)
    except FileNotFoundError:
        if not os.path.isdir(source) or not (path.rstrip("/") + "/").startswith(f"/{name}/"):
            return -1
    from wherry.archive.tree import Tree

    with Tree(f"/proc/self/fd/{top}") as tree:
        tree.directory(os.fsencode(name), lambda parent, base: os.mkdir(base, 0o755, dir_fd=parent))
        return tree.open(os.fsencode(name), os.O_PATH | os.O_DIRECTORY)
