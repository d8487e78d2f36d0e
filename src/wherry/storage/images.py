"""The images of a store: records, names and the documents kept with them.

Every method needs the images' lock; those that change something need it for writing.
"""

from __future__ import annotations

import os

from wherry.errors import Corrupt, ImageInUse, NoSuchImage, ReadOnly, WherryError, from_os_error
from wherry.model import jsontext
from wherry.model.digest import encoded, of_bytes
from wherry.model.ids import is_hex
from wherry.model.record import EMPTY
from wherry.model.timestamps import now, parse_ns
from wherry.storage import bigdata
from wherry.storage.records import ImageRecord
from wherry.sys import log
from wherry.sys.files import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from wherry.storage.home import Home

MANIFEST = "manifest"

#: Machine names of uname(2) by the architecture names of the OCI image specification.
_ARCHITECTURES = {
    "x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "armv6l": "arm", "i686": "386", "i386": "386",
    "ppc64le": "ppc64le", "s390x": "s390x", "riscv64": "riscv64", "mips64": "mips64", "loongarch64": "loong64",
}


class ImageHeld(ImageInUse):
    """A container uses the image; the message is Podman's, with the advice after the cause."""

    def __init__(self, container_id: str) -> None:
        super().__init__(
            f"image used by {container_id}: {ImageInUse.cause}: consider listing external containers and "
            "force-removing image"
        )

    def __str__(self) -> str:
        return self.message


