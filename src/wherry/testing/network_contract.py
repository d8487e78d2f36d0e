"""What any network driver must do: a suite for pytest, with real traffic between network namespaces.

Run it as root in a network namespace of its own.  Derive a test class and give it a fixture ``world`` that returns a
:class:`~wherry.testing.network_world.World` around the driver and closes it afterwards.
"""

from __future__ import annotations

import os
import socket
import threading
import time

from wherry.errors import WherryError
from wherry.model.network import PortMapping, Route
from wherry.sys.namespaces import remove_netns
from wherry.testing.network_world import HOST4, HOST6, OUTSIDE4, OUTSIDE6

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from wherry.sys.rtnetlink import Link
    from wherry.testing.network_world import Box, Place, World

A, B = "10.70.1.0/24", "10.70.2.0/24"
A6 = "fd70:1::/64"


def eventually(test: Callable[[], bool], timeout: float = 15.0, shown: Callable[[], object] = lambda: "") -> None:
    """Fail unless *test* becomes true in time, with what *shown* tells."""
    deadline = time.monotonic() + timeout
    while not test():
        assert time.monotonic() < deadline, f"it did not happen in time: {shown()}"
        time.sleep(0.02)


def published_rules(world: World, port: int) -> list[str]:
    """The rules that publish TCP port *port*, of whichever back end."""
    return [line for line in world.rules().splitlines() if "tcp" in line and f" {port} " in f"{line} "]


def expect_clean(world: World, alive: set[str]) -> None:
    """Fail unless the driver finds nothing wrong."""
    found = world.driver.check(alive)
    assert found == [], found


def links(world: World) -> dict[str, Link]:
    """Interfaces where bridges are; a namespace made for them goes when there is nothing left in it."""
    return world.inner.links() if os.path.exists(world.inner.path or "/") else {}


def veths(world: World) -> set[str]:
    """The host's ends of containers' interfaces."""
    return {link.name for link in links(world).values() if link.kind == "veth"} - {"outveth"}


def gone(place: Box, server: str, name: str, address: str) -> bool:
    """Does the name server no longer give *address* for *name*?

    What it does not know it asks the host's name servers, which nobody answers for in a test.
    """
    return address not in (place.resolve(server, name) or ())


def exchange(client: socket.socket, data: bytes) -> bytes:
    """Send *data*, end that direction, and read what comes back."""
    def send() -> None:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    found = b"".join(iter(lambda: client.recv(65536), b""))
    sender.join(5)
    return found


def eight_at_a_time(work: Callable[[int], None], numbers: Iterable[int]) -> None:
    """Do *work* for each number in eight threads. Raises what the first that failed raised."""
    left = list(numbers)
    failures: list[BaseException] = []

    def loop() -> None:
        while not failures:
            try:
                number = left.pop()
            except IndexError:
                return
            try:
                work(number)
            except BaseException as error:
                failures.append(error)

    threads = [threading.Thread(target=loop) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def routes_of(box: Box) -> list[dict[str, Any]]:
    """The container's IPv4 routes that lead through a gateway."""
    return [route for route in box.json("ip", "-j", "-4", "route") if "gateway" in route]


class Traffickers:
    """Threads that each keep one connection to an echo server busy; *ways* are (from where, address, port)."""

    def __init__(self, *ways: tuple[Place, str, int]) -> None:
        self._counts = [0] * len(ways)
        self._failures: list[str] = []
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, args=(number, *way), daemon=True) for number, way in enumerate(ways)
        ]

    def _work(self, number: int, place: Place, address: str, port: int) -> None:
        try:
            with place.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
                client.settimeout(20)
                client.connect((address, port))
                while not self._stop.is_set():
                    client.sendall(b"x" * 1000)
                    left = 1000
                    while left:
                        data = client.recv(left)
                        if not data:
                            raise OSError("the connection was closed")
                        left -= len(data)
                    self._counts[number] += 1
        except OSError as error:
            self._failures.append(f"{address}:{port}: {error}")

    def expect_progress(self) -> None:
        """Fail unless every connection gets more bytes across."""
        before = list(self._counts)
        eventually(lambda: bool(self._failures) or all(n > b for n, b in zip(self._counts, before, strict=True)), 25)
        assert self._failures == [], self._failures

    def __enter__(self) -> Traffickers:
        for thread in self._threads:
            thread.start()
        self.expect_progress()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(25)


