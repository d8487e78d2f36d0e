"""Addresses by DHCP on a macvlan network, from a server in a namespace of the test's own."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.system.network.test_network_drivers import living, make_world

from wherry.config.helpers import find
from wherry.config.load import load
from wherry.config.options import GlobalOptions
from wherry.engine.runtime import Runtime
from wherry.errors import InvalidArgument, Unsupported
from wherry.network import dhcp
from wherry.sys.processes import find_program, with_argument
from wherry.testing.network_world import OUTSIDE4, World

pytestmark = pytest.mark.system
NETAVARK = find(load(GlobalOptions()), "netavark")
needs_proxy = pytest.mark.skipif(not dhcp.available(NETAVARK), reason="this netavark has no dhcp-proxy")
without_proxy = pytest.mark.skipif(dhcp.available(NETAVARK), reason="this netavark has a dhcp-proxy")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    yield from living(make_world("netavark", tmp_path), tmp_path)


@pytest.fixture
def server(world: World) -> Iterator[None]:
    """A DHCP server outside; a proxy the test let start is ended afterwards."""
    program = find_program("dnsmasq")
    if not program:
        pytest.skip("dnsmasq is not installed")
    there = with_argument("dhcp-proxy")
    words = [
        program, "--no-daemon", "--port=0", "--interface=eth0", "--dhcp-authoritative", "--leasefile-ro", "--user=root",
        "--conf-file=/dev/null", "--dhcp-range=192.0.2.100,192.0.2.110,255.255.255.0,120", "--dhcp-option=3,192.0.2.2",
    ]
    null = subprocess.DEVNULL
    process = world.outside.call(lambda: subprocess.Popen(words, stdin=null, stdout=null, stderr=null))
    try:
        yield
    finally:
        process.kill()
        process.wait()
        for pid in set(with_argument("dhcp-proxy")) - set(there):
            os.kill(pid, signal.SIGTERM)


@needs_proxy
def test_macvlan_with_dhcp(world: World, server: None) -> None:
    world.network("m", driver="macvlan", network_interface="uplink", ipam_options={"driver": "dhcp"})
    box = world.box("m")
    assert box.address("m").startswith("192.0.2.10")
    with world.outside.listen(80):
        assert box.ask(OUTSIDE4, 80) == box.address("m")
    assert not world.driver.leases.of(box.id)
    box.detach()
    world.driver.settle()
    assert world.driver.check(set()) == []


@without_proxy
def test_without_the_proxy(rt: Runtime) -> None:
    with pytest.raises(InvalidArgument, match="driver needs at least one subnet specified, DHCP is not yet supported"):
        rt.networks.create("m", driver="macvlan")
    with pytest.raises(InvalidArgument, match="dhcp ipam driver is not yet supported with netavark"):
        rt.networks.create("m", ipam_driver="dhcp")


def test_the_native_driver_says_that_it_cannot(tmp_path: Path) -> None:
    def refuse(world: World) -> None:
        world.network("m", driver="macvlan", network_interface="uplink", ipam_options={"driver": "dhcp"})
        with pytest.raises(Unsupported, match="gives addresses by DHCP, which the native network back end does not do"):
            world.box("m")

    for world in living(make_world("native", tmp_path), tmp_path):
        refuse(world)
