"""Arguments of pasta and slirp4netns."""

from __future__ import annotations

import pytest

from wherry.errors import InvalidArgument
from wherry.model.network import PortMapping
from wherry.network.usermode import pasta_arguments, slirp_arguments, slirp_status


def test_pasta_forwards_nothing_by_itself() -> None:
    words = pasta_arguments("/ns", [], [], "/pid")
    assert words == [
        "--config-net", "--pid", "/pid", "-t", "none", "-u", "none", "-T", "none", "-U", "none", "--no-map-gw",
        "--dns-forward", "169.254.1.1", "--map-guest-addr", "169.254.1.2", "--quiet", "--netns", "/ns",
    ]
    assert "--map-guest-addr" not in pasta_arguments("/ns", [], [], "/pid", guest=False)
    assert pasta_arguments("/ns", ["--dns-forward", "192.0.2.3"], [], "/pid").count("--dns-forward") == 1


def test_pasta_ports_and_options() -> None:
    ports = [
        PortMapping(host_ip="127.0.0.1", host_port=8080, container_port=80),
        PortMapping(host_port=90, container_port=9, range=3, protocol="udp"),
    ]
    words = pasta_arguments("/ns", ["--map-gw", "-T", "auto"], ports, "/pid")
    assert words[3:7] == ["-t", "127.0.0.1/8080:80", "-u", "90-92:9-11"]
    assert "--no-map-gw" not in words
    assert "--map-gw" not in words
    assert words[words.index("-T") + 1] == "auto"
    assert words.count("-t") == 1


def test_pasta_cannot_do_sctp() -> None:
    with pytest.raises(InvalidArgument, match="can't forward protocol: sctp"):
        pasta_arguments("/ns", [], [PortMapping(host_port=1, container_port=1, protocol="sctp")], "/pid")


def test_slirp_defaults() -> None:
    assert slirp_arguments("/ns", [], "") == [
        "--disable-host-loopback", "--mtu=65520", "--enable-sandbox", "--enable-seccomp", "--enable-ipv6", "-c", "-r",
        "3", "--netns-type=path", "/ns", "tap0",
    ]


def test_slirp_options() -> None:
    options = ["allow_host_loopback=true", "mtu=1400", "enable_ipv6=false", "cidr=10.5.0.0/24", "outbound_addr=eth0"]
    words = slirp_arguments("/ns", options, "/s")
    assert words[:5] == [
        "--outbound-addr=eth0", "--mtu=1400", "--enable-sandbox", "--enable-seccomp", "--cidr=10.5.0.0/24",
    ]
    assert "--api-socket=/s" in words


@pytest.mark.parametrize(("option", "message"), [
    ("nonsense", 'invalid option for slirp4netns: "nonsense"'),
    ("foo=bar", 'unknown option for slirp4netns: "foo=bar"'),
    ("port_handler=x", 'unknown port_handler for slirp4netns: "x"'),
])
def test_slirp_refusals(option: str, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        slirp_arguments("/ns", [option], "")


def test_slirp_status() -> None:
    block = slirp_status(["cidr=10.5.0.0/24"])["slirp4netns"]
    assert block.interfaces["tap0"].subnets[0].ipnet == "10.5.0.100/24"
    assert block.dns_server_ips == ["10.5.0.3"]