class Traffic:
    """Who reaches whom, and with which address."""

    def test_containers_reach_each_other_and_the_host(self, world: World) -> None:
        world.network("a", A)
        one, two = world.box("a"), world.box("a")
        with one.listen(80), world.inner.listen(8081):
            assert two.ask(one.address("a"), 80) == two.address("a")
            assert one.ask("10.70.1.1", 8081) == one.address("a")
            assert world.inner.ask(one.address("a"), 80) == "10.70.1.1"

    def test_traffic_to_elsewhere_leaves_with_the_hosts_address(self, world: World) -> None:
        world.network("a", A)
        box = world.box("a")
        with world.outside.listen(80):
            assert box.ask(OUTSIDE4, 80) == HOST4

    def test_published_port(self, world: World) -> None:
        world.network("a", A)
        box = world.box("a", ports=[PortMapping(host_port=8080, container_port=80)])
        other = world.box("a")
        with box.listen(80):
            assert world.came_from(world.outside.ask(HOST4, 8080), OUTSIDE4), "the source address is kept"
            assert world.host.ask("127.0.0.1", 8080)
            assert world.host.ask(HOST4, 8080)
            if world.routed:
                assert other.ask("10.70.1.1", 8080)
        box.detach()
        world.driver.settle()
        assert not world.outside.reaches(HOST4, 8080)

    def test_published_port_from_another_network(self, world: World) -> None:
        world.network("a", A)
        world.network("b", B)
        box, other = world.box("a", ports=[PortMapping(host_port=8080, container_port=80)]), world.box("b")
        with box.listen(80):
            if world.routed:
                assert other.ask(HOST4, 8080)
            assert world.host.ask("127.0.0.1", 8080)

    def test_published_on_one_address_only(self, world: World) -> None:
        world.network("a", A)
        box = world.box("a", ports=[PortMapping(host_ip="127.0.0.1", host_port=8080, container_port=80)])
        with box.listen(80):
            assert world.host.ask("127.0.0.1", 8080)
            assert not world.outside.reaches(HOST4, 8080)

    def test_published_on_ipv6_loopback(self, world: World) -> None:
        """By a process of the container's own, which comes and goes with it, whatever versions the container has."""
        world.network("a", A, A6)
        world.network("b", B)
        both = [PortMapping(host_ip="::1", host_port=8080, container_port=80)]
        dual = world.box("a", ports=[*both, *(mapping.replace(protocol="udp") for mapping in both)])
        four = world.box("b", ports=[PortMapping(host_ip="::1", host_port=8090, container_port=80, range=2)])
        with dual.listen(80, address="::"), dual.listen(80, address="::", udp=True), four.listen(81):
            assert world.host.ask("::1", 8080)
            assert world.host.ask("::1", 8080, udp=True)
            assert world.host.ask("::1", 8091) == "10.70.2.1"
            assert not world.outside.reaches(HOST6, 8080)
            expect_clean(world, {dual.id, four.id})
            dual.detach()
            assert not world.host.reaches("::1", 8080)
            assert world.host.ask("::1", 8091)

    def test_published_on_an_ipv6_address(self, world: World) -> None:
        world.network("a", A, A6)
        box = world.box("a", ports=[PortMapping(host_ip=HOST6, host_port=8080, container_port=80)])
        with box.listen(80, address="::"):
            assert world.came_from(world.outside.ask(HOST6, 8080), OUTSIDE6)
            assert not world.outside.reaches(HOST4, 8080)

    def test_what_is_sent_through_ipv6_loopback_arrives_whole(self, world: World) -> None:
        world.network("a", A)
        box = world.box("a", ports=[PortMapping(host_ip="::1", host_port=8080, container_port=80)])
        sent = bytes(range(256)) * 20_000
        with box.echo(80), world.host.socket(socket.AF_INET6, socket.SOCK_STREAM) as client:
            client.settimeout(10)
            client.connect(("::1", 8080))
            assert exchange(client, sent) == sent

    def test_a_port_on_ipv6_loopback_that_is_taken(self, world: World) -> None:
        world.network("a", A)
        before = world.driver.leases.holders()
        with world.host.listen(8080, address="::1"):
            try:
                world.box("a", ports=[PortMapping(host_ip="::1", host_port=8080, container_port=80)])
            except WherryError as error:
                assert "listen tcp6 [::1]:8080: bind: address already in use" in str(error)
            else:
                raise AssertionError("a port was published that is taken")
        assert world.driver.leases.holders() == before

    def test_published_ranges_and_protocols(self, world: World) -> None:
        world.network("a", A)
        ports = [
            PortMapping(host_port=9000, container_port=7000, range=3),
            PortMapping(host_port=9000, container_port=7000, protocol="udp"),
        ]
        box = world.box("a", ports=ports)
        with box.listen(7002), box.listen(7000, udp=True):
            assert world.came_from(world.outside.ask(HOST4, 9002), OUTSIDE4)
            assert world.came_from(world.outside.ask(HOST4, 9000, udp=True), OUTSIDE4)

    def test_sctp_has_a_rule(self, world: World) -> None:
        """Not every kernel has its sockets, so the rule alone is looked at."""
        world.network("a", A)
        box = world.box("a", ports=[PortMapping(host_port=9100, container_port=7100, protocol="sctp")])
        assert "9100" in world.rules()
        box.detach()
        world.driver.settle()
        assert "9100" not in world.rules()

    def test_the_same_port_again_at_once(self, world: World) -> None:
        world.network("a", A)
        for _round in range(3):
            box = world.box("a", ports=[PortMapping(host_port=8080, container_port=80)])
            with box.listen(80):
                assert world.came_from(world.outside.ask(HOST4, 8080), OUTSIDE4)
            box.detach()

    def test_both_versions(self, world: World) -> None:
        world.network("a", A, A6)
        one = world.box("a", ports=[PortMapping(host_port=8080, container_port=80)])
        two = world.box("a")
        with one.listen(80, address="::"), world.outside.listen(81, address="::"):
            four, six = one.addresses("a")
            assert two.ask(six, 80) == two.addresses("a")[1]
            assert world.came_from(world.outside.ask(HOST6, 8080), OUTSIDE6)
            assert two.ask(OUTSIDE6, 81) == HOST6
            assert four.startswith("10.70.1.")

    def test_isolated_networks_do_not_reach_each_other(self, world: World) -> None:
        world.network("a", A, options={"isolate": "true"})
        world.network("b", B, options={"isolate": "true"})
        one, two, three = world.box("a"), world.box("b"), world.box("a")
        with one.listen(80), world.outside.listen(80):
            assert three.ask(one.address("a"), 80)
            assert two.ask(OUTSIDE4, 80) == HOST4
            assert not two.reaches(one.address("a"), 80)

    def test_plain_networks_reach_each_other(self, world: World) -> None:
        world.network("a", A)
        world.network("b", B)
        one, two = world.box("a"), world.box("b")
        with one.listen(80):
            assert two.reaches(one.address("a"), 80, timeout=3)

    def test_an_internal_network_has_no_way_out(self, world: World) -> None:
        world.network("a", A, internal=True)
        one, two = world.box("a"), world.box("a")
        with one.listen(80), world.outside.listen(80):
            assert two.ask(one.address("a"), 80)
            assert not two.reaches(OUTSIDE4, 80)


