"""Choosing and checking published ports."""

from __future__ import annotations

import socket

import pytest

from wherry.errors import RuntimeFailed
from wherry.model.network import PortMapping
from wherry.network import ports
from wherry.network.ports import PortUse, allocate


@pytest.fixture
def quiet_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host where every port can be bound, whatever else it is doing."""
    monkeypatch.setattr(ports, "try_bind", lambda _address, _protocol, _port: None)


def test_a_free_port_is_chosen_for_zero() -> None:
    first, second = allocate([PortMapping(container_port=80), PortMapping(container_port=81, protocol="udp")])
    assert first.host_port > 0
    assert second.host_port > 0


def test_a_range_of_free_ports_is_consecutive() -> None:
    (mapping,) = allocate([PortMapping(host_ip="127.0.0.1", container_port=80, range=3)])
    for offset in range(3):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", mapping.host_port + offset))


def test_a_port_in_use_on_the_host_is_refused() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(RuntimeFailed, match=f"127.0.0.1:{port}: bind: address already in use") as caught:
            allocate([PortMapping(host_ip="127.0.0.1", container_port=80, host_port=port)])
    assert caught.value.exit_code == 126


@pytest.mark.parametrize(("ours", "theirs", "clash"), [
    ("", "", True), ("", "127.0.0.1", True), ("127.0.0.1", "0.0.0.0", True), ("127.0.0.1", "127.0.0.2", False),
    ("::1", "", False), ("::1", "::", True), ("127.0.0.1", "127.0.0.1", True),
])
def test_a_port_another_container_publishes(ours: str, theirs: str, clash: bool, quiet_host: None) -> None:
    used = PortUse([PortMapping(host_ip=theirs, container_port=80, host_port=47113)])
    wanted = PortMapping(host_ip=ours, container_port=80, host_port=47113)
    if not clash:
        assert allocate([wanted], used) == [wanted]
        return
    address = f"[{ours}]" if ":" in ours else ours
    with pytest.raises(RuntimeFailed, match="address already in use") as caught:
        allocate([wanted], used)
    assert f"cannot listen on the TCP port: listen tcp{6 if ':' in ours else 4} {address}:47113" in str(caught.value)
    assert caught.value.exit_code == 126


def test_mappings_that_meet(quiet_host: None) -> None:
    one = PortMapping(container_port=80, host_port=47114)
    with pytest.raises(RuntimeFailed, match=r"listen tcp4 127\.0\.0\.1:47114: bind: address already in use"):
        allocate([one, one.replace(host_ip="127.0.0.1", container_port=81)])
    allocate([one, one.replace(protocol="udp")])


def test_a_chosen_port_is_not_one_that_is_published(monkeypatch: pytest.MonkeyPatch, quiet_host: None) -> None:
    drawn = iter([47117, 47118, 47119])
    monkeypatch.setattr(ports, "_random_port", lambda _address, _protocol: next(drawn))
    used = PortUse([PortMapping(container_port=80, host_port=47117)])
    fixed = PortMapping(container_port=81, host_port=47118)
    assert [mapping.host_port for mapping in allocate([PortMapping(container_port=80), fixed], used)] == [47119, 47118]


def test_an_address_that_is_not_ours() -> None:
    with pytest.raises(RuntimeFailed, match="cannot assign requested address"):
        allocate([PortMapping(host_ip="192.0.2.77", container_port=80, host_port=47115)])
