"""Address leases."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from wherry.errors import InvalidArgument, WherryError
from wherry.model.network import LeaseRange, Network, NetworkOptions, Subnet
from wherry.network.leases import Leases

SMALL = Network(name="small", subnets=[Subnet(subnet="10.9.0.0/29", gateway="10.9.0.1")])
WIDE = Network(name="wide", subnets=[Subnet(subnet="10.88.0.0/16", gateway="10.88.0.1")])


def lease(leases: Leases, container: str, network: Network, *static: str) -> list[str]:
    return leases.lease(container, {network.name: network}, {network.name: NetworkOptions(static_ips=static)})[
        network.name
    ]


def test_upper_half_is_given_out_in_order(tmp_path: Path) -> None:
    leases = Leases(str(tmp_path))
    assert lease(leases, "a", WIDE) == ["10.88.128.0"]
    assert lease(leases, "b", WIDE) == ["10.88.128.1"]
    leases.release("b")
    assert lease(leases, "c", WIDE) == ["10.88.128.2"]


def test_exhausted_subnet(tmp_path: Path) -> None:
    leases = Leases(str(tmp_path))
    given = [lease(leases, f"c{number}", SMALL)[0] for number in range(5)]
    assert sorted(given) == [f"10.9.0.{number}" for number in range(2, 7)]
    with pytest.raises(WherryError, match=r"failed to find free IP in range: 10\.9\.0\.1 - 10\.9\.0\.6"):
        lease(leases, "more", SMALL)
    leases.release("c1")
    assert lease(leases, "more", SMALL) == [given[1]]


def test_the_lower_half_comes_last(tmp_path: Path) -> None:
    network = Network(name="n", subnets=[Subnet(subnet="10.9.2.0/28", gateway="10.9.2.1")])
    leases = Leases(str(tmp_path))
    given = [lease(leases, f"c{number}", network)[0] for number in range(13)]
    assert given == [f"10.9.2.{number}" for number in (*range(8, 15), *range(2, 8))]
    with pytest.raises(WherryError, match=r"failed to find free IP in range: 10\.9\.2\.1 - 10\.9\.2\.14"):
        lease(leases, "more", network)
    leases.release("c2")
    assert lease(leases, "more", network) == ["10.9.2.10"]


def test_static_address(tmp_path: Path) -> None:
    leases = Leases(str(tmp_path))
    assert lease(leases, "a", WIDE, "10.88.3.4") == ["10.88.3.4"]
    with pytest.raises(WherryError, match=r"requested ip address 10\.88\.3\.4 is already allocated to container ID a"):
        lease(leases, "b", WIDE, "10.88.3.4")
    with pytest.raises(InvalidArgument, match=r"requested static ip 10\.1\.1\.1 not in any subnet on network wide"):
        lease(leases, "b", WIDE, "10.1.1.1")
    assert leases.of("b") == {}


def test_all_or_nothing(tmp_path: Path) -> None:
    leases = Leases(str(tmp_path))
    lease(leases, "a", WIDE, "10.88.3.4")
    with pytest.raises(WherryError):
        leases.lease(
            "b",
            {"small": SMALL, "wide": WIDE},
            {"small": NetworkOptions(), "wide": NetworkOptions(static_ips=["10.88.3.4"])},
        )
    assert leases.holders() == {"a"}


def test_defined_range_and_both_families(tmp_path: Path) -> None:
    network = Network(
        name="dual",
        subnets=[
            Subnet(
                subnet="10.9.1.0/24", gateway="10.9.1.1",
                lease_range=LeaseRange(start_ip="10.9.1.7", end_ip="10.9.1.7"),
            ),
            Subnet(subnet="fd00:1::/64", gateway="fd00:1::1"),
        ],
    )
    leases = Leases(str(tmp_path))
    first = lease(leases, "a", network)
    assert first[0] == "10.9.1.7"
    assert first[1] == "fd00:1:0:0:8000::"
    with pytest.raises(WherryError):
        lease(leases, "b", network)


def test_many_processes_get_different_addresses(tmp_path: Path) -> None:
    children = []
    for worker in range(6):
        pid = os.fork()
        if pid == 0:
            leases = Leases(str(tmp_path))
            for number in range(20):
                lease(leases, f"{worker}-{number}", WIDE)
            os._exit(0)
        children.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 6
    leases = Leases(str(tmp_path))
    given = [address for holder in leases.holders() for address in leases.of(holder)["wide"]]
    assert len(given) == len(set(given)) == 120
