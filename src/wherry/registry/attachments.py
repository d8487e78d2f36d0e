"""cosign's signatures in a registry: the layers of an image tagged ``sha256-DIGEST.sig`` beside the one they sign."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from wherry.errors import NOT_FOUND, WherryError
from wherry.model import jsontext
from wherry.registry import conversion, manifests, mediatypes
from wherry.registry.failures import Context
from wherry.registry.lookaside import MAX_SIGNATURE, MOST
from wherry.registry.signature_formats import SigstoreSignature
from wherry.registry.verify import digest_of

if TYPE_CHECKING:
    from wherry.registry.client import RegistryClient
    from wherry.registry.manifests import ImageManifest
    from wherry.registry.registry_destination import RegistryDestination


def tag_of(digest: str) -> str:
    """The tag of the image that holds the signatures of the manifest *digest*."""
    return digest.replace(":", "-") + ".sig"


def read(client: RegistryClient, repository: str, digest: str) -> list[SigstoreSignature]:
    """Every layer of the attachment, whatever its type; none when there is no attachment."""
    with Context("reading signatures"):
        found = _fetched(client, repository, digest)
        return [] if found is None else [
            SigstoreSignature(
                payload=client.blob_bytes(repository, layer, MAX_SIGNATURE), annotations=layer.annotations,
                media_type=layer.media_type,
            )
            for layer in found.layers[:MOST]
        ]


def write(destination: RegistryDestination, digest: str, signatures: Sequence[SigstoreSignature]) -> None:
    """Add *signatures* to those of the manifest *digest*; what is there already is kept and not doubled."""
    client, repository = destination.client, destination.repository
    found = _fetched(client, repository, digest)
    config: dict[str, Any] = {"architecture": "", "os": "", "config": {}, "rootfs": {"type": "layers", "diff_ids": []}}
    layers: list[dict[str, Any]] = []
    if found is not None:
        config = jsontext.loads(client.blob_bytes(repository, found.config, manifests.MAX_CONFIG))
        layers = [
            {**conversion.descriptor(one.media_type, one.digest, one.size, True), "annotations": dict(one.annotations)}
            for one in found.layers
        ]
    for signature in signatures:
        name = digest_of(signature.payload)
        layer = {
            **conversion.descriptor(signature.media_type, name, len(signature.payload), True),
            "annotations": dict(signature.annotations),
        }
        if layer not in layers:
            destination.put_bytes(name, signature.payload)
            layers.append(layer)
            config["rootfs"]["diff_ids"] = [*(config["rootfs"].get("diff_ids") or ()), name]
    raw = jsontext.dumps(config).encode()
    destination.put_bytes(digest_of(raw), raw)
    manifest = conversion.go_json({
        "schemaVersion": 2, "mediaType": mediatypes.OCI_MANIFEST,
        "config": conversion.descriptor(mediatypes.OCI_CONFIG, digest_of(raw), len(raw), True), "layers": layers,
    })
    destination.put_tagged(tag_of(digest), manifest, mediatypes.OCI_MANIFEST)


def _fetched(client: RegistryClient, repository: str, digest: str) -> ImageManifest | None:
    try:
        fetched = client.manifest(repository, tag_of(digest))
    except WherryError as error:
        if error.kind == NOT_FOUND:
            return None
        raise
    return manifests.parse_image(fetched.data, fetched.media_type)
