"""docker-archive: what ``docker save`` and ``podman save`` write, one or more images in a tar file.

manifest.json lists, per image, the config, the layers as plain tar files and the tags.  A registry manifest is not
among them; the one made up here is byte for byte the one containers/image makes up, so that the image has the same
digest whoever loads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wherry.archive import compression
from wherry.errors import Corrupt, InvalidArgument
from wherry.model import jsontext, reference
from wherry.model.record import Record
from wherry.model.reference import Reference
from wherry.registry import manifests, mediatypes, trees
from wherry.registry.failures import Context
from wherry.registry.names import local_name
from wherry.registry.progress import Reporter
from wherry.registry.source import ImageSource, LayerBlob
from wherry.registry.streams import Reported, Stream, Verified
from wherry.registry.trees import ArchiveTree
from wherry.registry.verify import digest_of
from wherry.spec.parse_values import quote

#: Largest manifest.json taken, in bytes.
MAX_LISTING = 1 << 20

_COUNT = 1 << 20


class Item(Record):
    """An image as manifest.json lists it."""

    config: str = ""
    tags: Sequence[str] = ()
    layers: Sequence[str] = ()


def open_images(
    tree: ArchiveTree, path: str, *, wanted: Reference | None = None, index: int = -1, reporter: Reporter
) -> list[ImageSource]:
    """The images in the archive: all, the one tagged *wanted*, or the one at *index*. They share *tree*.

    Raises :class:`InvalidArgument` when the one asked for is not there, :class:`Corrupt` for a broken archive.
    """
    chosen = _choose(_read_listing(tree), wanted, index)
    sources: list[ImageSource] = []
    try:
        for item in chosen:
            sources.append(_open(tree, path, item, reporter))
    except BaseException:
        for source in sources:
            source.close()
        raise
    return sources


class DockerArchiveSource(ImageSource):
    """One image of an archive. Layers are handed out uncompressed, under their diff IDs."""

    def __init__(self, tree: ArchiveTree, files: Sequence[str], **image: Any) -> None:
        super().__init__(**image)
        self._tree: ArchiveTree | None = tree.share()
        self._files = files

    def open_layer(self, index: int) -> Stream:
        if self._tree is None:
            raise InvalidArgument("the image source is closed")
        layer = self.layers[index]
        self._announced.add(layer.digest)
        raw, _ = self._tree.stream(self._files[index])
        plain, _ = compression.reader(raw)
        return Reported(Verified(plain, layer.digest, layer.size), layer.digest, layer.size, self._reporter)

    def close(self) -> None:
        tree, self._tree = self._tree, None
        if tree is not None:
            tree.close()


def _read_listing(tree: ArchiveTree) -> list[Item]:
    data = trees.read_file(tree, "manifest.json", MAX_LISTING)
    try:
        listing = jsontext.loads(data)
    except (jsontext.JSONError, RecursionError) as error:
        raise Corrupt(f"decoding tar manifest.json: {error}") from None
    if not isinstance(listing, list):
        raise Corrupt("decoding tar manifest.json: not a list of images")
    return [_item(entry, position) for position, entry in enumerate(listing)]


def _item(entry: Any, position: int) -> Item:
    if not isinstance(entry, dict) or not isinstance(entry.get("Config"), str):
        raise Corrupt(f"decoding tar manifest.json: item @{position} names no config")
    lists = [entry.get(name) or [] for name in ("RepoTags", "Layers")]
    if not all(isinstance(one, list) and all(isinstance(text, str) for text in one) for one in lists):
        raise Corrupt(f"decoding tar manifest.json: item @{position} is malformed")
    for tag in lists[0]:
        with Context(f"Invalid tag {quote(tag)} in manifest item @{position}"):
            if not reference.parse(tag).tag:
                raise InvalidArgument("does not contain a tag")
    return Item(config=entry["Config"], tags=lists[0], layers=lists[1])


def _choose(items: list[Item], wanted: Reference | None, index: int) -> list[Item]:
    if wanted is not None:
        for item in items:
            for tag in item.tags:
                if reference.normalize(tag) == wanted:
                    return [item.replace(tags=[tag])]
        raise InvalidArgument(f"Tag {quote(str(wanted))} not found")
    if index >= len(items):
        raise InvalidArgument(f"Invalid source index @{index}, only {len(items)} manifest items available")
    return [items[index]] if index >= 0 else items


def _open(tree: ArchiveTree, path: str, item: Item, reporter: Reporter) -> DockerArchiveSource:
    config = trees.read_file(tree, item.config, manifests.MAX_CONFIG)
    diff_ids = manifests.diff_ids(config, len(item.layers))
    if not all(diff_ids):
        raise Corrupt(f"Invalid image config (rootFS is not set): {quote(item.config)}")
    # A layer that occurs twice may be stored once: the first file under a diff ID stands for them all.
    files = dict(zip(reversed(diff_ids), reversed(item.layers), strict=True))
    sizes = {diff_id: _uncompressed_size(tree, name) for diff_id, name in files.items()}
    layers = [
        LayerBlob(digest=diff_id, size=sizes[diff_id], media_type=mediatypes.DOCKER_LAYER, diff_id=diff_id)
        for diff_id in diff_ids
    ]
    return DockerArchiveSource(
        tree,
        [files[diff_id] for diff_id in diff_ids],
        reference=f"docker-archive:{path}" + (f":{item.tags[0]}" if item.tags else ""),
        names=[local_name(tag) for tag in item.tags],
        manifest=_manifest(config, layers),
        manifest_media_type=mediatypes.DOCKER_MANIFEST,
        config=config,
        layers=layers,
        reporter=reporter,
    )


def _uncompressed_size(tree: ArchiveTree, name: str) -> int:
    """Bytes of a layer's tar; a layer stored compressed (umoci does that) has to be read for it."""
    stream, size = tree.stream(name)
    plain, found = compression.reader(stream)
    if found == compression.NONE:
        return size
    count = 0
    while data := plain.read(_COUNT):
        count += len(data)
    return count


def _manifest(config: bytes, layers: Sequence[LayerBlob]) -> bytes:
    """The schema 2 manifest of uncompressed layers; their media type says gzip all the same, as containers/image's."""
    return jsontext.dumps({
        "schemaVersion": 2,
        "mediaType": mediatypes.DOCKER_MANIFEST,
        "config": {"mediaType": mediatypes.DOCKER_CONFIG, "size": len(config), "digest": digest_of(config)},
        "layers": [
            {"mediaType": layer.media_type, "size": layer.size, "digest": layer.digest} for layer in layers
        ],
    }).encode()
