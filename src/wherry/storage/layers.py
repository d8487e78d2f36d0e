"""The layers of a store: looking them up, making those of containers, deleting.

Every method needs the layers' lock; those that change something need it for writing.
"""

from __future__ import annotations

import os

from wherry.errors import InUse, NoSuchLayer, WherryError, from_os_error
from wherry.model.digest import check_digest, encoded, of_bytes
from wherry.model.ids import generate_id, is_hex
from wherry.model.timestamps import now
from wherry.storage.home import STABLE, Home, Located
from wherry.storage.records import INCOMPLETE, LayerRecord
from wherry.sys import log
from wherry.sys.files import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from wherry.model.mount import IDMap
    from wherry.storage.driver import Driver
    from wherry.storage.mountpoints import Mounts


def layer_id_for(parent: str, diff_id: str) -> str:
    """The id image layers have: the DiffID's hex for a base layer, else sha256 of ``PARENT+DIFFID`` in hex."""
    if not parent:
        return encoded(diff_id)
    return encoded(of_bytes(f"{parent}+{encoded(diff_id)}".encode()))


class Layers:
    """The layers of all homes. *container_file* is the file number records of containers' layers go to."""

    def __init__(self, homes: Sequence[Home], driver: Driver, mounts: Mounts, container_file: int = STABLE) -> None:
        self.homes = homes
        self.driver = driver
        self.mounts = mounts
        self._container_file = container_file
        self._purged: dict[str, int] = {}       # home -> generation of its table that holds nothing incomplete

    # -- looking up ----------------------------------------------------------------------------------------------

    def find(self, layer_id: str) -> Located | None:
        """The layer, or None when no home has it or it is incomplete."""
        for home in self.homes:
            record = home.layers.get(layer_id)
            if record is not None:
                return None if record.is_incomplete else Located(home, record)
        return None

    def get(self, layer_id: str) -> Located:
        """Like :meth:`find`; raises :class:`NoSuchLayer`."""
        found = self.find(layer_id)
        if found is None:
            raise NoSuchLayer(layer_id)
        return found

    def look_up(self, text: str) -> Located:
        """By id, name or unique id prefix. Raises :class:`NoSuchLayer`."""
        found = self.find(text)
        if found is not None:
            return found
        for home in self.homes:
            record = home.layers.named(text)
            if record is not None:
                return Located(home, record)
        if is_hex(text):
            matches = {record.id for home in self.homes for record in home.layers.with_prefix(text)}
            if len(matches) == 1:
                return self.get(matches.pop())
        raise NoSuchLayer(text)

    def all(self) -> list[Located]:
        return [
            Located(home, record) for home in self.homes for record in home.layers if not record.is_incomplete
        ]

    def chain(self, top: str) -> list[Located]:
        """The layer and all below it, topmost first. Raises :class:`NoSuchLayer` for a missing one."""
        found: list[Located] = []
        seen = set()
        while top:
            if top in seen:
                raise NoSuchLayer(f"layer {top} is its own ancestor")
            seen.add(top)
            found.append(self.get(top))
            top = found[-1].record.parent
        return found

    def children(self, layer_id: str) -> list[str]:
        """Ids of the layers made on top of this one."""
        return [
            key for home in self.homes for key, row in home.layers.raw().items() if row.get("parent") == layer_id
        ]

    def with_content(self, parent: str, diff_id: str) -> Located | None:
        """The layer of this uncompressed content on this parent."""
        found = self.find(layer_id_for(parent, check_digest(diff_id)))
        candidates = [found] if found is not None else self.with_digest(diff_id)
        for layer in candidates:
            record = layer.record
            if record.parent == parent and record.diff_digest in (diff_id, "") and not record.is_mapped:
                return layer
        return None

    def with_digest(self, digest: str) -> list[Located]:
        """Layers whose content, or the compressed blob it came in, has this digest."""
        return [
            layer for layer in self.all()
            if digest in (layer.record.diff_digest, layer.record.compressed_digest)
        ]

    # -- making --------------------------------------------------------------------------------------------------

    def begin(self, home: Home, record: LayerRecord, parent: Located | None, file: int = STABLE) -> Located:
        """Record a layer as incomplete and make its directories. Nothing is left of it after an error."""
        layer = Located(home, record.flagged(INCOMPLETE, True))
        home.layers.put(layer.record, file)
        home.layers.save()
        try:
            self.driver.create(home, record.id, parent)
        except BaseException:
            self.abandon(layer)
            raise
        return layer

    def finish(self, layer: Located) -> Located:
        """Declare the layer whole."""
        done = Located(layer.home, layer.record.flagged(INCOMPLETE, None))
        done.home.layers.put(done.record)
        done.home.layers.save()
        return done

    def abandon(self, layer: Located) -> None:
        """Remove a layer that was begun. What cannot be removed now the next writer removes."""
        try:
            self._erase(layer)
            layer.home.layers.drop(layer.id)
            layer.home.layers.save()
        except WherryError as error:
            log.debug(f"removing incomplete layer {layer.id}: {error}")
            layer.home.layers.forget()

    def create_read_write(
        self,
        parent: Located | None,
        name: str,
        *,
        mount_label: str = "",
        uid_map: Sequence[IDMap] = (),
        gid_map: Sequence[IDMap] = (),
    ) -> Located:
        """A container's layer on *parent*, called *name*, its files owned by the ids of the maps.

        A name another layer holds is taken from it: names of layers are for people only.
        """
        home = self.homes[0]
        self._release_name(name)
        record = LayerRecord(
            id=generate_id(), names=[name] if name else (), parent=parent.id if parent else "", created=now(),
            mount_label=mount_label, uid_map=uid_map, gid_map=gid_map,
        )
        layer = self.begin(home, record, parent, self._container_file)
        try:
            have = (parent.record.uid_map, parent.record.gid_map) if parent else ((), ())
            if (list(have[0]), list(have[1])) != (list(uid_map), list(gid_map)):
                self.driver.remap(layer, uid_map, gid_map)
            return self.finish(layer)
        except BaseException:
            self.abandon(layer)
            raise

    def rename(self, layer: Located, name: str) -> None:
        """Call a container's layer *name*, taking the name from any other layer."""
        self._release_name(name)
        layer.home.layers.put(layer.record.replace(names=[name]))
        layer.home.layers.save()

    def _release_name(self, name: str) -> None:
        if not name:
            return
        for home in self.homes:
            owner = None if home.read_only else home.layers.named(name)
            if owner is not None:
                home.layers.put(owner.replace(names=[other for other in owner.names if other != name]))

    # -- deleting ------------------------------------------------------------------------------------------------

    def check_unused(self, layer: Located) -> None:
        """Raise :class:`InUse` when another layer needs this one."""
        children = self.children(layer.id)
        if children:
            raise InUse(f"layer {layer.id} is used by layer {children[0]}: layer has children")

    def flag_deleted(self, layers: Sequence[Located]) -> None:
        """Unmount *layers* and record that they are being deleted: from here on a crash deletes them too."""
        self.mounts.unmount_all(layers)
        for layer in layers:
            layer.home.layers.put(layer.record.flagged(INCOMPLETE, True))
        self._save_homes(layers)

    def erase(self, layers: Sequence[Located]) -> None:
        """Remove the files and records of layers flagged before, children first."""
        for layer in layers:
            self._erase(layer)
            layer.home.layers.drop(layer.id)
        self._save_homes(layers)

    def delete(self, layers: Sequence[Located]) -> None:
        """Delete *layers*, children first."""
        self.flag_deleted(layers)
        self.erase(layers)

    def _save_homes(self, layers: Sequence[Located]) -> None:
        for home in self.homes:
            if any(layer.home is home for layer in layers):
                home.layers.save()

    def _erase(self, layer: Located) -> None:
        home = layer.home
        try:
            self.driver.remove(home, layer.id)
            try:
                os.unlink(home.tar_split(layer.id))
            except FileNotFoundError:
                pass
            remove_tree(home.layer_data_dir(layer.id))
        except OSError as error:
            raise from_os_error(error, f"deleting layer {layer.id}") from None

    def purge(self) -> None:
        """Delete what crashed processes left incomplete. Called whenever the layers were opened for writing."""
        for home in self.homes:
            table = home.layers
            if home.read_only or self._purged.get(home.root) == table.generation:
                continue
            dead = [
                key for key, row in table.raw().items() if row.get("flags") and row["flags"].get(INCOMPLETE)
            ]
            left = 0
            for key in dead:
                layer = Located(home, table[key])
                try:
                    self.mounts.unmount(layer, force=True)
                    self._erase(layer)
                except WherryError as error:
                    log.once("warning", f"removing incomplete layer {key}: {error}")
                    left += 1
                    continue
                table.drop(key)
            table.save()
            if not left:
                self._purged[home.root] = table.generation
