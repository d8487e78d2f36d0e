"""Images kept as files: OCI image layout (directory or tar) and the dir: transport.

Sources: OCI image specification "image-layout.md"; containers-transports(5) for ``dir:``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wherry.errors import Corrupt, InvalidArgument, NotFound
from wherry.registry import manifests, mediatypes, platform, trees
from wherry.registry.failures import Context
from wherry.registry.lookaside import MAX_SIGNATURE, MOST
from wherry.registry.manifests import Descriptor, ImageManifest, ManifestList
from wherry.registry.names import valid_local_names
from wherry.registry.platform import Platform
from wherry.registry.progress import Reporter
from wherry.registry.source import ImageSource
from wherry.registry.streams import Reported, Stream, Verified
from wherry.registry.trees import Tree
from wherry.registry.verify import digest_of
from wherry.spec.parse_values import quote

_REF_NAME = "org.opencontainers.image.ref.name"
#: What containerd and buildkit write instead, with a full reference.
_CONTAINERD_NAME = "io.containerd.image.name"


class LayoutSource(ImageSource):
    """An image whose blobs are files; *blob_path* says which."""

    def __init__(self, tree: Tree, blob_path: Callable[[str], str], **image: Any) -> None:
        super().__init__(**image)
        self._tree: Tree | None = tree
        self._blob_path = blob_path

    def open_layer(self, index: int) -> Stream:
        if self._tree is None:
            raise InvalidArgument("the image source is closed")
        layer = self.layers[index]
        self._announced.add(layer.digest)
        raw, _ = self._tree.stream(self._blob_path(layer.digest))
        return Reported(Verified(raw, layer.digest, layer.size), layer.digest, layer.size, self._reporter)

    def close(self) -> None:
        tree, self._tree = self._tree, None
        if tree is not None:
            tree.close()


def open_oci(
    tree: Tree, name: str, *, image: str = "", index: int = -1, wanted: Platform, reporter: Reporter
) -> LayoutSource:
    """The image named *image* or at *index*, or the only one, of the OCI layout *tree*, which is closed with it.

    *name* (``oci:PATH:IMAGE``) is for errors.  Raises :class:`NotFound`, :class:`InvalidArgument`, :class:`Corrupt`.
    """
    listing = manifests.parse(trees.read_file(tree, "index.json", manifests.MAX_MANIFEST), mediatypes.OCI_INDEX)
    if not isinstance(listing, ManifestList):
        raise Corrupt("index.json is not an image index")
    entry = _choose(listing, image, index)
    annotations = entry.annotations
    stored = annotations.get(_CONTAINERD_NAME) or annotations.get(_REF_NAME) or ""
    data = _read_blob(tree, _oci_blob, entry, manifests.MAX_MANIFEST)
    return _open(
        tree, _oci_blob, data, entry.media_type, name,
        instance=_oci_blob, names=valid_local_names([stored]), wanted=wanted, reporter=reporter,
    )


def open_directory(tree: Tree, name: str, *, wanted: Platform, reporter: Reporter) -> LayoutSource:
    """The image in a ``dir:`` directory. Such images have no names."""
    data = trees.read_file(tree, "manifest.json", manifests.MAX_MANIFEST)
    source = _open(
        tree, _dir_blob, data, "", name,
        instance=lambda digest: f"{_dir_blob(digest)}.manifest.json", names=[], wanted=wanted, reporter=reporter,
    )
    prefix = f"{_dir_blob(source.manifest_digest)}." if source.manifest_list else ""
    source.signatures = _dir_signatures(tree, prefix)
    return source


def _dir_signatures(tree: Tree, prefix: str) -> list[bytes]:
    found: list[bytes] = []
    while len(found) < MOST:
        try:
            found.append(trees.read_file(tree, f"{prefix}signature-{len(found) + 1}", MAX_SIGNATURE))
        except NotFound:
            break
    return found


def _oci_blob(digest: str) -> str:
    algorithm, _, encoded = digest.partition(":")
    return f"blobs/{algorithm}/{encoded}"


def _dir_blob(digest: str) -> str:
    return digest.partition(":")[2]


def _choose(listing: ManifestList, image: str, index: int) -> Descriptor:
    entries = listing.entries
    if index >= 0:
        if index >= len(entries):
            raise InvalidArgument(f"index {index} is too large, only {len(entries)} entries available")
        return entries[index]
    if image:
        for entry in entries:
            if entry.annotations.get(_REF_NAME) == image:
                return entry
        raise NotFound(f"no descriptor found for reference {quote(image)}")
    if len(entries) != 1:
        raise InvalidArgument("more than one image in oci, choose an image" if entries else "no image in oci")
    return entries[0]


def _open(
    tree: Tree,
    blob_path: Callable[[str], str],
    data: bytes,
    media_type: str,
    name: str,
    *,
    instance: Callable[[str], str],
    names: list[str],
    wanted: Platform,
    reporter: Reporter,
) -> LayoutSource:
    """The source for the manifest *data*, or for the entry of that list which suits the platform *wanted*."""
    parsed = manifests.parse(data, media_type)
    manifest_list = b""
    if isinstance(parsed, ManifestList):
        with Context(f"choosing an image from manifest list {name}"):
            entry = platform.choose(parsed, wanted)
        manifest_list, data = data, _read_blob(tree, instance, entry, manifests.MAX_MANIFEST)
        parsed = manifests.parse_image(data, entry.media_type)
    config = _read_config(tree, blob_path, parsed)
    return LayoutSource(
        tree,
        blob_path,
        reference=name,
        names=names,
        manifest=data,
        manifest_media_type=parsed.media_type,
        manifest_list=manifest_list,
        config=config,
        layers=manifests.layer_blobs(parsed, config),
        reporter=reporter,
    )


def _read_config(tree: Tree, blob_path: Callable[[str], str], image: ImageManifest) -> bytes:
    with Context("parsing image configuration"):
        manifests.check_config_type(image)
        return _read_blob(tree, blob_path, image.config, manifests.MAX_CONFIG)


def _read_blob(tree: Tree, path_of: Callable[[str], str], descriptor: Descriptor, limit: int) -> bytes:
    data = trees.read_file(tree, path_of(descriptor.digest), limit)
    found = digest_of(data, descriptor.digest)
    if found != descriptor.digest:
        raise Corrupt(f"digest mismatch, expected {quote(descriptor.digest)}, got {quote(found)}")
    return data
