"""Choosing and checking published ports."""

from __future__ import annotations

import socket

import pytest

from wherry.errors import InvalidArgument, RuntimeFailed
from wherry.model.network import PortMapping
from wherry.network.ports import allocate


def test_a_free_port_is_chosen_for_zero() -> None:
    first, second = allocate([PortMapping(container_port=80), PortMapping(container_port=81, protocol="udp")], set())
    assert first.host_port > 0
    assert second.host_port > 0


def test_a_range_of_free_ports_is_consecutive() -> None:
    (mapping,) = allocate([PortMapping(host_ip="127.0.0.1", container_port=80, range=3)], set())
    for offset in range(3):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", mapping.host_port + offset))


def test_a_port_in_use_on_the_host_is_refused() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(RuntimeFailed, match=f"127.0.0.1:{port}: bind: address already in use") as caught:
            allocate([PortMapping(host_ip="127.0.0.1", container_port=80, host_port=port)], set())
    assert caught.value.exit_code == 126


def test_a_port_another_container_publishes_is_refused() -> None:
    with pytest.raises(RuntimeFailed, match="address already in use"):
        allocate([PortMapping(container_port=80, host_port=47113)], {("tcp", 47113)})


def test_contradicting_mappings() -> None:
    same = PortMapping(container_port=80, host_port=47114)
    with pytest.raises(InvalidArgument, match="conflicting port mappings for host port 47114"):
        allocate([same, same.replace(container_port=81)], set())


def test_an_address_that_is_not_ours() -> None:
    with pytest.raises(RuntimeFailed, match="cannot assign requested address"):
        allocate([PortMapping(host_ip="192.0.2.77", container_port=80, host_port=47115)], set())
