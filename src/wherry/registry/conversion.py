"""Manifests and configs made for a destination: schema 2 and OCI, one from the other.

The rules are those of containers/image, down to the bytes, so that the result has the digest Podman's would have:
schema 2 becomes OCI with a config reduced to what the OCI specification knows; OCI becomes schema 2 with its config
as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wherry.errors import Corrupt, InvalidArgument
from wherry.model import jsontext
from wherry.registry import mediatypes
from wherry.registry.source import LayerBlob
from wherry.registry.verify import digest_of

#: What ``--format`` calls the types.
FORMATS = {"oci": mediatypes.OCI_MANIFEST, "v2s2": mediatypes.DOCKER_MANIFEST, "docker": mediatypes.DOCKER_MANIFEST}

_CONFIG_KEYS = (
    "User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels", "StopSignal", "ArgsEscaped",
)


def type_of(format: str) -> str:
    """The manifest type ``--format`` means. Raises :class:`InvalidArgument` in Podman's words."""
    if format == "v2s1":
        raise InvalidArgument('unknown format "v2s1": schema 1 manifests cannot be written')
    try:
        return FORMATS[format]
    except KeyError:
        raise InvalidArgument(f'unknown format "{format}". Choose on of the supported formats: "oci", "v2s1", or "v2s2"'
                              ) from None


def manifest(
    media_type: str, config: bytes, layers: Sequence[LayerBlob], annotations: dict[str, str] | None = None
) -> bytes:
    """The manifest of an image in the order and spacing containers/image writes."""
    is_oci = media_type == mediatypes.OCI_MANIFEST
    config_type = mediatypes.OCI_CONFIG if is_oci else mediatypes.DOCKER_CONFIG
    document: dict[str, Any] = {"schemaVersion": 2, "mediaType": media_type}
    document["config"] = descriptor(config_type, digest_of(config), len(config), is_oci)
    document["layers"] = [
        descriptor(layer.media_type, layer.digest, layer.size, is_oci, layer.urls) for layer in layers
    ]
    if is_oci and annotations:
        document["annotations"] = dict(sorted(annotations.items()))
    return go_json(document)


def descriptor(media_type: str, digest: str, size: int, is_oci: bool, urls: Sequence[str] = ()) -> dict[str, Any]:
    """A descriptor; schema 2 has the size before the digest."""
    if is_oci:
        found: dict[str, Any] = {"mediaType": media_type, "digest": digest, "size": size}
    else:
        found = {"mediaType": media_type, "size": size, "digest": digest}
    if urls:
        found["urls"] = list(urls)
    return found


def oci_config(config: bytes) -> bytes:
    """A schema 2 config as an OCI one (OCI image specification, config.md): Docker's own fields are dropped."""
    try:
        old = jsontext.loads(config)
    except jsontext.JSONError as error:
        raise Corrupt(f"invalid image configuration: {error}") from None
    if not isinstance(old, dict):
        raise Corrupt("invalid image configuration: not a JSON object")
    new: dict[str, Any] = {}
    _take(new, old, ("created", "author"))
    new["architecture"] = old.get("architecture") or ""
    new["os"] = old.get("os") or ""
    _take(new, old, ("os.version", "os.features", "variant"))
    inner: dict[str, Any] = {}
    _take(inner, old.get("config") or {}, _CONFIG_KEYS)
    for key in ("ExposedPorts", "Volumes", "Labels"):
        if key in inner:
            inner[key] = dict(sorted(inner[key].items()))
    new["config"] = inner
    rootfs = old.get("rootfs") or {}
    new["rootfs"] = {"type": rootfs.get("type") or "", "diff_ids": rootfs.get("diff_ids")}
    history = []
    for entry in old.get("history") or ():
        line: dict[str, Any] = {}
        _take(line, entry, ("created", "created_by", "author", "comment", "empty_layer"))
        history.append(line)
    if history:
        new["history"] = history
    return go_json(new)


def _take(new: dict[str, Any], old: dict[str, Any], keys: Sequence[str]) -> None:
    """Copy what is set; Go's ``omitempty`` leaves out the rest."""
    for key in keys:
        if old.get(key):
            new[key] = old[key]


def go_json(document: Any) -> bytes:
    """Compact JSON as Go's encoder writes it: no blanks, ``<>&`` and the line separators escaped."""
    text = jsontext.dumps(document)
    for char in "<>&\u2028\u2029":
        if char in text:
            text = text.replace(char, f"\\u{ord(char):04x}")
    return text.encode()
