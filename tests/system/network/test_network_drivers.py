"""Both network back ends keep the driver's contract."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.helpers.leaks import mounts_below, processes_of

from wherry.config.helpers import find
from wherry.config.load import load
from wherry.config.options import GlobalOptions
from wherry.errors import Unsupported, WherryError
from wherry.model.network import PortMapping
from wherry.network.choose import named
from wherry.network.rootless import RootlessDriver
from wherry.sys.mounts import detach
from wherry.sys.processes import find_program, run
from wherry.testing.network_contract import (
    Changes,
    HostInterfaces,
    Many,
    NetworkContract,
    NewerOptions,
    Options,
    Traffic,
    UnmanagedBridge,
    eventually,
    veths,
)
from wherry.testing.network_world import HOST4, OUTSIDE4, Place, World

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.network.protocol import Driver

pytestmark = pytest.mark.system


#: How many containers share a bridge in the test that has many; set WHERRY_TEST_MANY for more or fewer.
MANY = int(os.environ.get("WHERRY_TEST_MANY", "200"))


def version_of_netavark() -> tuple[int, ...]:
    program = find(load(GlobalOptions()), "netavark")
    text = run([program, "--version"]).stdout.decode().split()[-1] if program else "0"
    return tuple(int(part) for part in text.split(".") if part.isdigit())


def make_driver(backend: str, directory: Path) -> Driver:
    options = GlobalOptions(
        root=f"{directory}/root", runroot=f"{directory}/run", network_config_dir=f"{directory}/networks"
    )
    return named(backend, load(options), f"{directory}/run/networks")


def make_world(backend: str, directory: Path) -> World:
    return World(make_driver(backend, directory), f"{directory}/ns", lambda: make_driver(backend, directory))


def living(world: World, directory: Path) -> Iterator[World]:
    """The world for one test; nothing stays mounted."""
    try:
        yield world
    finally:
        world.close()
        for point in sorted(mounts_below(str(directory)), key=len, reverse=True):
            detach(point)


class TestNative(NetworkContract):
    count = MANY

    @pytest.fixture
    def world(self, tmp_path: Path) -> Iterator[World]:
        yield from living(make_world("native", tmp_path), tmp_path)

    def test_hairpin(self, world: World) -> None:
        """A container reaches itself through its published port (with netavark where br_netfilter is off)."""
        world.network("a", "10.70.1.0/24")
        box = world.box("a", ports=[PortMapping(host_port=8080, container_port=80)])
        with box.listen(80):
            assert box.ask("10.70.1.1", 8080) == "10.70.1.1"

    def test_flushed_rules_come_back_with_the_next_container(self, world: World) -> None:
        world.network("a", "10.70.1.0/24")
        box = world.box("a", ports=[PortMapping(host_port=8080, container_port=80)])
        with box.listen(80):
            run(["nft", "flush", "ruleset"])
            assert world.driver.check({box.id}) == ["the firewall rules of running containers are missing"]
            world.box("a")
            assert world.outside.ask(HOST4, 8080) == OUTSIDE4

    def test_rules_of_a_network_whose_definition_is_gone(self, world: World) -> None:
        """Podman, for one, may have removed it."""
        world.network("a", "10.70.1.0/24")
        world.box("a").detach()
        eventually(lambda: veths(world) == set())
        definition = Path(world.driver.definitions.directory, "a.json")
        text = definition.read_text()
        definition.unlink()
        assert world.driver.check(set()) == ["there are rules for network a, which does not exist"]
        world.driver.repair(set())
        assert "10.70.1.0" not in world.rules()
        assert "br-a" not in world.host.links()
        definition.write_text(text)

    def test_missing_rules_of_one_port_are_found(self, world: World) -> None:
        world.network("a", "10.70.1.0/24")
        box = world.box("a", ports=[PortMapping(host_port=8080, container_port=80)])
        run(["nft", "delete element inet wherry ports4 { tcp . 8080 }"])
        assert world.driver.check({box.id}) == [f"rules for ports of container {box.id[:12]} are missing"]
        world.driver.repair({box.id})
        with box.listen(80):
            assert world.outside.ask(HOST4, 8080) == OUTSIDE4

    def test_another_engines_rules_are_left_alone(self, world: World, tmp_path: Path) -> None:
        world.network("a", "10.70.1.0/24")
        box = world.box("a", ports=[PortMapping(host_port=8080, container_port=80)])
        (tmp_path / "other").mkdir()
        other = make_driver("native", tmp_path / "other")
        assert other.check(set()) == []
        other.repair(set())
        with box.listen(80):
            assert world.outside.ask(HOST4, 8080) == OUTSIDE4

    def test_a_port_left_by_a_killed_process_is_taken_over(self, world: World) -> None:
        world.network("a", "10.70.1.0/24")
        world.box("a")
        run(["nft", "add element inet wherry ports4 { tcp . 8080 : 10.70.1.250 . 99 }"])
        box = world.box("a", ports=[PortMapping(host_port=8080, container_port=80)])
        with box.listen(80):
            assert world.outside.ask(HOST4, 8080) == OUTSIDE4

    def test_a_forwarding_process_whose_starter_was_killed(self, world: World, tmp_path: Path) -> None:
        """It was started and nobody wrote its pid down."""
        world.network("a", "10.70.1.0/24")
        box = world.box("a", ports=[PortMapping(host_ip="::1", host_port=8080, container_port=80)])
        record = tmp_path / "run/networks/forward" / box.id
        record.write_text("0 0\n" + record.read_text().partition("\n")[2])
        assert world.driver.check({box.id}) == [f"the process that forwards ports of container {box.id[:12]} is gone"]
        world.driver.repair({box.id})
        assert world.driver.check({box.id}) == []
        with box.listen(80):
            assert world.host.ask("::1", 8080)
        record.write_text("0 0\n")
        box.detach()
        assert processes_of(str(record)) == []

    def test_a_vlan_of_the_bridge(self, world: World) -> None:
        world.network("a", "10.70.1.0/24", options={"vlan": "7"})
        try:
            one, two = world.box("a"), world.box("a")
        except Unsupported as error:
            assert "this kernel has no VLANs on bridges, which network a needs" in str(error)
            return
        with one.listen(80):
            assert two.ask(one.address("a"), 80) == two.address("a")
        tags = {entry["vlan"] for port in world.host.json("bridge", "-j", "vlan") for entry in port["vlans"]}
        assert 7 in tags

    def test_a_vrf(self, world: World) -> None:
        world.network("a", "10.70.1.0/24", options={"vrf": "red"})
        with pytest.raises(WherryError, match="vrf red does not exist"):
            world.box("a")
        if run(["ip", "link", "add", "red", "type", "vrf", "table", "77"]).returncode:
            return      # a kernel without
        try:
            world.box("a")
            assert world.host.links()["br-a"].master == world.host.links()["red"].index
        finally:
            run(["ip", "link", "del", "red"])

    def test_a_name_of_the_hosts_end_that_is_taken(self, world: World) -> None:
        world.network("a", "10.70.1.0/24")
        world.box("a", options={"host_interface_name": "to-web"})
        before = world.driver.leases.holders()
        with pytest.raises(WherryError, match="interface to-web already exists"):
            world.box("a", options={"host_interface_name": "to-web"})
        assert world.driver.leases.holders() == before

    def test_a_limit_of_broadcast_queues(self, world: World) -> None:
        world.network(
            "m", "192.0.2.0/24", driver="macvlan", network_interface="uplink", options={"bclim": "-1"}
        )
        box = world.box("m", static_ips=["192.0.2.10"])
        with world.outside.listen(80):
            assert box.ask(OUTSIDE4, 80) == "192.0.2.10"

    def test_what_the_kernel_lacks_is_named(self, world: World) -> None:
        world.network("v", "192.0.2.0/24", driver="ipvlan", network_interface="uplink")
        try:
            box = world.box("v", static_ips=["192.0.2.12"])
        except Unsupported as error:
            assert "this kernel has no ipvlan interfaces" in str(error)
        else:
            with world.outside.listen(80):
                assert box.ask(OUTSIDE4, 80) == "192.0.2.12"


class WithNetavark:
    @pytest.fixture
    def world(self, tmp_path: Path) -> Iterator[World]:
        yield from living(make_world("netavark", tmp_path), tmp_path)


class TestNetavark(WithNetavark, Traffic, Options, HostInterfaces, Changes, Many):
    """netavark does what the native driver does, with the same test bodies."""

    count = MANY
    published = 8       # it takes a sixth of a second to let go of each


@pytest.mark.skipif(version_of_netavark() < (1, 10), reason="this netavark knows fewer options")
class TestNewerNetavark(WithNetavark, NewerOptions, UnmanagedBridge):
    pass


class Rootless:
    """A driver inside the shared namespace of rootless bridges; root can make one as well."""

    backend = ""

    @pytest.fixture
    def world(self, tmp_path: Path) -> Iterator[World]:
        if not find_program("pasta"):
            pytest.skip("pasta is not installed")
        options = GlobalOptions(
            root=f"{tmp_path}/root", runroot=f"{tmp_path}/run", network_config_dir=f"{tmp_path}/networks"
        )
        settings, run_dir = load(options), f"{tmp_path}/run/networks"
        driver = RootlessDriver(named(self.backend, settings, run_dir), settings, run_dir)
        world = World(driver, f"{tmp_path}/ns")
        world.inner, world.routed = Place(driver.shared.path), False
        yield from living(world, tmp_path)
        assert not driver.shared.exists(), "the namespace stays"
        assert processes_of(run_dir) == []

    def test_sctp_has_a_rule(self, world: World) -> None:
        world.network("a", "10.70.1.0/24")
        with pytest.raises(Unsupported, match="port 9100/sctp cannot be published on the host"):
            world.box("a", ports=[PortMapping(host_port=9100, container_port=7100, protocol="sctp")])

    def test_the_namespace_comes_and_goes_with_containers(self, world: World) -> None:
        driver = world.driver
        assert isinstance(driver, RootlessDriver)
        world.network("a", "10.70.1.0/24")
        assert not driver.shared.exists()
        one, two = world.box("a"), world.box("a")
        assert driver.shared.connected()
        one.detach()
        assert driver.shared.connected()
        two.detach()
        assert not driver.shared.exists()

    def test_a_lost_connection_is_found_and_made_again(self, world: World) -> None:
        driver = world.driver
        assert isinstance(driver, RootlessDriver)
        world.network("a", "10.70.1.0/24")
        box = world.box("a")
        ((pid, _line),) = processes_of(driver.shared.path)
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: not driver.shared.connected())
        cut_off = "the network namespace of rootless bridges is not connected to the host"
        assert driver.check({box.id}) == [cut_off]
        driver.repair({box.id})
        assert driver.check({box.id}) == []
        with world.outside.listen(80):
            assert box.ask(OUTSIDE4, 80) == HOST4


class TestRootlessNative(Rootless, Traffic, Options, NewerOptions, Changes):
    backend = "native"


class TestRootlessNetavark(Rootless, Changes):
    """What the shared namespace changes; the rest is netavark's own affair."""

    backend = "netavark"
