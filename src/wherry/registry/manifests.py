"""Reading manifests, lists and configs. Whatever they say is checked before anything is done with it.

Formats: OCI image specification (manifest.md, image-index.md, config.md), Docker image manifest v2 schema 2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wherry.errors import Corrupt, Unsupported
from wherry.model import jsontext
from wherry.model.digest import is_digest
from wherry.model.record import EMPTY, Record, field
from wherry.registry import image_config, mediatypes
from wherry.registry.platform import Platform
from wherry.registry.source import LayerBlob
from wherry.spec.parse_values import quote

#: Largest manifest and largest config taken, in bytes (the limits of containers/image and of most registries).
MAX_MANIFEST = 4 << 20
MAX_CONFIG = 4 << 20

_INT64_MAX = (1 << 63) - 1

#: Fields that belong to the other kind of document. One with both is two images in one (CVE-2021-41190).
_FOREIGN_FIELDS = {False: ("manifests", "fsLayers", "history"), True: ("config", "layers", "fsLayers", "history")}


class Descriptor(Record):
    """A reference to content: manifest, config or layer."""

    media_type: str = field(default="", key="mediaType")
    digest: str = ""
    size: int = 0                       # bytes
    urls: Sequence[str] = ()
    annotations: Mapping[str, str] = EMPTY
    platform: Platform | None = field(default=None, record=Platform)


class ImageManifest(Record):
    """One image: its config and its layers, base first."""

    media_type: str = ""
    config: Descriptor = Descriptor()
    layers: Sequence[Descriptor] = ()
    annotations: Mapping[str, str] = EMPTY


class ManifestList(Record):
    """Images for several platforms."""

    media_type: str = ""
    entries: Sequence[Descriptor] = ()

    @property
    def is_index(self) -> bool:
        """Is it an OCI index rather than a Docker list?"""
        return self.media_type == mediatypes.OCI_INDEX


def parse(data: bytes, content_type: str = "") -> ImageManifest | ManifestList:
    """Parse a manifest. *content_type* counts only where the document itself does not say what it is.

    Raises :class:`Corrupt` for anything malformed or ambiguous, :class:`Unsupported` for schema 1 and unknown types.
    """
    document = _object(data, "manifest")
    media_type = _media_type(document, content_type)
    if media_type in (mediatypes.SCHEMA1, mediatypes.SCHEMA1_SIGNED):
        raise Unsupported(
            "unsupported image: Docker image manifest version 2, schema 1",
            hint="this format was replaced in 2016; push the image again with a current tool",
        )
    is_list = media_type in mediatypes.LISTS
    if not is_list and media_type not in mediatypes.IMAGES:
        raise Unsupported(f"unsupported manifest media type {quote(media_type)}")
    foreign = [name for name in _FOREIGN_FIELDS[is_list] if name in document]
    if foreign:
        raise Corrupt(f"rejecting ambiguous manifest, unexpected fields {quote(','.join(foreign))} in {media_type}")
    if is_list:
        return ManifestList(media_type=media_type, entries=_descriptors(document.get("manifests"), "manifests"))
    return ImageManifest(
        media_type=media_type,
        config=_descriptor(document.get("config"), "config"),
        layers=_descriptors(document.get("layers"), "layers"),
        annotations=_strings(document.get("annotations")),
    )


def parse_image(data: bytes, content_type: str = "") -> ImageManifest:
    """Parse the manifest of a single image; :class:`Corrupt` for a list, which may not hold lists in turn."""
    parsed = parse(data, content_type)
    if isinstance(parsed, ManifestList):
        raise Corrupt("unexpectedly received a manifest list instead of a manifest for a single image")
    return parsed


def layer_blobs(manifest: ImageManifest, config: bytes) -> list[LayerBlob]:
    """The layers of *manifest* with the diff IDs *config* has for them."""
    return [
        LayerBlob(digest=layer.digest, size=layer.size, media_type=layer.media_type, diff_id=diff_id, urls=layer.urls)
        for layer, diff_id in zip(manifest.layers, diff_ids(config, len(manifest.layers)), strict=True)
    ]


def check_config_type(manifest: ImageManifest) -> None:
    """Is it a container image? Raises :class:`Unsupported` for other things kept in registries (artifacts)."""
    kind = manifest.config.media_type
    if kind not in (mediatypes.OCI_CONFIG, mediatypes.DOCKER_CONFIG, ""):
        raise Unsupported(f"unsupported image-specific operation on artifact with type {quote(kind)}")


def diff_ids(config: bytes, layers: int) -> list[str]:
    """The digests of the *layers* uncompressed layers, base first, from an image config.

    A config without ``rootfs`` says nothing about them: the list holds empty strings.  Raises :class:`Corrupt`, also
    for any other field of the config that has the wrong type.
    """
    document = _object(config, "image configuration")
    image_config.check(document)
    rootfs = document.get("rootfs")
    if rootfs is None:
        return [""] * layers
    found = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if found is None:
        found = []
    if not isinstance(found, list) or not all(isinstance(item, str) and is_digest(item) for item in found):
        raise Corrupt("invalid image configuration: rootfs.diff_ids is not a list of digests")
    if len(found) != layers:
        raise Corrupt(f"invalid image configuration: {len(found)} diff IDs for {layers} layers")
    return found


def _object(data: bytes, what: str) -> dict[str, Any]:
    try:
        document = jsontext.loads(data)
    except (jsontext.JSONError, RecursionError) as error:
        raise Corrupt(f"invalid {what}: {error}") from None
    if not isinstance(document, dict):
        raise Corrupt(f"invalid {what}: not a JSON object")
    return document


def _media_type(document: Mapping[str, Any], content_type: str) -> str:
    """What the document says it is; else what it was served as; else what it looks like."""
    known = (*mediatypes.IMAGES, *mediatypes.LISTS, mediatypes.SCHEMA1, mediatypes.SCHEMA1_SIGNED)
    own = document.get("mediaType")
    if isinstance(own, str) and own:
        return own
    if document.get("schemaVersion") == 1:
        return mediatypes.SCHEMA1
    if content_type in known:
        return content_type
    if "manifests" in document:
        return mediatypes.OCI_INDEX
    return mediatypes.OCI_MANIFEST


def _descriptors(value: Any, where: str) -> list[Descriptor]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise Corrupt(f"invalid manifest: {where} is not a list")
    return [_descriptor(item, f"{where}[{index}]") for index, item in enumerate(value)]


def _descriptor(value: Any, where: str) -> Descriptor:
    if not isinstance(value, dict):
        raise Corrupt(f"invalid manifest: {where} is not a descriptor")
    digest, size, media_type = value.get("digest"), value.get("size"), value.get("mediaType", "")
    if not isinstance(digest, str) or not is_digest(digest):
        raise Corrupt(f"invalid manifest: {where} has an invalid digest")
    if type(size) is not int or not 0 <= size <= _INT64_MAX:
        raise Corrupt(f"invalid manifest: {where} has an invalid size")
    if not isinstance(media_type, str):
        raise Corrupt(f"invalid manifest: {where} has an invalid media type")
    urls = value.get("urls") or ()
    if not isinstance(urls, (list, tuple)) or not all(isinstance(url, str) for url in urls):
        raise Corrupt(f"invalid manifest: {where} has invalid urls")
    return Descriptor(
        media_type=media_type,
        digest=digest,
        size=size,
        urls=urls,
        annotations=_strings(value.get("annotations")),
        platform=_platform(value.get("platform")),
    )


def _strings(value: Any) -> Mapping[str, str]:
    """A map of strings to strings; anything else in it is left out."""
    if not isinstance(value, dict):
        return EMPTY
    return {key: text for key, text in value.items() if isinstance(text, str)}


def _platform(value: Any) -> Platform | None:
    if not isinstance(value, dict):
        return None
    text = _strings(value)
    return Platform(
        os=text.get("os", ""), architecture=text.get("architecture", ""), variant=text.get("variant", "")
    )
