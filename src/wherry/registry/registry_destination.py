"""A repository of a registry as an :class:`~wherry.registry.destination.ImageDestination`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from wherry.archive.compression import GZIP
from wherry.errors import InvalidArgument, RegistryError
from wherry.model.reference import Reference
from wherry.registry import mediatypes
from wherry.registry.client import RegistryClient
from wherry.registry.connect import open_client, retry_policy
from wherry.registry.destination import ImageDestination, KnownBlob, SpooledBlob
from wherry.registry.failures import Context
from wherry.registry.pull import own_credentials
from wherry.registry.spool import Spool, spool_directory, write_all
from wherry.registry.streams import Stream
from wherry.registry.uploads import Uploader
from wherry.registry.verify import digest_of

if TYPE_CHECKING:
    from wherry.config.auth import Credentials
    from wherry.config.registries import Registries
    from wherry.config.registries_d import SignatureStore
    from wherry.config.settings import Settings

_COPY = 1 << 20


class RegistryDestination(ImageDestination):
    """Pushes to ``reference``; an image pushed by digest has no tag."""

    types = (mediatypes.OCI_MANIFEST, mediatypes.DOCKER_MANIFEST)
    compression = GZIP

    def __init__(
        self, client: RegistryClient, reference: Reference, uploader: Uploader, spool_parent: str,
        signature_store: SignatureStore,
    ) -> None:
        self.reference = f"docker://{reference}"
        self.domain = reference.domain
        self.repository = reference.path
        self.client = client
        self._named = reference
        self._uploader = uploader
        self._spool_parent = spool_parent
        self._signature_store = signature_store

    def find_blob(self, digest: str, size: int) -> bool:
        return self._uploader.size_of(digest) == size

    def find_known(self, blobs: Sequence[KnownBlob]) -> KnownBlob | None:
        for blob in blobs:
            found = self._uploader.size_of(blob.digest)
            if found >= 0:
                return blob.replace(size=found)
            elsewhere = blob.registry == self.domain and blob.repository and blob.repository != self.repository
            if elsewhere and blob.size >= 0 and self._uploader.mount(blob.digest, blob.repository):
                return blob
        return None

    def put_stream(self, stream: Stream, digest: str, size: int, report: Callable[[int], object]) -> None:
        spool = Spool(self._spool_parent)
        try:
            fd = spool.create()
            offset = 0
            while data := stream.read(_COPY):
                write_all(fd, data, offset)
                offset += len(data)
            self._uploader.upload(fd, digest, offset, report)
        finally:
            spool.close()

    def put_file(self, blob: SpooledBlob, report: Callable[[int], object]) -> None:
        if not self.find_blob(blob.digest, blob.size):
            self._uploader.upload(blob.fd, blob.digest, blob.size, report)

    def put_config(self, digest: str, data: bytes) -> None:
        self.put_bytes(digest, data)

    def put_bytes(self, digest: str, data: bytes) -> None:
        """Upload a small blob unless it is there."""
        if self.find_blob(digest, len(data)):
            return
        fd = os.memfd_create("wherry-blob", os.MFD_CLOEXEC)
        try:
            write_all(fd, data, 0)
            self._uploader.upload(fd, digest, len(data), lambda done: None)
        finally:
            os.close(fd)

    def put_manifest(self, data: bytes, media_type: str, *, instance: bool = False) -> None:
        digest = digest_of(data)
        if not instance and self._named.digest and self._named.digest != digest:
            raise RegistryError(
                f"pushing manifest with digest {digest} to {self._named.repository}@{self._named.digest}: they differ"
            )
        name = digest if instance or not self._named.tag else self._named.tag
        with Context("writing manifest"):
            self._uploader.put_manifest(name, data, media_type)

    def put_signatures(self, digest: str, signatures: Sequence[bytes], *, instance: bool = False) -> None:
        """Simple ones go to the lookaside store, those of sigstore beside the image, as registries.d says."""
        from wherry.registry import attachments, lookaside, signature_formats

        decoded = [signature_formats.decode(blob) for blob in signatures]
        attached = [one for one in decoded if one is not None]
        simple = [blob for blob, one in zip(signatures, decoded, strict=True) if one is None]
        with Context("writing signatures"):
            if simple:
                lookaside.write(self._signature_store.staging, self.repository, digest, simple)
            if attached:
                if not self._signature_store.attachments:
                    raise InvalidArgument(
                        "writing sigstore attachments is disabled by configuration",
                        hint="set use-sigstore-attachments in a file of registries.d",
                    )
                attachments.write(self, digest, attached)

    def put_tagged(self, tag: str, data: bytes, media_type: str) -> None:
        """A manifest under another tag of the repository."""
        self._uploader.put_manifest(tag, data, media_type)

    def delete(self, digest: str) -> None:
        """Remove a manifest from the repository."""
        self._uploader.delete_manifest(digest)

    def close(self) -> None:
        self._uploader.cancelled.set()
        self.client.close()


def open_destination(
    settings: Settings,
    registries: Registries,
    reference: Reference,
    *,
    credentials: Credentials | str | None = None,
    authfile: str = "",
    tls_verify: bool | None = None,
    cert_dir: str = "",
    retry: int | None = None,
    retry_delay: float | None = None,
    workers: int = 4,
) -> RegistryDestination:
    """Connect to the registry of *reference*. Mirrors and rewritten locations are for pulling and play no part.

    Raises :class:`RegistryError` and its kin in Podman's words.
    """
    from wherry.config import auth
    from wherry.config.registries_d import signature_store

    wanted = reference.with_default_tag()
    own = own_credentials(credentials)
    store = signature_store(wanted)
    with Context(f"initializing destination docker://{wanted}"):
        if registries.blocked(wanted):
            raise RegistryError(f"registry {wanted.domain} is blocked in {registries.config_file}")
        if own is None:
            own = auth.credentials(
                settings, wanted.domain, wanted.path, authfile, helpers=registries.credential_helpers
            )
        client = open_client(
            settings, wanted.domain, credentials=own,
            insecure=registries.insecure(wanted) if tls_verify is None else not tls_verify,
            cert_dir=cert_dir, connections=workers,
        )
    policy = retry_policy(settings, retry, retry_delay)
    uploader = Uploader(client, wanted.path, policy)
    try:
        policy.run(client.ping, uploader.cancelled)
    except BaseException:
        client.close()
        raise
    return RegistryDestination(client, wanted, uploader, spool_directory(settings), store)
