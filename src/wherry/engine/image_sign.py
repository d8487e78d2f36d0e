"""image sign: a simple signature of an image in a registry, put where ``wherry pull`` looks for it."""

from __future__ import annotations

import os

from wherry.errors import InvalidArgument, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.engine.runtime import Runtime


def sign(
    runtime: Runtime, name: str, key: str, *, directory: str = "", all: bool = False, authfile: str = "",
    cert_dir: str = "",
) -> list[str]:
    """Sign the image *name* (``docker://...``) with the GPG key *key*; returns the files written.

    With *all* every image of a manifest list is signed, and not the list.  Signatures go to the lookaside store of
    registries.d, or below *directory*.  Raises ``InvalidArgument``, ``NotFound``, ``RegistryError``.
    """
    from wherry.config.registries_d import signature_store
    from wherry.engine.manifest_lists import Access, fetch_manifest
    from wherry.model import jsontext
    from wherry.model.digest import of_bytes
    from wherry.registry import lookaside, transports
    from wherry.registry.failures import Context
    from wherry.registry.signing import GPGSigner

    if directory and not os.path.exists(directory):
        raise NotFound(f"stat {directory}: no such file or directory")
    with Context("parsing image name"):
        location = transports.parse(name)
    if location.reference is None:
        raise InvalidArgument(f"cannot determine canonical Docker reference for destination {location}")
    reference = location.reference
    with Context("getting image source"):
        data, media_type, _ = fetch_manifest(runtime, str(reference), Access(authfile=authfile, cert_dir=cert_dir))
    base = f"file://{os.path.abspath(directory)}" if directory else signature_store(reference).staging
    digests = [of_bytes(data)]
    if all:
        document = jsontext.loads(data)
        if "manifests" not in document:
            raise InvalidArgument(f"{name} is not a multi-architecture image (manifest type {media_type})")
        digests = [str(entry["digest"]) for entry in document["manifests"]]
    signer = GPGSigner(key)
    return [
        lookaside.add(
            lookaside.directory_of(lookaside.location(base, reference.path, digest)),
            signer.sign(str(reference), digest),
        )
        for digest in digests
    ]