class Images:
    """The images of all homes; new ones go to *home*."""

    def __init__(self, homes: Sequence[Home], home: Home) -> None:
        # Where images are written is looked into first.
        self._homes = [home, *(other for other in homes if other is not home)]
        self.home = home

    # -- looking up ----------------------------------------------------------------------------------------------

    def all(self) -> list[ImageRecord]:
        """Every record; an image known to several homes appears once for each, read-only ones marked."""
        return [self._marked(home, record) for home in self._homes for record in home.images]

    def find(self, image_id: str) -> tuple[Home, ImageRecord] | None:
        """The image and the first home that has it."""
        for home in self._homes:
            record = home.images.get(image_id)
            if record is not None:
                return home, self._marked(home, record)
        return None

    def locate(self, image_id: str) -> tuple[Home, ImageRecord]:
        """Like :meth:`find`; raises :class:`NoSuchImage`."""
        found = self.find(image_id)
        if found is None:
            raise NoSuchImage(image_id)
        return found

    def get(self, image_id: str) -> ImageRecord:
        """By full id; raises :class:`NoSuchImage`."""
        return self.locate(image_id)[1]

    def look_up(self, text: str) -> ImageRecord:
        """By id (``sha256:`` allowed), exact name or unique id prefix. Raises :class:`NoSuchImage`."""
        bare = text.removeprefix("sha256:")
        found = self.find(bare)
        if found is not None:
            return found[1]
        for home in self._homes:
            record = home.images.named(text)
            if record is not None:
                return self._marked(home, record)
        if is_hex(bare):
            matches = {record.id for home in self._homes for record in home.images.with_prefix(bare)}
            if len(matches) == 1:
                return self.get(matches.pop())
        raise NoSuchImage(text)

    def by_digest(self, repository: str, digest: str) -> ImageRecord:
        """The image ``repository@digest`` stands for. Raises :class:`NoSuchImage`.

        An exact name wins; else an image that has the digest and a name of the repository.  Of several, the one a
        stored manifest list of that digest selects for this machine.
        """
        name = f"{repository}@{digest}"
        candidates: list[ImageRecord] = []
        for home in self._homes:
            record = home.images.named(name)
            if record is not None:
                return self._marked(home, record)
            candidates += [
                self._marked(home, record) for record in home.images
                if digest in record.digests() and any(_repository(held) == repository for held in record.names)
            ]
        if not candidates:
            raise NoSuchImage(name)
        for candidate in candidates[1:] and candidates:
            if self._selected(candidate, digest):
                return candidate
        return candidates[0]

    def _selected(self, record: ImageRecord, digest: str) -> bool:
        """Does the list *digest* stored with the image select the image on this machine?"""
        key = f"{MANIFEST}-{digest}"
        if key not in record.big_data_names:
            return False
        try:
            instances = jsontext.loads(self.data(record.id, key)).get("manifests") or ()
        except (WherryError, ValueError, AttributeError):
            return False
        machine = os.uname().machine
        ours = ("linux", _ARCHITECTURES.get(machine, machine))
        for instance in instances:
            platform = instance.get("platform") or {}
            if (platform.get("os"), platform.get("architecture")) == ours:
                return instance.get("digest") in record.digests()
        return False

    def data(self, image_id: str, key: str) -> bytes:
        """A document of the image, from the first home that has it. Raises :class:`Corrupt` when none does."""
        known = False
        for home in self._homes:
            record = home.images.get(image_id)
            if record is None:
                continue
            known = True
            if key in record.big_data_names:
                return bigdata.read(home.image_dir(image_id), key)
        if not known:
            raise NoSuchImage(image_id)
        raise Corrupt(f"image {image_id} has no {key}", hint="pull the image again")

    def manifest(self, image_id: str) -> bytes:
        """The default manifest, exact bytes."""
        return self.data(image_id, MANIFEST)

    def signatures(self, image_id: str) -> list[bytes]:
        """The signatures kept for the default manifest, each as containers/image stores it."""
        digest = of_bytes(self.manifest(image_id))
        record = self.get(image_id)
        key, sizes = _signature_sizes(record.metadata, digest)
        if not sizes or key not in record.big_data_names:
            return []
        data = self.data(image_id, key)
        found, at = [], 0
        for size in sizes:
            found.append(data[at:at + size])
            at += size
        return found

    def config(self, image_id: str) -> bytes:
        """The configuration document, exact bytes: the one the id is the digest of, else the manifest's."""
        key = f"sha256:{image_id}"
        if key not in self.get(image_id).big_data_names:
            try:
                key = jsontext.loads(self.manifest(image_id))["config"]["digest"]
            except (ValueError, KeyError, TypeError):
                pass
        return self.data(image_id, key)

    def _marked(self, home: Home, record: ImageRecord) -> ImageRecord:
        return record.replace(read_only=True) if home.read_only else record

    # -- changing ------------------------------------------------------------------------------------------------

    def add(
        self,
        *,
        config: bytes,
        manifest: bytes,
        manifest_list: bytes,
        layer: str,
        names: Sequence[str],
        signatures: Sequence[bytes],
    ) -> ImageRecord:
        """Record an image whose layers are there, or add manifest and names to the record of the same configuration.

        Documents are stored before the record that lists them.  Raises :class:`Corrupt` when the same configuration
        is recorded on another layer.
        """
        config_digest, manifest_digest = of_bytes(config), of_bytes(manifest)
        image_id = encoded(config_digest)
        old = self.home.images.get(image_id)
        if old is not None and old.layer != layer and layer not in old.mapped_layers:
            raise Corrupt(f"image {image_id} exists with layer {old.layer or 'none'} instead of {layer or 'none'}")
        documents = {config_digest: config}
        if manifest_list:
            documents[f"{MANIFEST}-{of_bytes(manifest_list)}"] = manifest_list
        documents[f"{MANIFEST}-{manifest_digest}"] = manifest
        documents[MANIFEST] = manifest
        sizes = [len(signature) for signature in signatures]
        metadata = _metadata(old.metadata if old else "", manifest_digest, sizes)
        if signatures:
            documents["signatures"] = documents[f"signature-{encoded(manifest_digest)}"] = b"".join(signatures)
        record = old or ImageRecord(id=image_id, digest=manifest_digest, layer=layer, created=_created(config))
        try:
            record = self._with_documents(self.home, record, documents).replace(metadata=metadata)
            self._put_named(record, [*names, *record.names])
            self.home.images.save()
        except BaseException:
            self._undo_documents(image_id, old)
            raise
        return self.home.images[image_id]

    def add_list(self, image_id: str, manifest: bytes, names: Sequence[str]) -> ImageRecord:
        """Record a manifest list (index) image made here: random *image_id*, no layer, no name history."""
        try:
            record = ImageRecord(id=image_id, digest=of_bytes(manifest), names=list(names), created=now())
            for name in names:
                self._release_name(name, image_id)
            record = self._with_documents(self.home, record, {MANIFEST: manifest})
            self.home.images.put(record)
            self.home.images.save()
        except BaseException:
            self._undo_documents(image_id, None)
            raise
        return self.home.images[image_id]

    def set_data(self, image_id: str, key: str, data: bytes) -> ImageRecord:
        """Store or replace one document of an image."""
        record = self._with_documents(self.home, self._writable(image_id), {key: data})
        self.home.images.put(record)
        self.home.images.save()
        return record

    def set_names(self, image_id: str, names: Sequence[str]) -> ImageRecord:
        """Replace the names; ones held by other images are taken from them."""
        self._put_named(self._writable(image_id), names)
        self.home.images.save()
        return self.home.images[image_id]

    def add_names(self, image_id: str, names: Sequence[str]) -> ImageRecord:
        """Put *names* before those the image has."""
        record = self._writable(image_id)
        return self.set_names(image_id, [*names, *record.names])

    def remove_names(self, image_id: str, names: Sequence[str]) -> ImageRecord:
        record = self._writable(image_id)
        return self.set_names(image_id, [name for name in record.names if name not in names])

    def add_mapped_layer(self, image_id: str, layer_id: str) -> None:
        """List a copy of the top layer made for other id maps."""
        record = self.home.images[image_id]
        self.home.images.put(record.replace(mapped_layers=[*record.mapped_layers, layer_id]))
        self.home.images.save()

    def delete(self, image_id: str) -> None:
        """Remove the record, then its documents. Raises :class:`NoSuchImage`, :class:`ReadOnly`."""
        home = self._writable_home(image_id)
        home.images.drop(image_id)
        home.images.save()
        try:
            remove_tree(home.image_dir(image_id))
        except OSError as error:
            raise from_os_error(error, f"deleting image {image_id}") from None

    def _put_named(self, record: ImageRecord, names: Sequence[str]) -> None:
        names = list(dict.fromkeys(names))
        for name in names:
            self._release_name(name, record.id)
        history = list(dict.fromkeys([*reversed(names), *record.names_history]))
        self.home.images.put(record.replace(names=names, names_history=history))

    def _release_name(self, name: str, image_id: str) -> None:
        owner = self.home.images.named(name)
        if owner is not None and owner.id != image_id:
            self.home.images.put(owner.replace(names=[held for held in owner.names if held != name]))

    def _with_documents(self, home: Home, record: ImageRecord, documents: Mapping[str, bytes]) -> ImageRecord:
        catalogue = bigdata.Catalogue(record.big_data_names, record.big_data_sizes, record.big_data_digests)
        for key, data in documents.items():
            bigdata.write(home.image_dir(record.id), key, data)
            catalogue.note(key, data)
        return record.replace(
            big_data_names=catalogue.names, big_data_sizes=catalogue.sizes, big_data_digests=catalogue.digests
        )

    def _undo_documents(self, image_id: str, old: ImageRecord | None) -> None:
        """The record could not be written: make the documents what the *old* one says, as far as possible."""
        directory = self.home.image_dir(image_id)
        try:
            if old is None:
                remove_tree(directory)
            else:
                digest = old.big_data_digests.get(MANIFEST, "")
                bigdata.write(directory, MANIFEST, bigdata.read(directory, f"{MANIFEST}-{digest}"))
        except (OSError, WherryError) as error:
            log.debug(f"restoring the documents of image {image_id}: {error}")

    def _writable_home(self, image_id: str) -> Home:
        for home in self._homes:
            if image_id in home.images:
                if home.read_only:
                    raise ReadOnly(f"image {image_id}: called a write method on a read-only store")
                return home
        raise NoSuchImage(image_id)

    def _writable(self, image_id: str) -> ImageRecord:
        """The record in the home that is written to; an image of another home gets one there, documents included."""
        record = self.home.images.get(image_id)
        if record is not None:
            return record
        other, theirs = self.locate(image_id)
        documents = {key: bigdata.read(other.image_dir(image_id), key) for key in theirs.big_data_names}
        bare = theirs.replace(
            read_only=False, mapped_layers=(), big_data_names=(), big_data_sizes=EMPTY, big_data_digests=EMPTY,
        )
        return self._with_documents(self.home, bare, documents)


