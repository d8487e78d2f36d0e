"""The text of a container's hosts file."""

from __future__ import annotations

import pytest

from wherry.errors import WherryError
from wherry.model.network import NetAddress, NetInterface, NetworkStatus
from wherry.network.hosts import gateway, hosts_text

STATUS = {
    "podman": NetworkStatus(
        interfaces={"eth0": NetInterface(subnets=[NetAddress(ipnet="10.88.0.5/16", gateway="10.88.0.1")])}
    )
}


def text(**changes: object) -> list[str]:
    options: dict[str, object] = {
        "base": "127.0.0.1 localhost\n", "additions": [], "names": ["abc", "web"], "status": STATUS,
        "network_mode": "bridge", "host": "10.88.0.1",
    }
    return hosts_text(**{**options, **changes}).splitlines()  # type: ignore[arg-type]


def test_bridge() -> None:
    assert text() == [
        "127.0.0.1\tlocalhost",
        "10.88.0.1\thost.containers.internal host.docker.internal",
        "10.88.0.5\tabc web",
    ]


def test_base_without_localhost_gets_one() -> None:
    assert text(base="")[:2] == ["127.0.0.1\tlocalhost", "::1\tlocalhost"]


def test_base_comments_are_left_out_and_host_names_are_not_taken_over() -> None:
    lines = text(base="# comment\n1.1.1.1 a b # tail\n2.2.2.2 host.containers.internal\n")
    assert lines[0] == "1.1.1.1\ta b"
    assert not any(line.startswith("2.2.2.2") for line in lines)


def test_additions_win() -> None:
    lines = text(additions=["web;x:1.2.3.4", "gw:host-gateway"], base="9.9.9.9 x y\n")
    assert lines[:3] == ["1.2.3.4\tweb x", "10.88.0.1\tgw", "9.9.9.9\ty"]
    assert lines[-1] == "10.88.0.5\tabc"


def test_host_address_can_be_configured_or_switched_off() -> None:
    assert "3.3.3.3\thost.containers.internal host.docker.internal" in text(host="3.3.3.3")
    assert not any("host.containers.internal" in line for line in text(host="none"))


def test_without_network() -> None:
    assert text(status={}, network_mode="none")[-1] == "127.0.0.1\tabc web"


def test_the_hosts_own_network() -> None:
    assert text(status={}, network_mode="host", host="") == ["127.0.0.1\tlocalhost"]
    assert text(status={}, network_mode="host", host="", additions=["gw:host-gateway"])[0] == "127.0.0.1\tgw"


def test_a_host_gateway_nobody_knows() -> None:
    with pytest.raises(WherryError, match='unable to replace "host-gateway" of host entry "gw:host-gateway"'):
        text(status={}, network_mode="none", host="", additions=["gw:host-gateway"])


def test_an_ipv4_gateway_comes_first() -> None:
    dual = NetworkStatus(interfaces={"eth0": NetInterface(subnets=[
        NetAddress(ipnet="fd00::5/64", gateway="fd00::1"), NetAddress(ipnet="10.9.0.5/24", gateway="10.9.0.1"),
    ])})
    assert gateway({"n": dual}) == "10.9.0.1"
    assert gateway({}) == ""
