"""Looking for damage in a store: records that refer to nothing, files nobody refers to, content that changed.

Nothing is changed here; :mod:`wherry.storage.repair` does what can be done about it.
"""

from __future__ import annotations

import os

from wherry.errors import Corrupt, NotFound
from wherry.model import jsontext
from wherry.model.digest import of_bytes
from wherry.model.ids import is_id
from wherry.model.record import Record
from wherry.model.timestamps import SECOND, now_ns, parse_ns
from wherry.storage import bigdata, damaged
from wherry.storage.images import MANIFEST
from wherry.storage.locking import SHARED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from wherry.storage.home import Home, Located
    from wherry.storage.parts import Parts
    from wherry.storage.records import ContainerRecord, ImageRecord

# Kinds of damage. The id is that of the layer, image or container, or a path for what has none.
RECORDS = "records-unreadable"
LAYER_INCOMPLETE = "layer-incomplete"
LAYER_PARENT = "layer-parent-missing"
LAYER_CONTENT = "layer-content-missing"
LAYER_FILES = "layer-files-missing"             # link, symbolic link or lower
LAYER_TAR_SPLIT = "layer-tar-split-missing"
LAYER_DIGEST = "layer-digest-mismatch"
LAYER_UNREFERENCED = "layer-unreferenced"
IMAGE_LAYER = "image-layer-missing"
IMAGE_MANIFEST = "image-manifest-missing"
IMAGE_CONFIG = "image-config-missing"
IMAGE_DATA = "image-data-damaged"
CONTAINER_LAYER = "container-layer-missing"
CONTAINER_IMAGE = "container-image-missing"
CONTAINER_DATA = "container-data-missing"
MOUNT_STALE = "mount-count-stale"
MOUNT_UNRECORDED = "mount-unrecorded"
ORPHAN_LAYER = "orphan-layer-directory"
ORPHAN_LINK = "orphan-link"
ORPHAN_FILE = "orphan-file"
ORPHAN_IMAGE = "orphan-image-directory"
ORPHAN_CONTAINER = "orphan-container-directory"

_TAR_SPLIT = ".tar-split.gz"
_TEMPORARY = ".tmp-"
#: Image layers without image are left alone this long: a pull may be under way.
_UNREFERENCED_AGE = 24 * 3600 * SECOND


class Damage(Record):
    """One thing that is wrong. ``repairable``: it can be put right without losing anything of use."""

    kind: str = ""
    id: str = ""
    text: str = ""
    repairable: bool = False
    remedy: str = ""            # what the user can do where repairing cannot


def check(parts: Parts, *, full: bool = False) -> list[Damage]:
    """All damage found. *full* reads every layer's content and compares it with its digest."""
    try:
        with parts.locks.hold(layers=SHARED, images=SHARED, containers=SHARED):
            found = list(_Check(parts, full).run())
    except Corrupt as error:
        return [Damage(kind=RECORDS, text=str(error))]
    if full:
        damaged.note(parts.homes[0].root, [one.id for one in found if one.kind == LAYER_DIGEST])
    return found


