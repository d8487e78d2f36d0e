"""Containers on networks, in the test's own network namespace, by the back end this host gets by default."""

from __future__ import annotations

import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest
from tests.system.engine.conftest import IMAGE, open_runtime

from wherry.engine.container import Container
from wherry.engine.network import NetworkInUse
from wherry.engine.runtime import Runtime
from wherry.errors import AlreadyExists, InvalidArgument, RuntimeFailed, WherryError
from wherry.network.defining import NetworkExists

pytestmark = pytest.mark.system


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def fetch(port: int, address: str = "127.0.0.1") -> str:
    deadline = time.monotonic() + 10
    while True:
        try:
            with urllib.request.urlopen(f"http://{address}:{port}/", timeout=2) as answer:
                text: str = answer.read().decode()
                return text
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def web(rt: Runtime, port: int, name: str = "web") -> Container:
    command = ["httpd", "-f", "-h", "/www"]
    return rt.containers.start_detached(IMAGE, command, name=name, ports=[f"{port}:80"], stop_timeout=1)


def test_published_port_answers_and_goes_away(rt: Runtime) -> None:
    port = free_port()
    with web(rt, port) as container:
        assert fetch(port) == "hello from wherry\n"
        settings = container.inspect()["NetworkSettings"]
        assert settings["Ports"] == {"80/tcp": [{"HostIp": "", "HostPort": str(port)}]}
        assert settings["IPAddress"].startswith("10.88.")
        assert fetch(80, settings["IPAddress"]) == "hello from wherry\n"
        assert rt.containers.list()[0].ports[0].host_port == port
    rt.networking.driver.settle()
    rules = subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True).stdout
    assert f"tcp . {port} " not in rules
    assert f"dport {port} " not in rules


@pytest.mark.parametrize("backend", ["native", "netavark"])
def test_published_on_ipv6_loopback(base: Path, rt: Runtime, backend: str) -> None:
    port = free_port()
    with open_runtime(base, network_backend=backend) as runtime:
        command = ["httpd", "-f", "-h", "/www"]
        with runtime.containers.start_detached(
            IMAGE, command, ports=[f"[::1]:{port}:80"], stop_timeout=1
        ) as container:
            assert fetch(port, "[::1]") == "hello from wherry\n"
            with socket.socket() as client, pytest.raises(ConnectionRefusedError):
                client.connect(("127.0.0.1", port))
            assert runtime.check(quick=True) == []
            container.restart(timeout=0)
            assert fetch(port, "[::1]") == "hello from wherry\n"
        with socket.socket(socket.AF_INET6) as client, pytest.raises(ConnectionRefusedError):
            client.connect(("::1", port))


def test_the_same_port_again_at_once(rt: Runtime) -> None:
    port = free_port()
    for _round in range(3):
        with web(rt, port):
            assert fetch(port) == "hello from wherry\n"


def test_port_in_use(rt: Runtime) -> None:
    port = free_port()
    with web(rt, port), pytest.raises(RuntimeFailed, match="address already in use") as caught:
        web(rt, port, "other")
    assert caught.value.exit_code == 126
    assert not rt.containers.exists("other")


def test_two_containers_reach_each_other(rt: Runtime) -> None:
    port = free_port()
    with web(rt, port) as server:
        assert fetch(port) == "hello from wherry\n"
        address = server.inspect()["NetworkSettings"]["IPAddress"]
        result = rt.containers.run(IMAGE, ["wget", "-q", "-O-", f"http://{address}/"], remove=True)
        assert result.stdout == "hello from wherry\n"


def test_hosts_and_resolv_conf(rt: Runtime) -> None:
    result = rt.containers.run(
        IMAGE, ["cat", "/etc/hosts", "/etc/resolv.conf", "/etc/hostname"], name="named", hostname="box", remove=True,
        dns=["192.0.2.53"], extra_hosts=["extra:192.0.2.9"],
    )
    assert "192.0.2.9\textra\n" in result.stdout
    assert "10.88.0.1\thost.containers.internal host.docker.internal\n" in result.stdout
    assert "\tbox named\n" in result.stdout
    assert "nameserver 192.0.2.53\n" in result.stdout
    assert result.stdout.endswith("box\n")


