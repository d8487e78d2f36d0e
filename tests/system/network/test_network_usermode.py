"""pasta and slirp4netns connecting a namespace, with traffic in and out."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.helpers.leaks import processes_of
from tests.system.network.test_network_drivers import living, make_world

from wherry.config.load import load
from wherry.config.options import GlobalOptions
from wherry.errors import WherryError
from wherry.model.ids import generate_id
from wherry.model.network import PortMapping
from wherry.network.protocol import AttachRequest
from wherry.network.usermode import MODES, UserMode
from wherry.sys.namespaces import create_netns, remove_netns
from wherry.sys.processes import find_program
from wherry.testing.network_contract import eventually
from wherry.testing.network_world import HOST4, OUTSIDE4, Place, World

pytestmark = pytest.mark.system


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    yield from living(make_world("native", tmp_path), tmp_path)


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    if not find_program(request.param):
        pytest.skip(f"{request.param} is not installed")
    return str(request.param)


@pytest.fixture
def networks(tmp_path: Path) -> UserMode:
    return UserMode(load(GlobalOptions(root=f"{tmp_path}/root", runroot=f"{tmp_path}/run")), f"{tmp_path}/run/n")


@pytest.fixture
def attachment(tmp_path: Path) -> Iterator[AttachRequest]:
    """A namespace to connect, with two published ports."""
    path = f"{tmp_path}/ns/box"
    create_netns(path)
    ports = [
        PortMapping(host_port=8080, container_port=80), PortMapping(host_port=8081, container_port=80, protocol="udp")
    ]
    yield AttachRequest(container_id=generate_id(), net_ns=path, port_mappings=ports)
    remove_netns(path)


def echoed(place: Place) -> bytes:
    """What comes back through the published port. (A pasta of 2023 loses bytes a server sends just before closing.)"""
    with place.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
        client.settimeout(10)
        client.connect((HOST4, 8080))
        client.sendall(b"hello")
        return client.recv(100)


def test_traffic_both_ways(world: World, networks: UserMode, attachment: AttachRequest, mode: str) -> None:
    box = Place(attachment.net_ns)
    status = networks.begin(attachment, mode, {}).result()
    assert status[mode].dns_server_ips == [{"pasta": "169.254.1.1", "slirp4netns": "10.0.2.3"}[mode]]
    (addresses,) = [block.subnets for block in status[mode].interfaces.values()]
    assert addresses[0].ipnet == {"pasta": f"{HOST4}/24", "slirp4netns": "10.0.2.100/24"}[mode]
    with box.echo(80), box.listen(80, udp=True), world.outside.listen(81):
        assert box.ask(OUTSIDE4, 81) == HOST4
        assert echoed(world.outside) == b"hello"
        assert world.outside.ask(HOST4, 8081, udp=True)
    networks.stop(attachment.container_id)
    with pytest.raises(OSError, match="refused"):
        echoed(world.outside)
    assert processes_of(attachment.net_ns) == []


def test_a_process_that_was_killed(networks: UserMode, world: World, attachment: AttachRequest, mode: str) -> None:
    networks.begin(attachment, mode, {}).result()
    assert networks.alive(attachment.container_id)
    ((pid, _line),) = processes_of(attachment.net_ns)
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not networks.alive(attachment.container_id))
    networks.stop(attachment.container_id)
    networks.stop(attachment.container_id)


def test_what_does_not_work_is_said(networks: UserMode, world: World, attachment: AttachRequest) -> None:
    if not find_program("pasta"):
        pytest.skip("pasta is not installed")
    with pytest.raises(WherryError, match="pasta failed with exit code 1"):
        networks.begin(attachment, "pasta", {"pasta": ["--no-such-option"]})
    assert processes_of(attachment.net_ns) == []
