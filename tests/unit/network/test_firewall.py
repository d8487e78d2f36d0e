"""The nft scripts of the native back end."""

from __future__ import annotations

import pytest

from wherry.model.network import NetAddress, NetInterface, Network, NetworkStatus, PortMapping, Subnet
from wherry.network import firewall
from wherry.network.protocol import AttachRequest


def network(**fields: object) -> Network:
    return Network(name="a", network_interface="br1", subnets=[Subnet(subnet="10.9.1.0/24")], **fields)  # type: ignore[arg-type]


def attached(*ports: PortMapping) -> AttachRequest:
    addresses = [NetAddress(ipnet="10.9.1.2/24"), NetAddress(ipnet="fd00::2/64")]
    status = {
        "closed": NetworkStatus(interfaces={"eth0": NetInterface(subnets=[NetAddress(ipnet="10.8.8.8/24")])}),
        "open": NetworkStatus(interfaces={"eth1": NetInterface(subnets=addresses)}),
    }
    return AttachRequest(container_id="c", port_mappings=list(ports), status=status)


def test_a_network_is_a_few_elements() -> None:
    assert firewall.network_elements(network()) == [
        ("bridges", '"br1"'), ("same", '"br1" . "br1"'), ("subnets4", "10.9.1.0/24"),
        ("local4", "10.9.1.0/24 . 10.9.1.0/24"),
    ]


@pytest.mark.parametrize(("option", "name"), [("true", "isolated"), ("1", "isolated"), ("strict", "strict")])
def test_isolation(option: str, name: str) -> None:
    assert (name, '"br1"') in firewall.network_elements(network(options={"isolate": option}))


def test_no_isolation_by_default() -> None:
    names = {name for name, _element in firewall.network_elements(network(options={"isolate": "false"}))}
    assert names.isdisjoint({"isolated", "strict"})


def test_an_internal_network_is_not_masqueraded() -> None:
    names = [name for name, _element in firewall.network_elements(network(internal=True))]
    assert names == ["bridges", "same", "internal"]


def test_ports_lead_to_the_first_address_of_an_open_network() -> None:
    ports = firewall.port_elements(attached(PortMapping(host_port=80, container_port=8080)), ["closed"])
    assert ports == [("ports4", "tcp . 80", "10.9.1.2 . 8080"), ("ports6", "tcp . 80", "fd00::2 . 8080")]


def test_ranges_protocols_and_addresses() -> None:
    request = attached(
        PortMapping(host_port=70, container_port=7, range=2, protocol="udp,tcp", host_ip="127.0.0.1"),
        PortMapping(host_port=5, container_port=5, host_ip="::1"),
        PortMapping(host_port=6, container_port=6, host_ip="0.0.0.0"),
    )
    assert [port[:2] for port in firewall.port_elements(request, ["closed"])] == [
        ("addressed4", "127.0.0.1 . udp . 70"), ("addressed4", "127.0.0.1 . udp . 71"),
        ("addressed4", "127.0.0.1 . tcp . 70"), ("addressed4", "127.0.0.1 . tcp . 71"),
        ("ports4", "tcp . 6"),
    ]


def test_sctp_and_owners() -> None:
    ports = firewall.port_elements(attached(PortMapping(host_port=7, container_port=8, protocol="sctp")), ["closed"])
    assert ports[0] == ("ports4", "sctp . 7", "10.9.1.2 . 8")
    assert firewall.add_ports(ports[:1], "ab12/0123456789ab") == (
        'add element inet wherry ports4 { sctp . 7 comment "ab12/0123456789ab" : 10.9.1.2 . 8 }\n'
    )


def test_removing_what_is_gone_is_fine() -> None:
    script = firewall.remove_ports([("ports4", "tcp . 80", "10.9.1.2 . 8080")])
    assert script.splitlines() == [
        "add element inet wherry ports4 { tcp . 80 : 10.9.1.2 . 8080 }",
        "delete element inet wherry ports4 { tcp . 80 }",
    ]
