"""Digests of many images, asked for with as few requests as there are images."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from wherry.errors import RegistryError, WherryError
from wherry.registry.failures import Context
from wherry.registry.pull import Access, check_blocked

if TYPE_CHECKING:
    from wherry.config.registries import Endpoint, Registries
    from wherry.config.settings import Settings
    from wherry.model.reference import Reference
    from wherry.registry.client import RegistryClient

#: Connections to one registry.
CONNECTIONS = 6


class DigestReader:
    """HEAD requests over shared connections: one client per registry and set of credentials. Threads may share it."""

    def __init__(self, settings: Settings, registries: Registries, *, tls_verify: bool | None = None) -> None:
        self._settings = settings
        self._registries = registries
        self._tls_verify = tls_verify
        self._clients: dict[tuple[object, ...], RegistryClient] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> DigestReader:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        for client in self._clients.values():
            client.close()

    def digest(self, reference: Reference, authfile: str = "") -> str:
        """The digest *reference* (with a tag) has now, at the first of its mirrors or its registry that answers.

        Raises :class:`RegistryError` and its kin.
        """
        endpoints = self._registries.endpoints(reference)
        for endpoint in endpoints:
            try:
                return self._ask(endpoint, reference, authfile)
            except WherryError:
                if endpoint is endpoints[-1]:
                    raise
        raise RegistryError(f"initializing source docker://{reference}: no registry to ask")

    def _ask(self, endpoint: Endpoint, reference: Reference, authfile: str) -> str:
        physical = endpoint.reference
        with Context(f"initializing source docker://{reference}"):
            check_blocked(self._registries, physical)
            client = self._client(endpoint, reference, authfile)
            return client.head_digest(physical.path, physical.digest or physical.tag)

    def _client(self, endpoint: Endpoint, reference: Reference, authfile: str) -> RegistryClient:
        access = Access(
            settings=self._settings, registries=self._registries, own=None, authfile=authfile,
            tls_verify=self._tls_verify, cert_dir="", workers=CONNECTIONS,
        )
        known = access.credentials(endpoint, reference)
        words = (known.username, known.password, known.identity_token) if known is not None else ()
        key = (endpoint.reference.domain, endpoint.insecure, *words)
        with self._lock:
            client = self._clients.get(key)
            if client is None:
                client = self._clients[key] = access.client(endpoint, reference)
        return client