class _Check:
    """One run, all locks held."""

    def __init__(self, parts: Parts, full: bool) -> None:
        self._parts = parts
        self._full = full
        self._needed = parts.containers.layers()        # layers of containers and top layers of images
        for image in parts.images.all():
            self._needed.update(image.top_layers())
        self._images_of_containers = {container.image for container in parts.containers.all()}
        self._with_children = {
            row.get("parent", "") for home in parts.homes for row in home.layers.raw().values()
        }

    def run(self) -> Iterator[Damage]:
        for home in self._parts.homes:
            if not home.read_only:
                yield from self._layers(home)
        for image in self._parts.images.all():
            if not image.read_only:
                yield from self._image(image)
        for container in self._parts.containers.all():
            yield from self._container(container)
        yield from self._mounts()
        yield from self._orphans()

    # -- layers --------------------------------------------------------------------------------------------------

    def _layers(self, home: Home) -> Iterator[Damage]:
        for key, row in home.layers.raw().items():
            if (row.get("flags") or {}).get("incomplete"):
                yield Damage(kind=LAYER_INCOMPLETE, id=key, text=f"layer {key} is incomplete", repairable=True)
                continue
            layer = self._parts.layers.get(key)
            if layer.home is not home:
                continue
            yield from self._layer(layer)

    def _layer(self, layer: Located) -> Iterator[Damage]:
        record = layer.record
        used = record.id in self._needed or record.id in self._with_children
        if record.parent and self._parts.layers.find(record.parent) is None:
            yield Damage(
                kind=LAYER_PARENT, id=record.id, text=f"layer {record.id}: its parent {record.parent} is missing",
                repairable=not used,
            )
            return
        if not os.path.isdir(self._parts.driver.upper(layer)):
            yield Damage(
                kind=LAYER_CONTENT, id=record.id, text=f"layer {record.id}: its content is missing",
                repairable=not used, remedy=self._remedy(layer) if used else "",
            )
            return
        for problem in self._parts.driver.damage(layer):
            yield Damage(kind=LAYER_FILES, id=record.id, text=f"layer {record.id}: {problem}", repairable=True)
        if record.diff_digest:
            yield from self._tar(layer)
        if not used and self._is_stale(layer):
            yield Damage(
                kind=LAYER_UNREFERENCED, id=record.id, text=f"layer {record.id} is used by nothing", repairable=True
            )

    def _is_stale(self, layer: Located) -> bool:
        """Is an unused layer left over? Those of containers are at once, those of images after a day."""
        record = layer.record
        if not (record.diff_digest or record.toc_digest):
            return True
        try:
            return now_ns() - parse_ns(record.created) > _UNREFERENCED_AGE
        except ValueError:
            return False

    def _tar(self, layer: Located) -> Iterator[Damage]:
        record = layer.record
        path = layer.home.tar_split(layer.id)
        if not os.path.exists(path):
            yield Damage(
                kind=LAYER_TAR_SPLIT, id=record.id, text=f"layer {record.id}: its tar-split is missing",
                remedy=self._remedy(layer),
            )
            return
        if not self._full:
            return
        import hashlib

        from wherry.archive.tarsplit import reassemble

        digest = hashlib.sha256()
        try:
            for piece in reassemble(path, self._parts.driver.contents(layer)):
                digest.update(piece)
        except (Corrupt, NotFound) as error:
            yield Damage(
                kind=LAYER_DIGEST, id=record.id, text=f"layer {record.id}: {error}", remedy=self._remedy(layer)
            )
            return
        found = "sha256:" + digest.hexdigest()
        if found != record.diff_digest:
            yield Damage(
                kind=LAYER_DIGEST, id=record.id,
                text=f"layer {record.id}: content has digest {found}, expected {record.diff_digest}",
                remedy=self._remedy(layer),
            )

    def _remedy(self, layer: Located) -> str:
        """A layer of an image is made anew when the image is pulled or loaded again."""
        if not layer.record.diff_digest:
            return ""
        for image in self._parts.images.all():
            try:
                chain = self._parts.layers.chain(image.layer) if image.layer else []
            except NotFound:
                continue
            if any(one.id == layer.id for one in chain):
                return f"pull or load {image.names[0] if image.names else image.id} again to restore it"
        return ""

    # -- images and containers -----------------------------------------------------------------------------------

    def _image(self, image: ImageRecord) -> Iterator[Damage]:
        what = f"image {image.id}"
        for layer in image.top_layers():
            if self._parts.layers.find(layer) is None:
                yield Damage(
                    kind=IMAGE_LAYER, id=image.id, text=f"{what}: its layer {layer} is missing",
                    repairable=layer != image.layer,
                )
        if MANIFEST not in image.big_data_names:
            yield Damage(kind=IMAGE_MANIFEST, id=image.id, text=f"{what} has no manifest")
        elif image.layer and not self._has_config(image):
            yield Damage(kind=IMAGE_CONFIG, id=image.id, text=f"{what} has no configuration")
        for key in image.big_data_names:
            problem = self._document(image, key)
            if problem:
                restored = key == MANIFEST and self._document(
                    image, f"{MANIFEST}-{image.big_data_digests.get(MANIFEST, '')}"
                ) == ""
                yield Damage(kind=IMAGE_DATA, id=image.id, text=f"{what}: {key} {problem}", repairable=restored)

    def _has_config(self, image: ImageRecord) -> bool:
        if f"sha256:{image.id}" in image.big_data_names:
            return True
        try:
            config = jsontext.loads(self._parts.images.manifest(image.id))["config"]["digest"]
        except (Corrupt, ValueError, KeyError, TypeError):
            return False
        return config in image.big_data_names

    def _document(self, image: ImageRecord, key: str) -> str:
        """What is wrong with a document, empty when nothing is."""
        if key not in image.big_data_names:
            return "is not recorded"
        try:
            data = self._parts.images.data(image.id, key)
        except Corrupt:
            return "is missing"
        if len(data) != image.big_data_sizes.get(key, len(data)):
            return f"has {len(data)} bytes instead of {image.big_data_sizes[key]}"
        digest = image.big_data_digests.get(key, "")
        # The digest of a signed schema 1 manifest is not that of its bytes.
        if digest and digest != of_bytes(data) and b'"signatures"' not in data:
            return f"has digest {of_bytes(data)} instead of {digest}"
        return ""

    def _has_content(self, layer_id: str) -> bool:
        """Is there content of a layer without (complete) record, that somebody may want to save?"""
        for home in self._parts.homes:
            if layer_id in home.layers:
                return False            # incomplete, its content goes
        return any(layer_id in self._parts.driver.layer_dirs(home) for home in self._parts.homes)

    def _container(self, container: ContainerRecord) -> Iterator[Damage]:
        what = f"container {container.id}"
        if self._parts.layers.find(container.layer) is None:
            yield Damage(
                kind=CONTAINER_LAYER, id=container.id, text=f"{what}: its layer {container.layer} is missing",
                repairable=not self._has_content(container.layer),
            )
        if container.image and self._parts.images.find(container.image) is None:
            yield Damage(
                kind=CONTAINER_IMAGE, id=container.id, text=f"{what}: its image {container.image} is missing"
            )
        directory = os.path.dirname(self._parts.containers.directory(container.id))
        for key in container.big_data_names:
            if not os.path.exists(f"{directory}/{bigdata.file_name(key)}"):
                yield Damage(kind=CONTAINER_DATA, id=container.id, text=f"{what}: {key} is missing")

    # -- mounts and leftovers ------------------------------------------------------------------------------------

    def _mounts(self) -> Iterator[Damage]:
        counts = self._parts.mounts.counts()
        really_mounts = self._parts.driver.really_mounts
        for key, record in counts.items():
            layer = self._parts.layers.find(key)
            if layer is None or (really_mounts and not self._parts.driver.is_mounted(layer)):
                yield Damage(
                    kind=MOUNT_STALE, id=key, repairable=True,
                    text=f"layer {key} is recorded as mounted at {record.path}, but is not",
                )
        if not really_mounts:
            return
        for home in self._parts.homes:
            for key in home.layers.raw():
                found = None if home.read_only or key in counts else self._parts.layers.find(key)
                if found is not None and self._parts.driver.is_mounted(found):
                    yield Damage(
                        kind=MOUNT_UNRECORDED, id=key, text=f"layer {key} is mounted without record", repairable=True
                    )

    def _orphans(self) -> Iterator[Damage]:
        parts = self._parts
        for home in parts.homes:
            if home.read_only:
                continue
            known = home.layers.raw()
            for name in parts.driver.layer_dirs(home):
                if is_id(name) and name not in known:
                    yield self._orphan(ORPHAN_LAYER, name, f"directory of layer {name}, which does not exist", name)
            for name in parts.driver.dangling_links(home):
                path = f"{home.driver_dir}/l/{name}"
                yield self._orphan(ORPHAN_LINK, path, f"link {path} to a layer that does not exist")
            yield from self._orphan_files(home)
            for name in _listed(home.images_dir):
                if is_id(name) and name not in home.images:
                    yield self._orphan(ORPHAN_IMAGE, name, f"directory of image {name}, which does not exist", name)
        for base in parts.containers.directories():
            for name in _listed(base):
                if is_id(name) and not parts.containers.is_recorded(name):
                    path = f"{base}/{name}"
                    yield self._orphan(ORPHAN_CONTAINER, path, f"directory {path} of a container that does not exist")

    def _orphan_files(self, home: Home) -> Iterator[Damage]:
        for name in _listed(home.layers_dir):
            owner = name.removesuffix(_TAR_SPLIT)
            path = f"{home.layers_dir}/{name}"
            if name.startswith(_TEMPORARY):
                yield self._orphan(ORPHAN_FILE, path, f"temporary file {path}")
            elif is_id(owner) and owner not in home.layers:
                yield self._orphan(ORPHAN_FILE, path, f"{path} of a layer that does not exist", owner)
        for base in (home.images_dir, self._parts.containers.directories()[0]):
            for name in _listed(base):
                if name.startswith(_TEMPORARY):
                    yield self._orphan(ORPHAN_FILE, f"{base}/{name}", f"temporary file {base}/{name}")

    def _orphan(self, kind: str, key: str, text: str, owner: str = "") -> Damage:
        """Something whose *owner* has no record. It stays if another record still speaks of that owner."""
        wanted = self._needed | self._with_children | self._images_of_containers
        return Damage(kind=kind, id=key, text=text, repairable=not owner or owner not in wanted)


def _listed(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []
