"""Containers on the default bridge, with netavark in the test's own network namespace."""

from __future__ import annotations

import socket
import subprocess
import time
import urllib.request

import pytest
from tests.system.engine.conftest import IMAGE

from wherry.engine.container import Container
from wherry.engine.runtime import Runtime
from wherry.errors import RuntimeFailed

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
    rules = subprocess.run(["iptables-save"], capture_output=True, text=True, check=True).stdout
    assert f"--dport {port}" not in rules


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
