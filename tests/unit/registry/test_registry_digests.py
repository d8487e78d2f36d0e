"""Digests of many images: as few requests as there are images, the words of a pull when something is wrong."""

from __future__ import annotations

from pathlib import Path

import fake_registry as fake
import pytest
from fake_registry import FakeImage, FakeRegistry

from wherry.config.auth import Credentials
from wherry.config.registries import Registries
from wherry.config.settings import Settings
from wherry.errors import RegistryError
from wherry.model.reference import parse
from wherry.registry.client import RegistryClient
from wherry.registry.digests import DigestReader
from wherry.registry.failures import UnknownToRegistry
from wherry.registry.http import HTTPClient


def reader(tmp_path: Path) -> DigestReader:
    return DigestReader(Settings(home=str(tmp_path)), Registries(), tls_verify=False)


def test_the_first_question_stands_for_the_ping(
    client: RegistryClient, registry: FakeRegistry, image: FakeImage
) -> None:
    assert client.head_digest("team/app", "latest") == image.digest
    assert [method for method, *_ in registry.requests] == ["HEAD"]
    assert client.head_digest("team/app", "latest") == image.digest
    assert client.manifest("team/app", "latest").digest == image.digest
    assert [method for method, *_ in registry.requests] == ["HEAD", "HEAD", "GET"]


@pytest.mark.parametrize("how", ["basic", "token"])
def test_credentials_are_found_out_about(registry: FakeRegistry, image: FakeImage, how: str) -> None:
    if how == "basic":
        registry.require_basic("me", "secret")
    else:
        registry.require_token("me", "secret")
    known = Credentials(username="me", password="secret")
    client = RegistryClient(HTTPClient(insecure=True, read_timeout=5), registry.host, known)
    assert client.head_digest("team/app", "latest") == image.digest
    client.close()


def test_without_the_header_the_manifest_is_read(
    client: RegistryClient, registry: FakeRegistry, image: FakeImage
) -> None:
    registry.faults = [("/latest", fake.status(200)), ("/latest", fake.status(200))]
    assert client.head_digest("team/app", "latest") == image.digest


def test_many_images_of_one_registry(registry: FakeRegistry, tmp_path: Path) -> None:
    images = [FakeImage(1) for _ in range(5)]
    for number, image in enumerate(images):
        registry.add(f"app{number}", "1", image)
    with reader(tmp_path) as asking:
        found = [asking.digest(parse(f"{registry.host}/app{number}:1")) for number in range(5)]
    assert found == [image.digest for image in images]
    assert [method for method, *_ in registry.requests] == ["HEAD"] * 5


def test_what_is_not_there(registry: FakeRegistry, image: FakeImage, tmp_path: Path) -> None:
    with reader(tmp_path) as asking:
        with pytest.raises(UnknownToRegistry, match=f"^initializing source docker://{registry.host}/team/app:v9: "):
            asking.digest(parse(f"{registry.host}/team/app:v9"))
        assert asking.digest(parse(f"{registry.host}/team/app:latest")) == image.digest


def test_a_registry_that_is_down(tmp_path: Path) -> None:
    refused = "pinging container registry 127.0.0.1:1: .*refused"
    with reader(tmp_path) as asking, pytest.raises(RegistryError, match=refused):
        asking.digest(parse("127.0.0.1:1/app:1"))
