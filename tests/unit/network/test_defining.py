"""New network definitions: what is checked and what is chosen. Podman's words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from wherry.config.settings import SubnetPool
from wherry.errors import InvalidArgument, WherryError
from wherry.model.network import LeaseRange, Network, Subnet
from wherry.network.addresses import parse_cidr
from wherry.network.defining import NetworkExists, define, free_subnet
from wherry.network.definitions import Definitions, document

POOLS = [SubnetPool(base="10.200.0.0/22", size=24)]


@pytest.fixture
def definitions(tmp_path: Path) -> Definitions:
    return Definitions(str(tmp_path))


def made(definitions: Definitions, **fields: object) -> Network:
    network = define(Network(dns_enabled=True, **fields), definitions, POOLS)  # type: ignore[arg-type]
    with definitions.lock().exclusive():
        definitions.save(network)
    return network


def test_everything_is_chosen(definitions: Definitions) -> None:
    one, two = made(definitions), made(definitions)
    assert one.name == one.network_interface
    assert one.subnets[0].gateway == one.subnets[0].subnet.replace(".0/24", ".1")
    assert {one.name, one.id, one.subnets[0].subnet}.isdisjoint({two.name, two.id, two.subnets[0].subnet})
    assert definitions.get(two.id[:12]) == two


def test_dual_stack(definitions: Definitions) -> None:
    network = made(definitions, ipv6_enabled=True)
    assert [parse_cidr(subnet.subnet).width for subnet in network.subnets] == [32, 128]


def test_the_file_has_podmans_keys(definitions: Definitions, tmp_path: Path) -> None:
    subnet = Subnet(subnet="10.44.0.7/24", lease_range=LeaseRange(start_ip="10.44.0.9", end_ip="10.44.0.20"))
    network = made(definitions, name="n", subnets=[subnet], labels={"b": "", "a": "x"})
    tree = json.loads((tmp_path / "n.json").read_text())
    assert list(tree) == [
        "name", "id", "driver", "network_interface", "created", "subnets", "ipv6_enabled", "internal", "dns_enabled",
        "labels", "ipam_options",
    ]
    assert tree == document(network)
    assert tree["subnets"] == [
        {
            "subnet": "10.44.0.0/24",
            "gateway": "10.44.0.1",
            "lease_range": {"start_ip": "10.44.0.9", "end_ip": "10.44.0.20"},
        }
    ]


@pytest.mark.parametrize(("fields", "message"), [
    ({"name": "bad name"}, r"network name bad name invalid: names must match \[a-zA-Z0-9\]\[a-zA-Z0-9_.-\]\*"),
    ({"name": "host"}, 'cannot create network with name "host" because it conflicts with a valid network mode'),
    ({"driver": "foo"}, "unsupported driver foo: invalid argument"),
    ({"options": {"foo": "bar"}}, "unsupported bridge network option foo"),
    ({"options": {"mtu": "x"}}, 'strconv.Atoi: parsing "x": invalid syntax'),
    ({"options": {"vlan": "9999"}}, "vlan ID 9999 must be between 0 and 4094"),
    ({"subnets": [Subnet(subnet="10.48.0.0/25", gateway="10.1.1.1")]}, "gateway 10.1.1.1 not in subnet 10.48.0.0/25"),
    ({"subnets": [Subnet(subnet="10.48.0.0/25", lease_range=LeaseRange(start_ip="10.1.1.1"))]},
     "lease range start ip 10.1.1.1 not in subnet 10.48.0.0/25"),
    ({"subnets": [Subnet(subnet="10.88.7.0/24")]},
     "subnet 10.88.7.0/24 is already used on the host or by another config"),
    ({"driver": "macvlan", "network_interface": "nope", "subnets": [Subnet(subnet="10.48.0.0/25")]},
     "parent interface nope does not exist"),
    ({"driver": "macvlan"}, "macvlan driver needs at least one subnet specified"),
    ({"driver": "ipvlan"}, "ipam driver dhcp is not supported with ipvlan"),
    ({"ipam_options": {"driver": "dhcp"}}, "dhcp ipam driver is not yet supported with netavark"),
    ({"ipam_options": {"driver": "dhcp"}, "subnets": [Subnet(subnet="10.48.0.0/25")]},
     "dhcp ipam driver is set but subnets are given"),
    ({"ipam_options": {"driver": "foo"}}, 'unsupported ipam driver "foo"'),
    ({"network_interface": "a-name-that-is-too-long"}, "bridge name a-name-that-is-too-long invalid: names must match"),
])
def test_refusals(definitions: Definitions, fields: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        made(definitions, **fields)
    assert definitions.names() == ["podman"]


def test_addresses_by_dhcp_where_the_host_can(definitions: Definitions) -> None:
    for network in (Network(driver="macvlan", dns_enabled=True), Network(ipam_options={"driver": "dhcp"})):
        made = define(network, definitions, POOLS, lambda: True)
        assert (made.ipam_options, made.subnets, made.dns_enabled) == ({"driver": "dhcp"}, [], False)


def test_a_name_is_used_once(definitions: Definitions) -> None:
    made(definitions, name="n")
    with pytest.raises(NetworkExists, match="network name n already used: network already exists"):
        made(definitions, name="n")


def test_an_internal_network_without_names_has_no_gateway(definitions: Definitions) -> None:
    network = define(Network(name="n", internal=True), definitions, POOLS)
    assert network.subnets[0].gateway == ""


def test_exhausted_pools() -> None:
    busy = [parse_cidr("10.200.0.0/23"), parse_cidr("10.200.2.0/24")]
    assert str(free_subnet(POOLS, busy)) == "10.200.3.0/24"
    with pytest.raises(WherryError, match="could not find free subnet from subnet pools"):
        free_subnet(POOLS, [*busy, parse_cidr("10.200.3.128/25")])