def test_static_address(rt: Runtime) -> None:
    result = rt.containers.run(IMAGE, ["ip", "-4", "addr", "show", "eth0"], remove=True, ip="10.88.7.7")
    assert "inet 10.88.7.7/16" in result.stdout


def test_container_network_is_shared(rt: Runtime) -> None:
    port = free_port()
    with web(rt, port):
        assert fetch(port) == "hello from wherry\n"
        result = rt.containers.run(
            IMAGE, ["wget", "-q", "-O-", "http://127.0.0.1/"], network="container:web", remove=True
        )
        assert result.stdout == "hello from wherry\n"


def test_host_and_none(rt: Runtime) -> None:
    names = rt.containers.run(IMAGE, ["ls", "/sys/class/net"], network="none", remove=True).stdout.split()
    assert names == ["lo"]
    assert rt.containers.run(IMAGE, ["true"], network="host", remove=True).exit_code == 0


def test_unused_bridge_is_removed_by_repair(rt: Runtime) -> None:
    assert rt.containers.run(IMAGE, ["true"], remove=True).exit_code == 0
    socket.if_nametoindex("podman0")
    rt.networking.driver.repair(set())
    with pytest.raises(OSError, match="no interface with this name"):
        socket.if_nametoindex("podman0")


def test_networks_are_made_listed_and_removed(rt: Runtime) -> None:
    with rt.networks.create("front", subnets=["10.71.1.0/24"], labels={"kind": "test"}) as network:
        assert rt.networks.get(network.id[:10]).name == "front"
        assert [found.name for found in rt.networks.list(filters={"label": ["kind=test"]})] == ["front"]
        tree = network.inspect()
        assert (tree["subnets"], tree["dns_enabled"]) == ([{"subnet": "10.71.1.0/24", "gateway": "10.71.1.1"}], True)
        with pytest.raises(NetworkExists, match="network name front already used: network already exists"):
            rt.networks.create("front")
    assert not rt.networks.exists("front")


def test_a_network_in_use_stays(rt: Runtime) -> None:
    with rt.networks.create("front") as network, rt.containers.create(IMAGE, ["true"], network="front", name="user"):
        with pytest.raises(NetworkInUse, match="network is being used"):
            network.remove()
        assert rt.networks.prune() == []
        network.remove(force=True, timeout=0)
        assert not rt.containers.exists("user")


def test_names_over_two_networks(rt: Runtime) -> None:
    command = ["httpd", "-f", "-h", "/www"]
    with (
        rt.networks.create("front"),
        rt.networks.create("back"),
        rt.containers.start_detached(
            IMAGE, command, name="web", network=["front", "back:alias=store"], stop_timeout=1
        ) as server,
    ):
        assert set(server.inspect()["NetworkSettings"]["Networks"]) == {"front", "back"}
        for network, name in (("front", "web"), ("back", "store"), ("back", server.id[:12])):
            address = server.inspect()["NetworkSettings"]["Networks"][network]["IPAddress"]
            script = f"for i in 1 2 3 4 5; do nslookup {name}.dns.podman && exit; sleep 0.2; done; exit 1"
            result = rt.containers.run(IMAGE, ["sh", "-c", script], network=network, remove=True)
            assert address in result.stdout, (network, name)


def test_connect_and_disconnect_a_running_container(rt: Runtime) -> None:
    command = ["httpd", "-f", "-h", "/www"]
    with rt.networks.create("front"), rt.networks.create("back") as back, rt.containers.start_detached(
        IMAGE, command, name="web", network="front", hostname="shop", stop_timeout=1
    ) as server:
        back.connect("web", aliases=["store"], ips=[])
        networks = server.inspect()["NetworkSettings"]["Networks"]
        assert networks["front"]["Aliases"] == [server.id[:12], "shop"]
        assert networks["back"]["Aliases"] == ["store", server.id[:12], "shop"]
        address = server.inspect()["NetworkSettings"]["Networks"]["back"]["IPAddress"]
        assert list(back.inspect()["containers"]) == [server.id]
        assert address in server.exec(["cat", "/etc/hosts"]).stdout
        result = rt.containers.run(IMAGE, ["wget", "-q", "-O-", f"http://{address}/"], network="back", remove=True)
        assert result.stdout == "hello from wherry\n"
        with pytest.raises(AlreadyExists, match="network is already connected"):
            back.connect("web")
        back.disconnect("web")
        assert set(server.inspect()["NetworkSettings"]["Networks"]) == {"front"}
        assert "eth1" not in server.exec(["ls", "/sys/class/net"]).stdout
        with pytest.raises(InvalidArgument, match="container web is not connected to network back"):
            back.disconnect("web")


