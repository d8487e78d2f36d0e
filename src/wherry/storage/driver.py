"""What a storage driver does, and which one a store uses."""

from __future__ import annotations

from wherry.errors import Unsupported
from wherry.model.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    from wherry.archive.extract import ExtractOptions
    from wherry.config.settings import StorageSettings
    from wherry.model.mount import IDMap
    from wherry.storage.home import Home, Located

    class Driver(Protocol):
        """Directories and mounts of layers. Callers hold the layers' lock for writing unless it says otherwise."""

        name: str
        #: Does mounting a layer make a mount of the kernel's?
        really_mounts: bool

        def create(self, home: Home, layer_id: str, parent: Located | None) -> None:
            """Make the empty directories of a layer. What an earlier layer of this id left is removed first."""

        def remove(self, home: Home, layer_id: str) -> None:
            """Remove them with their content; missing ones are fine."""

        def move(self, home: Home, old_id: str, new_id: str) -> None:
            """Rename a layer nobody has as parent yet."""

        def contents(self, layer: Located) -> list[str]:
            """Directories a file of the layer is looked for in, topmost first (shared lock suffices)."""

        def upper(self, layer: Located) -> str:
            """The directory that holds what the layer itself changed (shared lock suffices)."""

        def layer_dirs(self, home: Home) -> list[str]:
            """Ids of all layers that have a directory, recorded or not (shared lock suffices)."""

        def extract_options(self, layer: Located) -> ExtractOptions:
            """How a layer's tar is to be unpacked into :meth:`upper`."""

        def damage(self, layer: Located) -> list[str]:
            """What beside the content is missing of the layer, one phrase each (shared lock suffices)."""

        def dangling_links(self, home: Home) -> list[str]:
            """Names of short links that lead to no layer (shared lock suffices)."""

        def restore(self, layer: Located, parent: Located | None, children: Sequence[Located]) -> None:
            """Make again what :meth:`damage` found missing."""

        def adopt(self, layer: Located, fresh: Located) -> None:
            """Put the content of *fresh*, which is given up, in the place of that of *layer*."""

        def supports_shifting(self) -> bool:
            """Can ids be shifted when a layer is mounted, so that layers stay unmapped?"""

        def mount_path(self, layer: Located) -> str:
            """Where the layer is mounted when it is (no lock)."""

        def is_mounted(self, layer: Located) -> bool:
            """Is it a mount of the kernel's now, whatever the counts say?"""

        def mount(self, layer: Located, request: MountRequest) -> str:
            """Mount the layer and return where; the caller holds the storage lock too."""

        def unmount(self, layer: Located) -> bool:
            """Unmount it, however it was mounted; False when it was not."""

        def remap(self, layer: Located, uid_map: Sequence[IDMap], gid_map: Sequence[IDMap]) -> None:
            """Give every file of the (unmounted) layer its id within the maps; storage lock held."""


class MountRequest(Record):
    """How a layer is to be mounted."""

    read_only: bool = False
    options: Sequence[str] | None = None     # replace the configured ones
    volatile: bool = False
    label: str = ""                          # SELinux
    uid_map: Sequence[IDMap] = ()            # shift ids of the lower layers
    gid_map: Sequence[IDMap] = ()


#: Drivers by the names storage.conf knows them by.
NAMES = {"overlay": "overlay", "overlay2": "overlay", "vfs": "vfs"}


def choose(settings: StorageSettings) -> str:
    """The name of the configured driver, overlay when none is.

    Raises :class:`Unsupported` for drivers wherry does not have (btrfs, zfs, aufs).
    """
    try:
        return NAMES[settings.driver or "overlay"]
    except KeyError:
        raise Unsupported(
            f"storage driver {settings.driver!r} is not supported", hint="use overlay or vfs"
        ) from None
