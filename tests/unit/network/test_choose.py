"""Which back end is used."""

from __future__ import annotations

from pathlib import Path

import pytest

from wherry.config.settings import NetworkSettings, Settings
from wherry.errors import InvalidArgument, Unavailable
from wherry.network import choose
from wherry.network.rootless import RootlessDriver


def settings(**network: str) -> Settings:
    return Settings(network=NetworkSettings(**network))  # type: ignore[arg-type]


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """A host on which nft works; change what is to be otherwise."""
    facts: dict[str, object] = {"nft": "/usr/sbin/nft", "kernel": True, "drops": False, "legacy": ""}
    monkeypatch.setattr(choose, "find_program", lambda _name: facts["nft"])
    monkeypatch.setattr(choose.nftables, "available", lambda: facts["kernel"])
    monkeypatch.setattr(choose.nftables, "drops", lambda *_chain: facts["drops"])
    monkeypatch.setattr(choose, "try_read_text", lambda _path: facts["legacy"])
    return facts


def test_native_where_nft_works(host: dict[str, object]) -> None:
    assert choose.chosen(settings()) == "native"


@pytest.mark.parametrize(("fact", "value", "problem"), [
    ("nft", "", "nft is not installed"),
    ("kernel", False, "the kernel has no nf_tables"),
    ("drops", True, "iptables drops forwarded packets by default"),
    ("legacy", "nat\nfilter\n", "iptables-legacy is in use"),
])
def test_netavark_elsewhere(host: dict[str, object], fact: str, value: object, problem: str) -> None:
    host[fact] = value
    assert choose.chosen(settings()) == "netavark"
    with pytest.raises(Unavailable, match=problem):
        choose.chosen(settings(network_backend="native"))


def test_what_was_asked(host: dict[str, object]) -> None:
    assert choose.chosen(settings(network_backend="netavark")) == "netavark"
    assert choose.chosen(settings(firewall_driver="iptables")) == "netavark"
    assert choose.chosen(settings(firewall_driver="none")) == "native"
    with pytest.raises(InvalidArgument, match='unsupported network backend "cni", check network_backend'):
        choose.chosen(settings(network_backend="cni"))


def test_a_rootless_engine_works_in_a_namespace_of_its_own(host: dict[str, object], tmp_path: Path) -> None:
    host |= {"kernel": False, "drops": True, "legacy": "filter\n"}     # what the host's own namespace has is no matter
    driver = choose.choose(settings().replace(rootless=True), str(tmp_path))
    assert isinstance(driver, RootlessDriver)
    assert driver.name == "native"
    assert not driver.shared.exists()
    assert driver.check(set()) == []
