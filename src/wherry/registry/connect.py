"""From settings to a client of one registry: certificates, proxies, verification, credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wherry.registry import certificates
from wherry.registry.client import RegistryClient
from wherry.registry.http import HTTPClient
from wherry.registry.proxies import Proxies
from wherry.registry.retry import RetryPolicy
from wherry.spec.parse_values import duration

if TYPE_CHECKING:
    from wherry.config.auth import Credentials
    from wherry.config.settings import Settings


def open_client(
    settings: Settings,
    domain: str,
    *,
    credentials: Credentials | None = None,
    insecure: bool = False,
    cert_dir: str = "",
    connections: int = 1,
) -> RegistryClient:
    """A client for the registry *domain*, up to *connections* at once. Nothing is sent yet; close it after use.

    *cert_dir* replaces the certs.d directory of the registry.
    """
    http = HTTPClient(
        proxies=Proxies.from_environment(settings.environment.proxies),
        certificates_dir=certificates.directory(domain, settings.home, cert_dir),
        insecure=insecure,
        connections=connections,
    )
    return RegistryClient(http, domain, credentials)


def retry_policy(settings: Settings, attempts: int | None = None, delay: float | None = None) -> RetryPolicy:
    """The policy of containers.conf (retry, retry_delay) with what the user said instead, *delay* in seconds."""
    if attempts is None:
        attempts = settings.engine.retry
    if delay is None:
        configured = settings.engine.retry_delay
        delay = duration(configured) / 1e9 if configured else 0.0
    return RetryPolicy(attempts=attempts, delay=delay)
