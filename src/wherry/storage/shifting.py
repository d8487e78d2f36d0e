"""Ids of user namespaces: shifting them when a layer is mounted, or baking them into its files."""

from __future__ import annotations

import os
import stat

from wherry.archive.idmap import root_id, to_host
from wherry.model.mount import IDMap
from wherry.sys.files import make_dirs, try_read_text
from wherry.sys.mounts import detach, mount_idmapped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

_IDENTITY_SIZE = (1 << 32) - 1
_CAPABILITY = "security.capability"


def root_of(uid_map: Sequence[IDMap], gid_map: Sequence[IDMap]) -> tuple[int, int]:
    """The host's ids of the container's root."""
    return root_id(uid_map), root_id(gid_map)


def kernel_shifts(directory: str, run_dir: str) -> bool:
    """Does overlay take id-mapped lower directories (Linux 5.19) on the file system of *directory*?

    Other engines keep the answer of a probe in *run_dir*; without it we try.
    """
    for answer in (True, False):
        if try_read_text(f"{run_dir}/idmapped-lower-dir-{str(answer).lower()}") is not None:
            return answer
    from wherry.sys.overlay_probes import idmapped_lower

    make_dirs(directory)
    return idmapped_lower(directory)


class ShiftedTrees:
    """Id-mapped mounts of the driver directories lower layers live in; gone when the block is left.

    The overlay keeps its own reference to them, so they are only needed while it is mounted.
    """

    def __init__(self, directory: str, uid_map: Sequence[IDMap], gid_map: Sequence[IDMap]) -> None:
        self._directory = directory
        identity = [IDMap(container_id=0, host_id=0, size=_IDENTITY_SIZE)]
        self._maps = (uid_map or identity, gid_map or identity)
        self._mounted: dict[str, str] = {}      # tree -> where it is mounted
        self._userns = -1
        #: uid and gid of the container's root on the host
        self.root = root_of(uid_map, gid_map)

    def __enter__(self) -> Self:
        from wherry.sys.namespaces import open_user_namespace

        make_dirs(self._directory)
        self._userns = open_user_namespace(*self._maps)
        return self

    def path(self, lower: str) -> str:
        """The shifted counterpart of *lower*, which is ``<driver>/l/LINK[/../diffN]`` or ``<driver>/<id>/...``."""
        head, link, rest = lower.partition("/l/")
        tree = head if link else os.path.dirname(lower)
        below = f"l/{rest}" if link else os.path.basename(lower)
        target = self._mounted.get(tree)
        if target is None:
            target = f"{self._directory}/{len(self._mounted)}"
            make_dirs(target)
            mount_idmapped(tree, target, *self._maps, userns_fd=self._userns)
            self._mounted[tree] = target
        return f"{target}/{below}"

    def __exit__(self, *_: object) -> None:
        os.close(self._userns)
        for target in self._mounted.values():
            detach(target)
            os.rmdir(target)
        os.rmdir(self._directory)


def open_the_way(paths: Sequence[str], root: str) -> None:
    """Let the user namespace's processes pass through the directories from *root* down to each of *paths*."""
    done = set()
    for path in paths:
        here = root
        for part in ["", *os.path.relpath(path, root).split("/")]:
            here = f"{here}/{part}" if part else here
            if here in done:
                continue
            done.add(here)
            mode = stat.S_IMODE(os.stat(here).st_mode)
            if not mode & stat.S_IXOTH:
                os.chmod(here, mode | 0o111)


def chown_tree(root: str, uid_map: Sequence[IDMap], gid_map: Sequence[IDMap]) -> None:
    """Give every file below *root* (and itself) the host's ids for its container ids.

    Changing the owner clears set-id bits and file capabilities: both are put back.
    """
    seen: set[tuple[int, int]] = set()
    _chown_one(root, uid_map, gid_map, seen)
    for directory, names, files in os.walk(root):
        for name in (*names, *files):
            _chown_one(f"{directory}/{name}", uid_map, gid_map, seen)


def _chown_one(path: str, uid_map: Sequence[IDMap], gid_map: Sequence[IDMap], seen: set[tuple[int, int]]) -> None:
    info = os.lstat(path)
    if not stat.S_ISDIR(info.st_mode) and info.st_nlink > 1:
        if (info.st_dev, info.st_ino) in seen:
            return
        seen.add((info.st_dev, info.st_ino))
    uid, gid = to_host(info.st_uid, uid_map), to_host(info.st_gid, gid_map)
    if (uid, gid) == (info.st_uid, info.st_gid):
        return
    capability = None
    if stat.S_ISREG(info.st_mode):
        try:
            capability = os.getxattr(path, _CAPABILITY, follow_symlinks=False)
        except OSError:
            pass
    os.chown(path, uid, gid, follow_symlinks=False)
    if stat.S_ISREG(info.st_mode) and info.st_mode & (stat.S_ISUID | stat.S_ISGID):
        os.chmod(path, stat.S_IMODE(info.st_mode))
    if capability is not None:
        os.setxattr(path, _CAPABILITY, capability, follow_symlinks=False)
