"""What a store is made of, put together from its settings."""

from __future__ import annotations

import os

from wherry.errors import Unsupported
from wherry.storage.containers import Containers
from wherry.storage.driver import choose
from wherry.storage.home import STABLE, VOLATILE, Home
from wherry.storage.images import Images
from wherry.storage.jsonstore import File, Table
from wherry.storage.layers import Layers
from wherry.storage.locking import Locks
from wherry.storage.mountpoints import Mounts
from wherry.storage.records import ContainerRecord, MountRecord
from wherry.sys.locks import FileLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.config.settings import StorageSettings
    from wherry.storage.driver import Driver
    from wherry.storage.layer_add import Adder


class Parts:
    """The tables, locks and driver of one store, and the services on them. Making one reads nothing."""

    def __init__(self, settings: StorageSettings) -> None:
        self.settings = settings
        name = choose(settings)
        root, run_root = os.path.abspath(settings.graph_root), os.path.abspath(settings.run_root)
        self.run_root = run_root
        if settings.image_store and os.path.abspath(settings.image_store) == root:
            raise Unsupported("imagestore must be another directory than graphroot")
        transient = run_root if settings.transient_store else ""
        graph = Home(root, name, volatile_dir=transient and f"{transient}/{name}-layers")
        self.homes = [graph]
        if settings.image_store:
            self.homes.append(Home(os.path.abspath(settings.image_store), name))
        self.image_home = self.homes[-1]
        self.homes += [
            Home(os.path.abspath(path), name, read_only=True) for path in settings.additional_image_stores
        ]
        self.driver = self._driver(name)
        containers = self._containers_table(root, transient, name)
        mounts = Table(
            MountRecord, FileLock(f"{run_root}/{name}-layers/mountpoints.lock"),
            (File(f"{run_root}/{name}-layers/mountpoints.json", sync=False),),
        )
        self.locks = Locks(root, self.homes, containers, mounts, self._opened_layers)
        self.mounts = Mounts(mounts, self.locks, self.driver)
        file = VOLATILE if transient else STABLE
        self.layers = Layers(self.homes, self.driver, self.mounts, file)
        self.images = Images(self.homes, self.image_home)
        self.containers = Containers(containers, f"{root}/{name}-containers", f"{run_root}/{name}-containers", file)
        self._adder: Adder | None = None

    def _driver(self, name: str) -> Driver:
        if name == "vfs":
            from wherry.storage.vfs import VfsDriver

            return VfsDriver(self.settings)
        from wherry.storage.overlay import OverlayDriver

        return OverlayDriver(self.homes, self.settings)

    def _containers_table(self, root: str, transient: str, name: str) -> Table[ContainerRecord]:
        """Stable and volatile file; a transient store keeps the lock and the volatile one in the run root."""
        stable, other = f"{root}/{name}-containers", f"{transient or root}/{name}-containers"
        return Table(
            ContainerRecord, FileLock(f"{other}/containers.lock"),
            (File(f"{stable}/containers.json"), File(f"{other}/volatile-containers.json", sync=False)),
        )

    def _opened_layers(self) -> None:
        self.layers.purge()

    @property
    def adder(self) -> Adder:
        """What adds image layers; brings the archive code with it."""
        made = self._adder
        if made is None:
            from wherry.storage.layer_add import Adder

            made = self._adder = Adder(self.layers, self.image_home)
        return made
