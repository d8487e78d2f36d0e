"""Counting mounts: a layer is mounted once and used by many, across processes and engines (``mountpoints.json``).

The file is in the run root, so a reboot resets it.  A count whose path is no mount point any more is stale; mounting
then really mounts again.
"""

from __future__ import annotations

from wherry.errors import WherryError
from wherry.storage.records import MountRecord

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from wherry.storage.driver import Driver, MountRequest
    from wherry.storage.home import Located
    from wherry.storage.jsonstore import Table
    from wherry.storage.locking import Locks


class Mounts:
    """The mounted layers of a store.

    :meth:`counts` needs the layers' lock, all others need it for writing; mounting needs the storage lock too.
    """

    def __init__(self, table: Table[MountRecord], locks: Locks, driver: Driver) -> None:
        self._table = table
        self._locks = locks
        self._driver = driver

    def mount(self, layer: Located, request: MountRequest) -> str:
        """Mount *layer* or, if it is, count one more user; returns where."""
        with self._locks.counting():
            held = self._table.get(layer.id)
            count = held.count if held is not None else 0
            if self._driver.is_mounted(layer):
                # Also without record: a process died between mounting and counting.
                path = held.path if held is not None else self._driver.mount_path(layer)
                self._note(layer.id, path, count + 1)
                return path
            path = self._driver.mount(layer, request)
            try:
                self._note(layer.id, path, count + 1)
            except WherryError:
                self._driver.unmount(layer)
                raise
            return path

    def unmount(self, layer: Located, *, force: bool = False) -> bool:
        """Count one user less, or all with *force*; True when the layer was really unmounted by this."""
        with self._locks.counting():
            held = self._table.get(layer.id)
            if held is not None and held.count > 1 and not force:
                self._note(layer.id, held.path, held.count - 1)
                return False
            found = self._driver.unmount(layer)
            if held is not None:
                self._table.drop(layer.id)
                self._table.save()
            return found

    def unmount_all(self, layers: Sequence[Located]) -> None:
        """Unmount *layers* whatever their counts, at the same time: the kernel lets each wait a grace period."""
        with self._locks.counting():
            mounted = [layer for layer in layers if self._driver.is_mounted(layer)]
            if len(mounted) > 1:
                self._unmount_together(mounted)
            for layer in layers:
                self._driver.unmount(layer)     # and what a crash may have left beside the mount
            for layer in layers:
                self._table.drop(layer.id)
            self._table.save()

    def _unmount_together(self, layers: Sequence[Located]) -> None:
        import threading

        failed: list[WherryError] = []

        def work(layer: Located) -> None:
            try:
                self._driver.unmount(layer)
            except WherryError as error:
                failed.append(error)

        threads = [threading.Thread(target=work, args=(layer,)) for layer in layers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failed:
            raise failed[0]

    def counts(self) -> dict[str, MountRecord]:
        """Layer id -> how often and where it is mounted, as recorded."""
        with self._locks.counting():
            return {record.id: record for record in self._table if record.count > 0}

    def correct(self, layer_id: str) -> None:
        """Forget what is recorded about a layer that is not mounted."""
        with self._locks.counting():
            self._table.drop(layer_id)
            self._table.save()

    def _note(self, layer_id: str, path: str, count: int) -> None:
        self._table.put(MountRecord(id=layer_id, path=path, count=count))
        self._table.save()
