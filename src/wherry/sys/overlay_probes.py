"""What the overlay file system of this kernel can do on a given file system.

Each probe builds a few directories below *directory*, mounts, looks and leaves nothing behind.  They cost some
milliseconds: the storage driver remembers the answers where containers/storage keeps its own
(``<runroot>/overlay/<feature>-true``).  A probe that the kernel refuses answers False, whatever the reason.
"""

from __future__ import annotations

import os

from wherry.model.mount import IDMap
from wherry.sys import mounts
from wherry.sys.files import remove_tree, write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

_LAYERS = ("lower2", "lower", "upper", "work", "merged")
_TEST_IDS = (IDMap(container_id=0, host_id=0, size=1000), IDMap(container_id=1000, host_id=2000, size=1))


def overlay(directory: str) -> bool:
    """Can an overlay with two lower layers be mounted with its parts on this file system?"""
    with _Ground(directory) as ground:
        return ground.mount()


def volatile(directory: str) -> bool:
    """Does overlay know the ``volatile`` option (Linux 5.10)?"""
    with _Ground(directory) as ground:
        return ground.mount("volatile")


def idmapped_lower(directory: str) -> bool:
    """May lower layers be id-mapped mounts (Linux 5.19 and a file system that supports them)?"""
    with _Ground(directory) as ground:
        mapped = f"{ground.path}/mapped"
        os.mkdir(mapped)
        try:
            mounts.mount_idmapped(f"{ground.path}/lower", mapped, _TEST_IDS, _TEST_IDS)
        except OSError:
            return False
        try:
            return ground.mount(lower=mapped)
        finally:
            mounts.detach(mapped)


def metacopy(directory: str, mount_options: str = "") -> bool:
    """Does a change of mode alone leave the data in the lower layer, with these mount options?"""
    with _Ground(directory) as ground:
        fd = os.open(f"{ground.path}/lower/file", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            write_all(fd, b"data")
        finally:
            os.close(fd)
        if not ground.mount(mount_options):
            return False
        os.chmod(f"{ground.path}/merged/file", 0o700)
        try:
            return "trusted.overlay.metacopy" in os.listxattr(f"{ground.path}/upper/file")
        except OSError:
            return False


def native_diff(directory: str, mount_options: str = "") -> bool:
    """May an upper directory be read as the layer's difference?

    Not when copied-up opaque directories carry their mark along (kernels before 4.7), nor when renamed directories
    are redirected instead of copied (``redirect_dir=on``).  Same two tests as the overlay drivers of containers/storage
    and Docker make.
    """
    with _Ground(directory) as ground:
        for name in ("lower2/d1", "lower2/d2", "lower/d1", "lower/d1/sub"):
            os.mkdir(f"{ground.path}/{name}", 0o755)
        try:
            os.setxattr(f"{ground.path}/lower/d1", "trusted.overlay.opaque", b"y")
        except OSError:
            return False
        if not ground.mount(mount_options):
            return False
        os.mkdir(f"{ground.path}/merged/d1/sub/new", 0o700)         # copies d1 up
        if "trusted.overlay.opaque" in os.listxattr(f"{ground.path}/upper/d1"):
            return False
        try:
            os.rename(f"{ground.path}/merged/d2", f"{ground.path}/merged/moved")
        except OSError:         # EXDEV: the kernel refuses, the tool copies
            return True
        return "trusted.overlay.redirect" not in os.listxattr(f"{ground.path}/upper/moved")


class _Ground:
    """Directories for one probe; everything mounted in them goes away with the block."""

    def __init__(self, directory: str) -> None:
        self.path = f"{directory}/.overlay-probe-{os.getpid()}-{os.urandom(4).hex()}"

    def __enter__(self) -> Self:
        os.mkdir(self.path, 0o700)
        for name in _LAYERS:
            os.mkdir(f"{self.path}/{name}", 0o755)
        return self

    def __exit__(self, *_: object) -> None:
        mounts.detach(f"{self.path}/merged")
        remove_tree(self.path)

    def mount(self, options: str = "", lower: str = "") -> bool:
        data = f"lowerdir={lower or self.path + '/lower'}:{self.path}/lower2"
        data += f",upperdir={self.path}/upper,workdir={self.path}/work"
        if options:
            data += "," + options
        try:
            mounts.mount("overlay", f"{self.path}/merged", "overlay", 0, data)
        except OSError:
            return False
        return True
