"""What is forwarded to containers on rootless bridges."""

from __future__ import annotations

import pytest

from wherry.errors import Unsupported
from wherry.model.network import NetAddress, NetInterface, NetworkStatus, PortMapping
from wherry.network.forwards import Forward
from wherry.network.protocol import AttachRequest
from wherry.network.rootless import forwards


def texts(found: list[Forward]) -> list[str]:
    return [forward.text() for forward in found]


def status(*addresses: str) -> dict[str, NetworkStatus]:
    interface = NetInterface(subnets=[NetAddress(ipnet=address) for address in addresses])
    return {"n": NetworkStatus(interfaces={"eth0": interface})}


def request(*ports: PortMapping) -> AttachRequest:
    return AttachRequest(container_id="c", port_mappings=ports)


def test_all_addresses_of_either_version() -> None:
    wanted = request(PortMapping(host_port=8080, container_port=80))
    assert texts(forwards(wanted, status("10.9.0.2/24", "fd00::2/64"))) == [
        "tcp,0.0.0.0,8080,10.9.0.2,80", "tcp,::,8080,fd00::2,80",
    ]
    assert texts(forwards(wanted, status("10.9.0.2/24")))[1] == "tcp,::,8080,10.9.0.2,80"


def test_addresses_ranges_and_protocols() -> None:
    wanted = request(
        PortMapping(host_ip="127.0.0.1", host_port=90, container_port=9, range=2, protocol="tcp,udp"),
    )
    assert texts(forwards(wanted, status("fd00::2/64"))) == [
        "tcp,127.0.0.1,90,fd00::2,9", "tcp,127.0.0.1,91,fd00::2,10", "udp,127.0.0.1,90,fd00::2,9",
        "udp,127.0.0.1,91,fd00::2,10",
    ]


def test_sctp_is_refused() -> None:
    wanted = request(PortMapping(host_port=7, container_port=7, protocol="sctp"))
    with pytest.raises(Unsupported, match="port 7/sctp cannot be published on the host"):
        forwards(wanted, status("10.9.0.2/24"))


def test_nothing_to_lead_to() -> None:
    assert forwards(request(PortMapping(host_port=1, container_port=1)), {}) == []
