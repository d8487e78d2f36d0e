from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_registry import FakeImage, FakeRegistry

from wherry.registry.client import RegistryClient
from wherry.registry.http import HTTPClient


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as server:
        yield server


@pytest.fixture
def image(registry: FakeRegistry) -> FakeImage:
    """An image of three layers, stored as team/app:latest."""
    made = FakeImage(3)
    registry.add("team/app", "latest", made)
    return made


@pytest.fixture
def client(registry: FakeRegistry) -> Iterator[RegistryClient]:
    made = RegistryClient(HTTPClient(insecure=True, read_timeout=5), registry.host)
    yield made
    made.close()


@pytest.fixture(scope="session")
def tls_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A private authority (ca.crt), a server certificate for 127.0.0.1, and a client certificate."""
    base = tmp_path_factory.mktemp("tls")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=base, check=True, capture_output=True)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"]
    openssl("req", "-x509", *key, "-keyout", "ca.pem", "-out", "ca.crt", "-subj", "/CN=test authority")
    for name, extra in (("server", ["-addext", "subjectAltName=IP:127.0.0.1"]), ("client", [])):
        openssl("req", *key[:-2], "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}", *extra)
        openssl(
            "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.pem", "-CAcreateserial",
            "-out", f"{name}.cert", "-days", "30", "-copy_extensions", "copyall",
        )
    return base
