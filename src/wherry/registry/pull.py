"""Opening an image by reference: registries.conf decides where it really is, mirrors first."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from wherry.errors import RegistryError, WherryError
from wherry.model.reference import Reference
from wherry.registry import manifests
from wherry.registry.client import FetchedManifest, RegistryClient
from wherry.registry.connect import open_client, retry_policy
from wherry.registry.failures import Context
from wherry.registry.platform import Platform, host_platform
from wherry.registry.progress import Reporter
from wherry.registry.remote import IsLayerPresent, RegistrySource, RemoteImage, read_image
from wherry.registry.spool import spool_directory
from wherry.registry.streams import Stream, Verified

if TYPE_CHECKING:
    from wherry.registry.manifests import Descriptor
    from wherry.registry.retry import RetryPolicy

    Read = Callable[[RegistryClient, str, FetchedManifest], RemoteImage]

    from wherry.config.auth import Credentials
    from wherry.config.registries import Endpoint, Registries
    from wherry.config.settings import Settings

#: Blobs fetched at once when containers.conf does not say.
PARALLEL_COPIES = 6


def open_image(
    settings: Settings,
    registries: Registries,
    reference: Reference,
    *,
    platform: Platform | None = None,
    credentials: Credentials | str | None = None,
    authfile: str = "",
    tls_verify: bool | None = None,
    cert_dir: str = "",
    reporter: Reporter | None = None,
    retry: int | None = None,
    retry_delay: float | None = None,
    is_layer_present: IsLayerPresent | None = None,
    blob_dir: str = "",
) -> RegistrySource:
    """Find *reference* on its registry or a mirror of it; read its manifest, for *platform*, and its config.

    *credentials* (a string is ``USER[:PASSWORD]``) are for the registry of the reference only; without them, and for
    mirrors, they are looked up in *authfile* and the usual places.  *tls_verify* None follows registries.conf.
    *retry* and *retry_delay* (seconds) override containers.conf.  Layers are fetched when the first one is opened,
    except those *is_layer_present* knows; in *blob_dir*, if given, they survive a pull that does not end.
    Close the source after use.

    Raises :class:`RegistryError` and its kin in Podman's words, :class:`NotFound` when no image suits the platform,
    :class:`Corrupt` when what came is not what was asked for.
    """
    wanted = reference.with_default_tag().without_tag_if_digested()
    access = Access(
        settings=settings,
        registries=registries,
        own=own_credentials(credentials),
        authfile=authfile,
        tls_verify=tls_verify,
        cert_dir=cert_dir,
        workers=settings.engine.image_parallel_copies or PARALLEL_COPIES,
    )
    policy = retry_policy(settings, retry, retry_delay)
    endpoints = registries.endpoints(wanted)
    suitable = platform or host_platform()

    def read(client: RegistryClient, repository: str, top: FetchedManifest) -> RemoteImage:
        return read_image(client, repository, top, suitable, f"docker://{wanted}")

    found = policy.run(lambda: _first_endpoint(access, endpoints, wanted, read), threading.Event())
    try:
        return RegistrySource(
            found.client,
            found.physical.path,
            found.image,
            reference=str(wanted),
            spool_parent=spool_directory(settings),
            workers=access.workers,
            retry=policy,
            reporter=reporter,
            is_layer_present=is_layer_present,
            blob_dir=blob_dir,
        )
    except BaseException:
        found.client.close()
        raise


class RemoteArtifact:
    """The manifest of something in a registry that need not be an image, and access to its blobs."""

    def __init__(self, found: _Found, retry: RetryPolicy) -> None:
        self.manifest = found.image.manifest
        self.parsed = found.image.parsed
        self._client = found.client
        self._repository = found.physical.path
        self._retry = retry

    @property
    def manifest_digest(self) -> str:
        return self.manifest.digest

    def access(self) -> tuple[RegistryClient, str]:
        """The client and repository it is read with, for what is beside it (signatures)."""
        return self._client, self._repository

    def fetch(self, blob: Descriptor, store: Callable[[Stream], None]) -> None:
        """Give *store* the blob's stream, verified; again after a failure that may pass."""
        def once() -> None:
            response, _offset = self._client.blob(self._repository, blob.digest)
            stream = Verified(response, blob.digest, blob.size)
            try:
                store(stream)
            finally:
                stream.close()

        self._retry.run(once, threading.Event())

    def close(self) -> None:
        self._client.close()


