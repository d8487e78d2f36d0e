"""Making, mounting and deleting storage-containers: the operations that need several of the store's locks at once."""

from __future__ import annotations

from wherry.errors import NoSuchLayer, WherryError
from wherry.model.ids import is_id
from wherry.model.timestamps import now
from wherry.storage.containers import new_record
from wherry.storage.driver import MountRequest
from wherry.storage.locking import EXCLUSIVE, SHARED
from wherry.storage.records import MOUNT_LABEL, MOUNT_OPTIONS, PROCESS_LABEL, VOLATILE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wherry.model.mount import IDMap
    from wherry.storage.home import Located
    from wherry.storage.parts import Parts
    from wherry.storage.records import ContainerRecord, ImageRecord

    Maps = tuple[Sequence[IDMap], Sequence[IDMap]]
    ChooseMaps = Callable[[Sequence[Maps]], Maps]


class Creation:
    """One container to be made."""

    def __init__(
        self,
        parts: Parts,
        container_id: str,
        *,
        name: str,
        image_id: str,
        image_name: str,
        volatile: bool,
        mount_options: Sequence[str] | None,
        uid_map: Sequence[IDMap],
        gid_map: Sequence[IDMap],
        mount_label: str,
        process_label: str,
        choose_maps: ChooseMaps | None = None,
    ) -> None:
        self._choose_maps = choose_maps
        self._parts = parts
        self._id = container_id
        self._name = name
        self._image_id = image_id
        self._image_name = image_name
        self._maps = (uid_map, gid_map)
        self._mount_label = mount_label
        self._flags: dict[str, object] = {MOUNT_LABEL: mount_label, PROCESS_LABEL: process_label}
        if volatile or parts.settings.transient_store:
            self._flags[VOLATILE] = True
        if mount_options:
            self._flags[MOUNT_OPTIONS] = list(mount_options)

    def run(self, *, mount: bool) -> tuple[ContainerRecord, str]:
        """Make the container in one critical section; the record, and where it is mounted if it was to be."""
        if not (self._maps[0] or self._maps[1] or self._choose_maps):
            return self._run(mount=mount, bake=False)
        with self._parts.locks.choosing_ids():
            if self._choose_maps is not None:
                self._maps = self._choose_maps(self._maps_in_use())
            return self._run(mount=mount, bake=not self._parts.driver.supports_shifting())

    def _maps_in_use(self) -> list[Maps]:
        """The maps of every container of every engine on this store."""
        with self._parts.locks.hold(containers=SHARED):
            return [(record.uid_map, record.gid_map) for record in self._parts.containers.all()]

    def _run(self, *, mount: bool, bake: bool) -> tuple[ContainerRecord, str]:
        """*bake*: the ids of the maps have to be given to the files themselves."""
        parts = self._parts
        locks = parts.locks.hold(
            storage=mount or bake, layers=EXCLUSIVE, images=EXCLUSIVE if bake else SHARED, containers=EXCLUSIVE
        )
        with locks:
            parts.containers.check_free(self._id, self._name)
            image = parts.images.get(self._image_id) if self._image_id else None
            parent = self._parent(image, bake)
            layer = parts.layers.create_read_write(
                parent, f"{self._name}-layer" if self._name else "", mount_label=self._mount_label,
                uid_map=self._maps[0] if bake else (), gid_map=self._maps[1] if bake else (),
            )
            try:
                record = self._record(layer)
                parts.containers.add(record, owner_of(record))
                path = _mount(parts, record, layer) if mount else ""
            except BaseException:
                self._take_back(layer)
                raise
            return record, path

    def _parent(self, image: ImageRecord | None, bake: bool) -> Located | None:
        """The layer to build on: the image's top layer, or its copy with the files' ids mapped."""
        layers = self._parts.layers
        if image is None or not image.layer:
            return None
        wanted = (list(self._maps[0]), list(self._maps[1])) if bake else ([], [])
        best = None
        for top in image.top_layers():
            layer = layers.find(top)
            if layer is None:
                continue
            if (list(layer.record.uid_map), list(layer.record.gid_map)) == wanted:
                return layer
            best = best or layer
        if best is None:
            raise NoSuchLayer(image.layer)
        if image.read_only or best.home.read_only:
            return best         # the container's own layer gets the ids instead
        copy = self._parts.adder.mapped_copy(best, *wanted)
        try:
            self._parts.images.add_mapped_layer(image.id, copy.id)
        except WherryError:
            layers.delete([copy])
            raise
        return copy

    def _record(self, layer: Located) -> ContainerRecord:
        return new_record(
            self._id, name=self._name, image_id=self._image_id, image_name=self._image_name, layer_id=layer.id,
            created=now(), flags=self._flags, uid_map=self._maps[0], gid_map=self._maps[1],
            mount_label=self._mount_label,
        )

    def _take_back(self, layer: Located) -> None:
        parts = self._parts
        try:
            if parts.containers.is_recorded(self._id):
                parts.containers.delete([self._id])
            parts.layers.delete([layer])
        except WherryError:
            parts.layers.abandon(layer)     # on a full disk removing files first is what helps