class Options:
    """What a container may ask for."""

    def test_static_address_mac_and_interface_name(self, world: World) -> None:
        world.network("a", A, options={"mtu": "1300"})
        box = world.box("a", static_ips=["10.70.1.77"], static_mac="02:11:22:33:44:55")
        link = box.links()["eth0"]
        assert (link.mac, link.mtu) == ("02:11:22:33:44:55", 1300)
        interface = box.request.status["a"].interfaces["eth0"]
        assert interface.mac_address == "02:11:22:33:44:55"
        assert [(address.ipnet, address.gateway) for address in interface.subnets] == [("10.70.1.77/24", "10.70.1.1")]

    def test_several_networks(self, world: World) -> None:
        world.network("a", A)
        world.network("b", B)
        box, left, right = world.box("a", "b"), world.box("a"), world.box("b")
        assert {"eth0", "eth1"} <= set(box.links())
        with box.listen(80):
            assert left.ask(box.address("a"), 80) == left.address("a")
            assert right.ask(box.address("b"), 80) == right.address("b")

    def test_names(self, world: World) -> None:
        world.network("a", A, dns_enabled=True)
        world.network("b", B, dns_enabled=True)
        web = world.box("a", "b", name="web", aliases=["www"])
        left, right = world.box("a", name="left"), world.box("b", name="right")
        assert list(left.request.status["a"].dns_server_ips) == ["10.70.1.1"]
        assert list(left.request.status["a"].dns_search_domains) == ["dns.podman"]
        for name in ("web", "www", web.id[:12], "web.dns.podman"):
            eventually(lambda name=name: left.resolve("10.70.1.1", name) == [web.address("a")])  # type: ignore[misc]
        eventually(lambda: right.resolve("10.70.2.1", "web") == [web.address("b")])
        web.detach()
        world.driver.settle()
        eventually(lambda: gone(left, "10.70.1.1", "web", web.address("a")))

    def test_static_address_in_use(self, world: World) -> None:
        world.network("a", A)
        world.box("a", static_ips=["10.70.1.77"])
        try:
            world.box("a", static_ips=["10.70.1.77"])
        except WherryError as error:
            assert "requested ip address 10.70.1.77 is already allocated" in str(error)
        else:
            raise AssertionError("the same address was given twice")

    def test_a_full_network(self, world: World) -> None:
        world.network("a", "10.70.3.0/30")
        world.box("a")
        try:
            world.box("a")
        except WherryError as error:
            assert "failed to find free IP" in str(error)
        else:
            raise AssertionError("there was an address too many")

    def test_a_failure_leaves_nothing(self, world: World) -> None:
        world.network("a", A)
        world.network("b", B, network_interface="uplink.nobridge.toolong")
        before = world.driver.leases.holders()
        try:
            world.box("a", "b")
        except WherryError:
            pass
        else:
            raise AssertionError("a bridge with an impossible name was made")
        assert world.driver.leases.holders() == before


    def test_both_versions_fixed(self, world: World) -> None:
        world.network("a", A, A6)
        box, other = world.box("a", static_ips=["10.70.1.9", "fd70:1::9"], interface_name="net7"), world.box("a")
        assert box.addresses("a") == ["10.70.1.9", "fd70:1::9"]
        assert set(box.links()) == {"lo", "net7"}
        with box.listen(80, address="::"):
            assert other.ask("fd70:1::9", 80)

class NewerOptions:
    """Options netavark has only in later versions than the oldest wherry works with."""

    def test_metric_and_routes(self, world: World) -> None:
        far, farther = (Route(destination=f"10.99.{number}.0/24", gateway="10.70.1.8") for number in (0, 1))
        routes = [far.replace(metric=7), farther]
        world.network("a", A, options={"metric": "55"}, routes=routes)
        found = {route["dst"]: (route["gateway"], route["metric"]) for route in routes_of(world.box("a"))}
        assert found == {
            "default": ("10.70.1.1", 55), "10.99.0.0/24": ("10.70.1.8", 7), "10.99.1.0/24": ("10.70.1.8", 100),
        }, found

    def test_no_default_route(self, world: World) -> None:
        world.network("a", A, options={"no_default_route": "true"})
        world.network("b", B)
        assert routes_of(world.box("a")) == []
        assert [route["gateway"] for route in routes_of(world.box("a", "b"))] == ["10.70.2.1"]

    def test_the_hosts_end_has_a_name(self, world: World) -> None:
        world.network("a", A)
        world.box("a", options={"host_interface_name": "to-web"})
        assert "to-web" in world.inner.links()

    def test_strictly_isolated_networks(self, world: World) -> None:
        world.network("a", A, options={"isolate": "strict"})
        world.network("b", B)
        one, two, three = world.box("a"), world.box("b"), world.box("a")
        with one.listen(80), two.listen(80):
            assert three.ask(one.address("a"), 80)
            assert not two.reaches(one.address("a"), 80)
            assert not one.reaches(two.address("b"), 80)