def open_artifact(
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
) -> RemoteArtifact:
    """:func:`open_image` for what need not be an image. Raises :class:`Corrupt` for a list of manifests."""
    access = Access(
        settings=settings, registries=registries, own=own_credentials(credentials), authfile=authfile,
        tls_verify=tls_verify, cert_dir=cert_dir, workers=1,
    )
    policy = retry_policy(settings, retry, retry_delay)

    def read(_client: RegistryClient, _repository: str, top: FetchedManifest) -> RemoteImage:
        return RemoteImage(manifest=top, parsed=manifests.parse_image(top.data, top.media_type))

    endpoints = registries.endpoints(reference)
    found = policy.run(lambda: _first_endpoint(access, endpoints, reference, read), threading.Event())
    return RemoteArtifact(found, policy)


class Access:
    """How to reach endpoints: everything but where they are."""

    def __init__(
        self, *, settings: Settings, registries: Registries, own: Credentials | None, authfile: str,
        tls_verify: bool | None, cert_dir: str, workers: int,
    ) -> None:
        self.settings = settings
        self.registries = registries
        self.own = own
        self.authfile = authfile
        self.tls_verify = tls_verify
        self.cert_dir = cert_dir
        self.workers = workers

    def client(self, endpoint: Endpoint, logical: Reference) -> RegistryClient:
        """A client for *endpoint*. Credentials given for the registry of *logical* go to no other host."""
        return open_client(
            self.settings,
            endpoint.reference.domain,
            credentials=self.credentials(endpoint, logical),
            insecure=endpoint.insecure if self.tls_verify is None else not self.tls_verify,
            cert_dir=self.cert_dir,
            connections=self.workers,
        )

    def credentials(self, endpoint: Endpoint, logical: Reference) -> Credentials | None:
        """What to say at *endpoint*, if anything."""
        from wherry.config import auth

        physical = endpoint.reference
        own = self.own if physical.domain == logical.domain else None
        return own or auth.credentials(
            self.settings, physical.domain, physical.path, self.authfile, helpers=self.registries.credential_helpers
        )


class _Found:
    def __init__(self, client: RegistryClient, physical: Reference, image: RemoteImage) -> None:
        self.client = client
        self.physical = physical
        self.image = image


def _first_endpoint(access: Access, endpoints: Sequence[Endpoint], logical: Reference, read: Read) -> _Found:
    """The first endpoint that has the whole image. When none has, the last one's error, with those of the mirrors."""
    name = f"docker://{logical}"
    failed: list[str] = []
    for endpoint in endpoints:
        last = endpoint is endpoints[-1]
        words = f"initializing source {name}"
        if last and failed:
            mirrors = "\n".join(failed)
            words += f": (Mirrors also failed: {mirrors}): {endpoint.reference}"
        try:
            return _open_endpoint(access, endpoint, logical, read, words if last else "")
        except WherryError as error:
            if last:
                raise
            failed.append(f"[{endpoint.reference}: {error}]")
    raise RegistryError(f"initializing source {name}: no registry to ask")


def _open_endpoint(access: Access, endpoint: Endpoint, logical: Reference, read: Read, words: str) -> _Found:
    """The image at one endpoint. *words* go before an error met until its manifest is there."""
    physical = endpoint.reference
    with Context(words):
        check_blocked(access.registries, physical)
        client = access.client(endpoint, logical)
    try:
        with Context(words):
            client.ping()
            top = client.manifest(physical.path, physical.digest or physical.tag)
        return _Found(client, physical, read(client, physical.path, top))
    except BaseException:
        client.close()
        raise


def check_blocked(registries: Registries, physical: Reference) -> None:
    """Is it allowed to ask there? Mirrors of a blocked registry are, unless they are blocked themselves."""
    if registries.blocked(physical):
        table = registries.find(physical)
        prefix = table.prefix if table is not None else physical.domain
        where = registries.config_file or "/etc/containers/registries.conf"
        raise RegistryError(f"registry {prefix} is blocked in {where} or {where}.d")


def own_credentials(given: Credentials | str | None) -> Credentials | None:
    """Credentials the caller gave, ``USER[:PASSWORD]`` taken apart; None for none."""
    if not isinstance(given, str):
        return given
    from wherry.config.auth import Credentials

    user, _, password = given.partition(":")
    return Credentials(username=user, password=password) if given else None