def owner_of(record: ContainerRecord) -> tuple[int, int] | None:
    """Who the container's directories belong to: the root of its user namespace, or None for ourselves."""
    if not (record.uid_map or record.gid_map):
        return None
    from wherry.storage.shifting import root_of

    return root_of(record.uid_map, record.gid_map)


def request_for(parts: Parts, record: ContainerRecord, layer: Located) -> MountRequest:
    """How the container's layer is to be mounted."""
    shifted = not layer.record.is_mapped
    return MountRequest(
        options=record.mount_options,
        volatile=record.is_volatile and not parts.settings.disable_volatile,
        label=str(record.flags.get(MOUNT_LABEL) or layer.record.mount_label),
        uid_map=record.uid_map if shifted else (),
        gid_map=record.gid_map if shifted else (),
    )


def _mount(parts: Parts, record: ContainerRecord, layer: Located) -> str:
    path = parts.mounts.mount(layer, request_for(parts, record, layer))
    if record.uid_map:
        from wherry.storage.shifting import open_the_way

        open_the_way([path, parts.containers.directory(record.id)], parts.homes[0].root)
        open_the_way([parts.containers.run_directory(record.id)], parts.run_root)
    return path


def mount(parts: Parts, container_id: str) -> str:
    """Mount a container's layer, or count one more user of the mount."""
    with parts.locks.hold(storage=True, layers=EXCLUSIVE, containers=SHARED):
        record = parts.containers.get(container_id)
        layer = parts.layers.get(record.layer)
        parts.containers.restore_run_directory(record.id, owner_of(record))
        return _mount(parts, record, layer)


def unmount(parts: Parts, container_id: str, *, force: bool) -> bool:
    """Count one user less; True when this really unmounted it."""
    with parts.locks.hold(layers=EXCLUSIVE, containers=SHARED):
        layer = parts.layers.find(parts.containers.get(container_id).layer)
        return parts.mounts.unmount(layer, force=force) if layer is not None else False


def unmount_all(parts: Parts, container_ids: Sequence[str]) -> None:
    """Unmount the layers of several containers, however often they are mounted; missing ones are fine."""
    with parts.locks.hold(layers=EXCLUSIVE, containers=SHARED):
        records = [record for key in container_ids if (record := parts.containers.find(key)) is not None]
        parts.mounts.unmount_all([layer for record in records if (layer := parts.layers.find(record.layer))])


def delete(parts: Parts, container_ids: Sequence[str]) -> None:
    """Delete containers and their layers, mounted or not; missing ones are fine.

    The layers are flagged first, then the records go, then the files: a crash in between leaves what the next writer
    removes, or records whose deletion can be repeated.
    """
    with parts.locks.hold(layers=EXCLUSIVE, containers=EXCLUSIVE):
        records = [record for key in container_ids if (record := parts.containers.find(key)) is not None]
        layers = [layer for record in records if (layer := parts.layers.find(record.layer)) is not None]
        for layer in layers:
            parts.layers.check_unused(layer)
        if layers:
            parts.layers.flag_deleted(layers)
        parts.containers.delete([record.id for record in records])
        if layers:
            parts.layers.erase(layers)


def rename(parts: Parts, container_id: str, name: str) -> ContainerRecord:
    """Rename a container and its layer."""
    with parts.locks.hold(layers=EXCLUSIVE, containers=EXCLUSIVE):
        record = parts.containers.rename(parts.containers.get(container_id), name)
        layer = parts.layers.find(record.layer)
        if layer is not None:
            parts.layers.rename(layer, f"{name}-layer")
        return record


def check_id(container_id: str) -> str:
    """Return *container_id*; an id is also a directory name, so nothing else may pass."""
    from wherry.errors import InvalidArgument

    if not is_id(container_id):
        raise InvalidArgument(f"{container_id!r} is not a container id")
    return container_id