def _repository(name: str) -> str:
    """The repository of a full name ``host/path:tag`` or ``host/path@digest``."""
    name = name.partition("@")[0]
    colon = name.rfind(":")
    return name[:colon] if colon > name.rfind("/") else name


def _created(config: bytes) -> str:
    """When the image says it was made, else now."""
    try:
        created = jsontext.loads(config).get("created")
        parse_ns(created)
    except (ValueError, TypeError, AttributeError):
        return now()
    return created or now()


def _metadata(old: str, manifest_digest: str, sizes: list[int]) -> str:
    """The record's metadata: how the concatenated signatures are split (containers/image)."""
    try:
        metadata: dict[str, Any] = jsontext.loads(old) if old else {}
    except ValueError:
        metadata = {}
    metadata.pop("signature-sizes", None)
    if sizes:
        metadata["signature-sizes"] = sizes
    by_manifest = dict(metadata.get("signatures-sizes") or {})
    by_manifest[manifest_digest] = sizes
    metadata["signatures-sizes"] = by_manifest
    return jsontext.dumps(metadata)


def _signature_sizes(metadata: str, manifest_digest: str) -> tuple[str, list[int]]:
    """The document that holds the signatures of a manifest, and the sizes of each in it."""
    try:
        found = jsontext.loads(metadata) if metadata else {}
        sizes = (found.get("signatures-sizes") or {}).get(manifest_digest)
        if sizes is not None:
            return f"signature-{encoded(manifest_digest)}", [int(size) for size in sizes]
        return "signatures", [int(size) for size in found.get("signature-sizes") or ()]
    except (ValueError, TypeError, AttributeError):
        return "", []
