"""The store: images, layers and storage-containers shared with Podman, Buildah, Skopeo and CRI-O.

Every method takes the locks it needs and releases them before it returns; records are immutable snapshots.  Errors are
those of :mod:`wherry.errors`: ``NoSuch...`` for what is not there, ``NoSpace``, ``ReadOnly`` and ``PermissionRefused``
for what the file system refuses, ``Corrupt`` for damaged files.
"""

from __future__ import annotations

from wherry.errors import Corrupt, InUse, NoSuchLayer
from wherry.model import jsontext
from wherry.storage import creation
from wherry.storage.driver import MountRequest
from wherry.storage.locking import EXCLUSIVE, SHARED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from wherry.archive.compression import Readable
    from wherry.config.settings import StorageSettings
    from wherry.model.mount import IDMap
    from wherry.storage.check import Damage
    from wherry.storage.creation import ChooseMaps
    from wherry.storage.home import Located
    from wherry.storage.parts import Parts
    from wherry.storage.records import ContainerRecord, ImageRecord, LayerRecord, MountRecord


class Store:
    """One store. Cheap to make: nothing is opened before it is used.  Threads may share it."""

    def __init__(self, settings: StorageSettings) -> None:
        self._settings = settings
        self._made: Parts | None = None
        self._configs: dict[str, dict[str, Any]] = {}
        self._sizes: dict[str, int] = {}        # of read-only layers, on disk

    @property
    def _parts(self) -> Parts:
        made = self._made
        if made is None:
            from wherry.storage.parts import Parts

            made = self._made = Parts(self._settings)
        return made

    @property
    def driver(self) -> str:
        """Name of the storage driver: overlay or vfs."""
        return self._parts.driver.name

    # -- images --------------------------------------------------------------------------------------------------

    def images(self) -> list[ImageRecord]:
        """All images; one that several stores have appears once for each, ``read_only`` tells which is ours."""
        parts = self._parts
        with parts.locks.hold(images=SHARED):
            return parts.images.all()

    def image(self, id: str) -> ImageRecord:
        """The image with this full id. Raises :class:`NoSuchImage`."""
        parts = self._parts
        with parts.locks.hold(images=SHARED):
            return parts.images.get(id)

    def find_image(self, text: str) -> ImageRecord:
        """The image with this id (``sha256:`` allowed), full name or unique id prefix. Raises :class:`NoSuchImage`."""
        parts = self._parts
        with parts.locks.hold(images=SHARED):
            return parts.images.look_up(text)

    def find_image_by_digest(self, repository: str, digest: str) -> ImageRecord:
        """The image ``repository@digest`` means; *repository* is a full one (``docker.io/library/alpine``).

        Of several images with a manifest (or manifest list) of that digest and a name in the repository, the one for
        this machine.  Raises :class:`NoSuchImage`.
        """
        parts = self._parts
        with parts.locks.hold(images=SHARED):
            return parts.images.by_digest(repository, digest)

    def image_data(self, image_id: str, key: str) -> bytes:
        """A document kept with the image. Raises :class:`Corrupt` when it has none of that key."""
        parts = self._parts
        with parts.locks.hold(images=SHARED):
            return parts.images.data(image_id, key)

    def image_config(self, image_id: str) -> dict[str, Any]:
        """The decoded configuration (OCI image spec, config.md). Shared between calls: not to be changed."""
        parts = self._parts
        with parts.locks.hold(images=SHARED):
            parts.images.get(image_id)
            config = self._configs.get(image_id)
            if config is not None:
                return config
            data = parts.images.config(image_id)
        try:
            config = jsontext.loads(data)
        except jsontext.JSONError as error:
            raise Corrupt(f"configuration of image {image_id}: {error}") from None
        if not isinstance(config, dict):
            raise Corrupt(f"configuration of image {image_id} is not a JSON object")
        self._configs[image_id] = config
        return config

    def image_manifest(self, image_id: str) -> bytes:
        """The image's default manifest, exact bytes."""
        parts = self._parts
        with parts.locks.hold(images=SHARED):
            return parts.images.manifest(image_id)

    def image_signatures(self, image_id: str) -> list[bytes]:
        """The signatures kept for the image's default manifest."""
        parts = self._parts
        with parts.locks.hold(images=SHARED):
            return parts.images.signatures(image_id)

    def image_size(self, image_id: str) -> int:
        """Bytes of all layers (as tars) and documents, the figure ``podman images`` shows."""
        parts = self._parts
        with parts.locks.hold(layers=SHARED, images=SHARED):
            image = parts.images.get(image_id)
            layers: dict[str, Located] = {}
            for top in image.top_layers():
                for layer in parts.layers.chain(top):
                    layers[layer.id] = layer
            total = sum(image.big_data_sizes.get(key, 0) for key in image.big_data_names)
            for layer in layers.values():
                total += self._tar_size(layer)
            return total

    def _tar_size(self, layer: Located) -> int:
        record = layer.record
        return record.diff_size if record.diff_digest and record.diff_size >= 0 else self._disk_size(layer)

    def _disk_size(self, layer: Located) -> int:
        """What the files of an image layer take; counted once."""
        known = self._sizes.get(layer.id)
        if known is None:
            from wherry.storage.usage import size_of

            known = self._sizes[layer.id] = size_of(self._parts.driver.upper(layer))
        return known

    def add_image(
        self,
        *,
        config: bytes,
        manifest: bytes,
        manifest_list: bytes = b"",
        layer: str,
        names: Sequence[str],
        signatures: Sequence[bytes] = (),
    ) -> ImageRecord:
        """Record an image whose layers are in the store; its id is the hex of the configuration's digest.

        If that configuration is recorded already, manifest and names are added to it.  Raises :class:`NoSuchLayer`
        when *layer* (the top one; empty for none) is gone, :class:`Corrupt` when the recorded image has another.
        """
        parts = self._parts
        with parts.locks.hold(layers=SHARED, images=EXCLUSIVE):
            if layer:
                parts.layers.get(layer)
            return parts.images.add(
                config=config, manifest=manifest, manifest_list=manifest_list, layer=layer, names=names,
                signatures=signatures,
            )

    def add_manifest_list(self, image_id: str, manifest: bytes, names: Sequence[str]) -> ImageRecord:
        """Record an index made here as an image without layers; *image_id* is a new random id."""
        parts = self._parts
        with parts.locks.hold(images=EXCLUSIVE):
            return parts.images.add_list(image_id, manifest, names)

    def set_image_data(self, image_id: str, key: str, data: bytes) -> ImageRecord:
        """Store or replace one document of the image."""
        parts = self._parts
        with parts.locks.hold(images=EXCLUSIVE):
            return parts.images.set_data(image_id, key, data)

    def set_names(self, image_id: str, names: Sequence[str]) -> ImageRecord:
        """Replace the image's names. A name another image holds is taken from it."""
        parts = self._parts
        with parts.locks.hold(images=EXCLUSIVE):
            return parts.images.set_names(image_id, names)

    def add_names(self, image_id: str, names: Sequence[str]) -> ImageRecord:
        """Put *names* before those the image has."""
        parts = self._parts
        with parts.locks.hold(images=EXCLUSIVE):
            return parts.images.add_names(image_id, names)

    def remove_names(self, image_id: str, names: Sequence[str]) -> ImageRecord:
        """Take *names* away; the image stays even without any."""
        parts = self._parts
        with parts.locks.hold(images=EXCLUSIVE):
            return parts.images.remove_names(image_id, names)

    def delete_image(self, image_id: str) -> list[str]:
        """Delete an image and every layer nothing else uses; returns the ids of those layers, topmost first.

        Raises :class:`ImageInUse` when a container of any engine is made from it, :class:`NoSuchImage`, and
        :class:`ReadOnly` for an image of a read-only store.
        """
        from wherry.storage.deletion import delete_image

        return delete_image(self._parts, image_id)

    def mount_image(self, image_id: str) -> str:
        """Mount the image read-only, or count one more user; returns where. Undone by :meth:`unmount_image`."""
        parts = self._parts
        with parts.locks.hold(storage=True, layers=EXCLUSIVE, images=SHARED):
            return parts.mounts.mount(self._top_layer(image_id), MountRequest(read_only=True))

    def unmount_image(self, image_id: str, *, force: bool = False) -> bool:
        """Count one user of the mounted image less, or all with *force*; True when it was really unmounted."""
        parts = self._parts
        with parts.locks.hold(layers=EXCLUSIVE, images=SHARED):
            return parts.mounts.unmount(self._top_layer(image_id), force=force)

    def _top_layer(self, image_id: str) -> Located:
        """The top layer whose files have their own ids."""
        parts = self._parts
        image = parts.images.get(image_id)
        for top in image.top_layers():
            layer = parts.layers.find(top)
            if layer is not None and not layer.record.is_mapped:
                return layer
        raise NoSuchLayer(f"image {image_id} has no layer that can be mounted")

    # -- layers --------------------------------------------------------------------------------------------------

    def layers(self) -> list[LayerRecord]:
        """All layers, those of containers included."""
        parts = self._parts
        with parts.locks.hold(layers=SHARED):
            return [layer.record for layer in parts.layers.all()]

    def layer(self, id: str) -> LayerRecord:
        """The layer with this id, name or unique id prefix. Raises :class:`NoSuchLayer`."""
        parts = self._parts
        with parts.locks.hold(layers=SHARED):
            return parts.layers.look_up(id).record

    def layer_chain(self, top: str) -> list[LayerRecord]:
        """The layer *top* and all below it, top first. Raises :class:`NoSuchLayer` for a missing one."""
        parts = self._parts
        with parts.locks.hold(layers=SHARED):
            return [layer.record for layer in parts.layers.chain(top)]

    def layer_dirs(self, layer_id: str) -> list[str]:
        """Directories the layer's content is in, its own first, then those of the layers below (with overlay)."""
        parts = self._parts
        with parts.locks.hold(layers=SHARED):
            return parts.driver.contents(parts.layers.get(layer_id))

    def find_layer(self, parent: str, diff_id: str) -> LayerRecord | None:
        """The layer with this uncompressed content on this parent (empty: a base layer), if there is one."""
        parts = self._parts
        with parts.locks.hold(layers=SHARED):
            found = parts.layers.with_content(parent, diff_id)
            return found.record if found is not None else None

    def is_layer_damaged(self, layer_id: str) -> bool:
        """Is content of this image layer missing, or was it found to be wrong by a full :meth:`check`?"""
        from wherry.storage.damaged import is_damaged

        parts = self._parts
        with parts.locks.hold(layers=SHARED):
            return is_damaged(parts, parts.layers.get(layer_id))

    def refill_layer(self, layer_id: str, stream: Readable) -> LayerRecord:
        """Make the content of a damaged image layer anew from its tar, compressed or not (see :meth:`add_layer`).

        Raises :class:`Corrupt` when the tar is another one; :class:`InUse` while damaged content is mounted.
        """
        parts = self._parts
        with parts.locks.hold(layers=EXCLUSIVE):
            return parts.adder.refill(parts.layers.get(layer_id), stream).record

    def find_layer_by_blob(self, digest: str) -> list[LayerRecord]:
        """Layers whose content, or the compressed blob it came in, has this digest."""
        parts = self._parts
        with parts.locks.hold(layers=SHARED):
            return [layer.record for layer in parts.layers.with_digest(digest)]

    def add_layer(
        self,
        parent: str,
        stream: Readable,
        *,
        layer_id: str = "",
        diff_id: str = "",
        compressed_digest: str = "",
        compressed_size: int = -1,
    ) -> LayerRecord:
        """Extract a layer's tar (compressed or not) onto *parent* (empty: a base layer).

        The store is locked while *stream* is read (in another thread): it should be a local file, and reading it must
        not use the store.  It is not read when the layer is there already.

        Raises :class:`Corrupt` when it is no tar or not what *diff_id* says, :class:`NoSuchLayer` when the parent is
        gone, :class:`InUse` when the parent is a container's layer; nothing is left then.
        """
        parts = self._parts
        with parts.locks.hold(layers=EXCLUSIVE):
            if parent:
                with parts.locks.hold(containers=SHARED):
                    if parts.containers.of_layer(parent) is not None:
                        raise InUse(f"layer {parent} is a container's: new layer's parent is a container")
            return parts.adder.add(
                parent, stream, layer_id=layer_id, diff_id=diff_id, compressed_digest=compressed_digest,
                compressed_size=compressed_size,
            ).record

    def copy_layer(self, layer_id: str, parent: str) -> LayerRecord:
        """The same content as a layer on another parent."""
        parts = self._parts
        with parts.locks.hold(layers=EXCLUSIVE):
            return parts.adder.copy(parts.layers.get(layer_id), parent).record

    def layer_tar(self, layer_id: str) -> Iterator[bytes]:
        """The uncompressed tar the layer was made from, bit for bit, in pieces.

        The layers stay locked for reading until the iterator is exhausted or closed, by the thread that began it.
        Raises :class:`Corrupt` when files or their checksums are not what they were.
        """
        from wherry.archive.tarsplit import reassemble

        parts = self._parts
        with parts.locks.hold(layers=SHARED):
            layer = parts.layers.get(layer_id)
            yield from reassemble(layer.home.tar_split(layer.id), parts.driver.contents(layer))

    def mount_layer(self, layer_id: str) -> str:
        """Mount an image's or container's layer, or count one more user; returns where."""
        parts = self._parts
        with parts.locks.hold(storage=True, layers=EXCLUSIVE):
            layer = parts.layers.get(layer_id)
            return parts.mounts.mount(layer, MountRequest(read_only=bool(layer.record.diff_digest)))

    def unmount_layer(self, layer_id: str) -> bool:
        """Count one user of a layer's mount less; True when it was really unmounted."""
        parts = self._parts
        with parts.locks.hold(layers=EXCLUSIVE):
            return parts.mounts.unmount(parts.layers.get(layer_id), force=False)

    def delete_layer(self, id: str) -> None:
        """Delete a layer nothing uses; a missing one is fine. Raises :class:`InUse`."""
        from wherry.storage.deletion import delete_layer

        delete_layer(self._parts, id)

    # -- containers ----------------------------------------------------------------------------------------------

    def containers(self) -> list[ContainerRecord]:
        """The storage-containers of all engines."""
        parts = self._parts
        with parts.locks.hold(containers=SHARED):
            return parts.containers.all()

    def container(self, id: str) -> ContainerRecord:
        """The storage-container with this id, name, layer id or unique id prefix. Raises :class:`NoSuchContainer`."""
        parts = self._parts
        with parts.locks.hold(containers=SHARED):
            return parts.containers.look_up(id)

    def create_container(
        self,
        id: str,
        *,
        name: str,
        image_id: str,
        image_name: str,
        volatile: bool = False,
        mount_options: Sequence[str] | None = None,
        uid_map: Sequence[IDMap] = (),
        gid_map: Sequence[IDMap] = (),
        mount_label: str = "",
        process_label: str = "",
        choose_maps: ChooseMaps | None = None,
    ) -> ContainerRecord:
        """Make a container: a read-write layer on the image, a record, directories in graph root and run root.

        *volatile* layers are not brought to the disk; *mount_options* replace the configured ones; the maps are those
        of its user namespace, or what *choose_maps* makes of the maps of all other containers (the record returned has
        them).  Raises :class:`NameInUse`, :class:`AlreadyExists` for the id, :class:`NoSuchImage`.
        """
        return creation.Creation(
            self._parts, creation.check_id(id), name=name, image_id=image_id, image_name=image_name,
            volatile=volatile, mount_options=mount_options, uid_map=uid_map, gid_map=gid_map,
            mount_label=mount_label, process_label=process_label, choose_maps=choose_maps,
        ).run(mount=False)[0]

    def create_and_mount(
        self,
        id: str,
        *,
        name: str,
        image_id: str,
        image_name: str,
        volatile: bool = False,
        mount_options: Sequence[str] | None = None,
        uid_map: Sequence[IDMap] = (),
        gid_map: Sequence[IDMap] = (),
        mount_label: str = "",
        process_label: str = "",
    ) -> tuple[ContainerRecord, str]:
        """:meth:`create_container` and :meth:`mount_container` in one critical section; also returns the path."""
        return creation.Creation(
            self._parts, creation.check_id(id), name=name, image_id=image_id, image_name=image_name,
            volatile=volatile, mount_options=mount_options, uid_map=uid_map, gid_map=gid_map,
            mount_label=mount_label, process_label=process_label,
        ).run(mount=True)

    def mount_container(self, id: str) -> str:
        """Mount the container's layer, or count one more user of the mount; returns where it is."""
        return creation.mount(self._parts, id)

    def unmount_container(self, id: str, *, force: bool = False) -> bool:
        """Count one user of the mount less, or all with *force*; True when it was really unmounted."""
        return creation.unmount(self._parts, id, force=force)

    def delete_container(self, id: str) -> None:
        """Delete the container with layer and directories, mounted or not; a missing one is fine."""
        creation.delete(self._parts, [id])

    def unmount_containers(self, ids: Sequence[str]) -> None:
        """Unmount several containers at once, however often they are mounted; missing ones are fine."""
        creation.unmount_all(self._parts, ids)

    def delete_containers(self, ids: Sequence[str]) -> None:
        """:meth:`delete_container` for several in one critical section."""
        creation.delete(self._parts, ids)

    def rename_container(self, id: str, name: str) -> ContainerRecord:
        """Rename the container (and its layer). Raises :class:`NameInUse`."""
        return creation.rename(self._parts, id, name)

    def container_dir(self, id: str) -> str:
        """The container's directory in the graph root; made with the container."""
        return self._parts.containers.directory(creation.check_id(id))

    def container_run_dir(self, id: str) -> str:
        """The container's directory in the run root; made with the container and, after a reboot, when mounting."""
        return self._parts.containers.run_directory(creation.check_id(id))

    def container_size(self, id: str) -> tuple[int, int]:
        """Bytes in the container's own layer, and in the layers of its image: Podman's SizeRw and SizeRootFs."""
        from wherry.storage.usage import size_of

        parts = self._parts
        with parts.locks.hold(layers=SHARED, containers=SHARED):
            top, *below = parts.layers.chain(parts.containers.get(id).layer)
        # Counting may take long and needs no lock: what is deleted meanwhile is not counted.
        return size_of(parts.driver.upper(top)), sum(self._disk_size(layer) for layer in below)

    def mounted(self) -> dict[str, MountRecord]:
        """Recorded mounts by layer id, those of all engines."""
        parts = self._parts
        with parts.locks.hold(layers=SHARED):
            return parts.mounts.counts()

    # -- health --------------------------------------------------------------------------------------------------

    def check(self, *, full: bool = False) -> list[Damage]:
        """Look for damage; *full* also puts every layer's tar together and compares its digest."""
        from wherry.storage.check import check

        return check(self._parts, full=full)

    def repair(self, damages: Sequence[Damage]) -> list[Damage]:
        """Repair what is repairable among *damages*; returns what is left. Nothing that is in use is deleted."""
        from wherry.storage.repair import repair

        return repair(self._parts, damages)
