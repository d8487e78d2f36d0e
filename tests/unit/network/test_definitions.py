"""Network definitions."""

from __future__ import annotations

from pathlib import Path

import pytest

from wherry.errors import Corrupt, InvalidArgument, NoSuchNetwork
from wherry.network.definitions import DEFAULT_ID, Definitions


def write(directory: Path, name: str, text: str = "") -> None:
    identity = (name * 64).encode().hex()[:64]
    (directory / f"{name}.json").write_text(text or f'{{"name":"{name}","id":"{identity}","driver":"bridge"}}')


def test_the_default_network_needs_no_file(tmp_path: Path) -> None:
    definitions = Definitions(str(tmp_path / "missing"))
    network = definitions.get("podman")
    assert network.id == DEFAULT_ID
    assert network.subnets[0].gateway == "10.88.0.1"
    assert definitions.names() == ["podman"]
    assert definitions.get(DEFAULT_ID[:12]).name == "podman"


def test_a_file_replaces_the_default(tmp_path: Path) -> None:
    write(tmp_path, "podman", '{"name":"podman","id":"aa","driver":"bridge","subnets":[{"subnet":"10.1.0.0/24"}]}')
    assert Definitions(str(tmp_path)).get("podman").subnets[0].subnet == "10.1.0.0/24"


def test_lookup(tmp_path: Path) -> None:
    write(tmp_path, "aa")
    write(tmp_path, "ab")
    definitions = Definitions(str(tmp_path))
    assert definitions.get("aa").name == "aa"
    assert definitions.get("6162").name == "ab"
    with pytest.raises(NoSuchNetwork, match="unable to find network with name or ID nope: network not found"):
        definitions.get("nope")
    with pytest.raises(InvalidArgument, match="more than one result"):
        definitions.get("61")


@pytest.mark.parametrize("text", ["{", '{"name":"other","driver":"bridge"}', '{"name":"bad","driver":""}'])
def test_a_bad_file_is_named(tmp_path: Path, text: str) -> None:
    write(tmp_path, "bad", text)
    with pytest.raises(Corrupt, match=r"bad\.json"):
        Definitions(str(tmp_path)).get("bad")