class Changes:
    """Networks of running containers, and what became of rules."""

    def test_connect_and_disconnect(self, world: World) -> None:
        world.network("a", A, dns_enabled=True)
        world.network("b", B, dns_enabled=True)
        box, other = world.box("a", name="one"), world.box("b", name="two")
        with box.listen(80):
            box.connect("b", aliases=["extra"])
            assert set(box.links()) == {"lo", "eth0", "eth1"}
            assert other.ask(box.address("b"), 80) == other.address("b")
            eventually(lambda: other.resolve("10.70.2.1", "extra") == [box.address("b")])
            address = box.address("b")
            box.disconnect("b")
            assert set(box.links()) == {"lo", "eth0"}
            eventually(lambda: gone(other, "10.70.2.1", "extra", address))
        assert set(world.driver.leases.of(box.id)) == {"a"}

    def test_traffic_flows_while_others_come_and_go(self, world: World) -> None:
        world.network("a", A)
        one, two = world.box("a"), world.box("a")
        with one.listen(80):
            for _round in range(3):
                box = world.box("a")
                assert two.ask(one.address("a"), 80)
                box.detach()
                assert two.ask(one.address("a"), 80)

    def test_a_connection_lives_through_changes(self, world: World) -> None:
        """Bytes go back and forth all the time while both ends' networks change."""
        world.network("a", A)
        world.network("b", B)
        server = world.box("a", ports=[PortMapping(host_port=8080, container_port=80)])
        client, port = (world.box("a"), 80)
        with server.echo(80), Traffickers((client, server.address("a"), port), (world.host, "127.0.0.1", 8080)) as flow:
            for _round in range(2):
                server.connect("b")
                world.box("b").detach()
                client.connect("b")
                server.disconnect("b")
                client.disconnect("b")
                flow.expect_progress()
            world.box("a", ports=[PortMapping(host_port=8081, container_port=80)]).detach()
            server.reload()
            flow.expect_progress()

    def test_reload_brings_rules_back(self, world: World) -> None:
        world.network("a", A)
        box = world.box("a", ports=[PortMapping(host_port=8080, container_port=80)])
        with box.listen(80), world.outside.listen(81):
            world.flush()
            if world.routed:
                assert not box.reaches(OUTSIDE4, 81)
                assert not world.outside.reaches(HOST4, 8080)
            box.reload()
            assert world.came_from(world.outside.ask(HOST4, 8080), OUTSIDE4)
            assert box.ask(OUTSIDE4, 81) == HOST4
        expect_clean(world, {box.id})

    def test_check_and_repair(self, world: World) -> None:
        world.network("a", A)
        box = world.box("a", ports=[PortMapping(host_port=8080, container_port=80)])
        expect_clean(world, {box.id})
        assert any(box.id[:12] in text for text in world.driver.check(set()))
        world.driver.repair(set())
        expect_clean(world, set())
        assert world.driver.leases.holders() == set()

    def test_rules_of_what_vanished_are_found_and_removed(self, world: World) -> None:
        """A container whose namespace is gone without having been detached, beside one that runs."""
        world.network("a", A)
        lost = world.box("a", ports=[PortMapping(host_port=8080, container_port=80)])
        kept = world.box("a", ports=[PortMapping(host_port=8090, container_port=80)])
        remove_netns(lost.path)
        assert any(lost.id[:12] in text for text in world.driver.check({kept.id}))
        world.driver.repair({kept.id})
        expect_clean(world, {kept.id})
        assert "8080" not in world.rules()
        with kept.listen(80):
            assert world.host.ask("127.0.0.1", 8090)

    def test_detach_is_idempotent(self, world: World) -> None:
        world.network("a", A, dns_enabled=True)
        box = world.box("a", ports=[PortMapping(host_port=8080, container_port=80)])
        box.detach()
        box.detach()
        assert world.driver.leases.holders() == set()

    def test_forgetting_a_network_removes_its_bridge(self, world: World) -> None:
        network = world.network("a", A)
        world.box("a").detach()
        world.driver.settle()
        eventually(lambda: veths(world) == set())
        world.driver.forget_network(network)
        assert "br-a" not in links(world)


