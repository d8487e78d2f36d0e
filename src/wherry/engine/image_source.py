"""An image of the store as a source to copy from: its layers as the tars they were made of, bit for bit."""

from __future__ import annotations

from wherry.errors import Corrupt, WherryError
from wherry.model import jsontext
from wherry.registry import mediatypes
from wherry.registry.source import ImageSource, LayerBlob
from wherry.registry.streams import Stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from wherry.registry.progress import Reporter
    from wherry.storage.records import ImageRecord, LayerRecord
    from wherry.storage.store import Store


class StoredImage(ImageSource):
    """Layers are handed out uncompressed, under their diff IDs."""

    def __init__(self, store: Store, record: ImageRecord, reporter: Reporter | None = None) -> None:
        manifest = store.image_manifest(record.id)
        chain = store.layer_chain(record.layer)[::-1] if record.layer else []
        super().__init__(
            reference=f"containers-storage:{record.names[0] if record.names else record.id}",
            manifest=manifest,
            manifest_media_type=manifest_type(manifest),
            config=config_bytes(store, record),
            layers=[_blob(store, layer) for layer in chain],
            names=record.names,
            reporter=reporter,
        )
        self.record = record
        self.signatures = store.image_signatures(record.id)
        self.records = chain
        self._store = store

    def open_layer(self, index: int) -> Stream:
        layer = self.layers[index]
        self._announced.add(layer.digest)
        return TarStream(self._store.layer_tar(self.records[index].id))


class TarStream(Stream):
    """The pieces of an iterator as a stream. Close it in the thread that read it: it may hold a lock."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self._pieces = pieces
        self._held = b""

    def next(self, size: int) -> bytes:
        data = self._held or next(self._pieces, b"")
        while not data:
            following = next(self._pieces, None)
            if following is None:
                return b""
            data = following
        if len(data) < size and not self._held:
            data = self._gathered(data, size)
        self._held = data[size:]
        return data[:size]

    def _gathered(self, first: bytes, size: int) -> bytes:
        """Many small pieces as one: headers come a block at a time."""
        parts, total = [first], len(first)
        while total < size:
            piece = next(self._pieces, None)
            if piece is None:
                break
            parts.append(piece)
            total += len(piece)
        return b"".join(parts) if len(parts) > 1 else first

    def close(self) -> None:
        close = getattr(self._pieces, "close", None)
        if close is not None:
            close()
        super().close()


def manifest_type(manifest: bytes) -> str:
    """The media type of a stored image manifest. Raises :class:`Corrupt`."""
    try:
        document = jsontext.loads(manifest)
        return str(document.get("mediaType") or mediatypes.OCI_MANIFEST)
    except (jsontext.JSONError, AttributeError) as error:
        raise Corrupt(f"reading manifest: {error}") from None


def is_list(store: Store, record: ImageRecord) -> bool:
    """Is the record a manifest list made by ``manifest create``?"""
    if record.layer or "manifest" not in record.big_data_names:
        return False
    return "manifests" in (jsontext.loads(store.image_manifest(record.id)) or {})


def config_bytes(store: Store, record: ImageRecord) -> bytes:
    """The image configuration as it was stored."""
    try:
        return store.image_data(record.id, f"sha256:{record.id}")
    except WherryError:
        manifest = jsontext.loads(store.image_manifest(record.id))
        return store.image_data(record.id, manifest["config"]["digest"])


def _blob(store: Store, layer: LayerRecord) -> LayerBlob:
    size = layer.diff_size
    if size < 0 or not layer.diff_digest:
        raise Corrupt(f"layer {layer.id} has no digest of its content")
    return LayerBlob(
        digest=layer.diff_digest, size=size, media_type=mediatypes.OCI_LAYER, diff_id=layer.diff_digest
    )