def test_connect_before_the_start(rt: Runtime) -> None:
    command = ["ip", "-4", "addr", "show", "eth1"]
    with (
        rt.networks.create("back", subnets=["10.71.2.0/24"]) as back,
        rt.containers.create(IMAGE, command, name="late") as container,
    ):
        back.connect("late", ips=["10.71.2.9"])
        container.start()
        assert container.wait(timeout=10) == 0
        assert any("inet 10.71.2.9/24" in line.text for line in container.logs())


def test_only_bridge_containers_are_connected(rt: Runtime) -> None:
    with (
        rt.networks.create("back") as back,
        rt.containers.create(IMAGE, ["true"], name="alone", network="none"),
        pytest.raises(WherryError, match='"none" is not supported: invalid network mode'),
    ):
        back.connect("alone")


def test_reload_after_the_rules_are_gone(rt: Runtime) -> None:
    port = free_port()
    with web(rt, port) as container:
        assert fetch(port) == "hello from wherry\n"
        subprocess.run(["nft", "flush", "ruleset"], check=True)
        assert rt.networks.reload() == [container.id]
        assert fetch(port) == "hello from wherry\n"


@pytest.mark.parametrize("backend", ["native", "netavark"])
def test_lost_rules_come_back_with_the_next_container(base: Path, rt: Runtime, backend: str) -> None:
    port = free_port()
    with open_runtime(base, network_backend=backend) as runtime, web(runtime, port):
        assert fetch(port) == "hello from wherry\n"
        subprocess.run(["nft", "flush", "ruleset"], check=True)
        assert runtime.containers.run(IMAGE, ["true"], remove=True).exit_code == 0
        assert fetch(port) == "hello from wherry\n"


def test_publish_all(rt: Runtime) -> None:
    with rt.containers.start_detached(
        IMAGE, ["httpd", "-f", "-h", "/www"], expose=["80"], publish_all=True, stop_timeout=1
    ) as container:
        port = int(container.inspect()["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"])
        assert fetch(port) == "hello from wherry\n"


def test_joining_a_namespace_by_path(rt: Runtime) -> None:
    with web(rt, free_port()) as server:
        path = server.inspect()["NetworkSettings"]["SandboxKey"]
        result = rt.containers.run(IMAGE, ["wget", "-q", "-O-", "http://127.0.0.1/"], network=f"ns:{path}", remove=True)
        assert result.stdout == "hello from wherry\n"


def test_a_container_is_detached_by_the_back_end_that_attached_it(base: Path, rt: Runtime) -> None:
    port = free_port()
    with open_runtime(base, network_backend="netavark") as other:
        container = web(other, port)
        assert fetch(port) == "hello from wherry\n"
    rt.containers.get("web").remove(force=True, timeout=0)
    assert not rt.networking.driver.leases.of(container.id)
    deadline = time.monotonic() + 10
    while f"--dport {port}" in subprocess.run(["iptables-save"], capture_output=True, text=True, check=True).stdout:
        assert time.monotonic() < deadline, "netavark's rules stay"
        time.sleep(0.1)


def test_slirp4netns(rt: Runtime) -> None:
    port = free_port()
    with rt.containers.start_detached(
        IMAGE, ["httpd", "-f", "-h", "/www"], name="slirp", network="slirp4netns:mtu=1500", ports=[f"{port}:80"],
        stop_timeout=1,
    ) as container:
        assert "inet 10.0.2.100/24" in container.exec(["ip", "addr", "show", "tap0"]).stdout
        assert "nameserver 10.0.2.3\n" in container.exec(["cat", "/etc/resolv.conf"]).stdout
        assert fetch(port) == "hello from wherry\n"
    assert not list(Path(rt.paths.networks, "usermode").iterdir())