class HostInterfaces:
    """Networks on interfaces of the host."""

    def test_macvlan(self, world: World) -> None:
        world.network("m", "192.0.2.0/24", driver="macvlan", network_interface="uplink", options={"mtu": "1400"})
        one = world.box("m", static_ips=["192.0.2.10"], static_mac="02:11:22:33:44:66")
        two = world.box("m", static_ips=["192.0.2.11"])
        link = one.links()["eth0"]
        assert (link.mac, link.mtu, link.kind) == ("02:11:22:33:44:66", 1400, "macvlan")
        with one.listen(80), world.outside.listen(80):
            assert two.ask("192.0.2.10", 80) == "192.0.2.11"
            assert two.ask(OUTSIDE4, 80) == "192.0.2.11"
            assert world.outside.ask("192.0.2.10", 80) == OUTSIDE4

    def test_private_macvlans_do_not_reach_each_other(self, world: World) -> None:
        world.network(
            "m", "192.0.2.0/24", driver="macvlan", network_interface="uplink", options={"mode": "private"}
        )
        one, two = (world.box("m", static_ips=[address]) for address in ("192.0.2.10", "192.0.2.11"))
        with one.listen(80), world.outside.listen(80):
            assert two.ask(OUTSIDE4, 80) == "192.0.2.11"
            assert not two.reaches("192.0.2.10", 80)


class UnmanagedBridge:
    """As :class:`NewerOptions`, on a bridge of the host."""

    def test_an_unmanaged_bridge(self, world: World) -> None:
        """It must be there, nothing but ports is added to it, and the gateway is somebody else's."""
        world.network("u", "192.0.2.0/24", network_interface="uplink", options={"mode": "unmanaged"})
        one, two = (world.box("u", static_ips=[address]) for address in ("192.0.2.10", "192.0.2.11"))
        with one.listen(80), world.outside.listen(80):
            assert two.ask("192.0.2.10", 80) == "192.0.2.11"
            assert two.ask(OUTSIDE4, 80) == "192.0.2.11"
        world.network("v", "192.0.3.0/24", network_interface="nosuch", options={"mode": "unmanaged"})
        try:
            world.box("v")
        except WherryError as error:
            assert "in unmanaged mode, the bridge must already exist" in str(error)
        else:
            raise AssertionError("an unmanaged bridge was made")


class Many:
    """Containers by the hundred, eight at a time, each step by a driver of its own as processes have."""

    count = 200
    published = 20

    def test_many_come_and_go(self, world: World) -> None:
        network = world.network("a", A)        # 253 addresses
        boxes: list[Box] = []

        def come(number: int) -> None:
            ports = [PortMapping(host_port=9000 + number, container_port=80)] if number < self.published else []
            boxes.append(world.box("a", ports=ports, driver=world.another()))

        eight_at_a_time(come, range(self.count))
        assert len({box.address("a") for box in boxes}) == self.count
        first, last = boxes[0], boxes[-1]
        with first.listen(80):
            assert last.ask(first.address("a"), 80) == last.address("a")
        expect_clean(world, {box.id for box in boxes})
        eight_at_a_time(lambda number: world.another().detach(boxes[number].request), range(self.count))
        for box in boxes:
            remove_netns(box.path)
        world.driver.settle()
        assert world.driver.leases.holders() == set()
        # What goes in the background may be the other drivers' work still.
        eventually(lambda: published_rules(world, 9000) == [], 30, lambda: published_rules(world, 9000))
        eventually(lambda: veths(world) == set(), 30)
        expect_clean(world, set())
        world.driver.forget_network(network)
        assert "br-a" not in links(world)


class NetworkContract(Traffic, Options, NewerOptions, HostInterfaces, UnmanagedBridge, Changes, Many):
    """Everything. Needs a fixture ``world``."""
