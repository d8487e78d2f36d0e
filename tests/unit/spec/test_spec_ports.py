"""Published and exposed ports."""

import pytest

from wherry.errors import InvalidArgument
from wherry.model.network import PortMapping
from wherry.spec.parse_ports import expose, port_range, protocols, publish
from wherry.spec.resolve_network import join


@pytest.mark.parametrize(("text", "fields"), [
    ("80", {"container_port": 80}),
    ("8080:80", {"container_port": 80, "host_port": 8080}),
    (":80", {"container_port": 80}),
    ("127.0.0.1:8080:80", {"container_port": 80, "host_port": 8080, "host_ip": "127.0.0.1"}),
    ("127.0.0.1::80", {"container_port": 80, "host_ip": "127.0.0.1"}),
    ("[::1]:8080:80", {"container_port": 80, "host_port": 8080, "host_ip": "::1"}),
    ("[FE80:0::1]::80", {"container_port": 80, "host_ip": "fe80::1"}),
    ("[::ffff:10.0.0.1]:1:2", {"container_port": 2, "host_port": 1, "host_ip": "10.0.0.1"}),
    ("53:53/udp", {"container_port": 53, "host_port": 53, "protocol": "udp"}),
    ("8000-8002:9000-9002", {"container_port": 9000, "host_port": 8000, "range": 3}),
    ("9000-9002", {"container_port": 9000, "range": 3}),
    ("80/tcp,udp", {"container_port": 80, "protocol": "tcp,udp"}),
])
def test_publish(text, fields):
    assert publish([text]) == [PortMapping(**fields)]


@pytest.mark.parametrize(("text", "message"), [
    ("x", 'parsing container port: invalid port number: strconv.Atoi: parsing "x": invalid syntax'),
    ("x:80", 'parsing host port: invalid port number: strconv.Atoi: parsing "x": invalid syntax'),
    ("80:", "must provide a non-empty container port to publish"),
    ("", "must provide a non-empty container port to publish"),
    ("0", "parsing container port: port numbers must be between 1 and 65535 (inclusive), got 0"),
    ("70000", "parsing container port: port numbers must be between 1 and 65535 (inclusive), got 70000"),
    ("-1", "parsing container port: port numbers cannot be negative"),
    ("80-", "parsing container port: must provide ending number for port range"),
    ("1-2-3", "parsing container port: invalid port format - port ranges are formatted as startPort-stopPort"),
    ("90-80", "parsing container port: the end port of a range must be higher than the start port - "
              "80 is not higher than 90"),
    ("1-2:3-5", "host and container port ranges have different lengths: 2 vs 3"),
    ("80/tcp/udp", "invalid port format - protocol can only be specified once"),
    ("80/", "must provide a non-empty protocol to publish"),
    (":80:80", "must provide a non-empty container host IP to publish"),
    ("300.1.1.1:80:80", 'cannot parse "300.1.1.1" as an IP address'),
    ("01.2.3.4:80:80", 'cannot parse "01.2.3.4" as an IP address'),
    ("a:b:c:d", "invalid port format - format is [[hostIP:]hostPort:]containerPort"),
    ("::1:80:80", "invalid port format - format is [[hostIP:]hostPort:]containerPort"),
    ("[::1]:80", "invalid port format - must provide host and destination port if specifying an IP"),
    ("[::1]80:80", "invalid port format - IPv6 address must be followed by a colon (':')"),
    ("::1]:80:80", "invalid port format - IPv6 addresses must be enclosed by []"),
    ("[::1]:[::2]:80", "invalid port format - at most one IPv6 address can be specified in a --publish"),
    ("[::1]:1:2:3", "invalid port format - when v6 address specified, must be [ipv6]:hostPort:ctrPort"),
])
def test_bad_publish(text, message):
    with pytest.raises(InvalidArgument) as caught:
        publish([text])
    assert str(caught.value) == message


def test_expose():
    assert expose(["80", "80/udp", "53-54/udp,tcp", "80/TCP"]) == {
        "80": ["tcp", "udp"], "53": ["udp", "tcp"], "54": ["udp", "tcp"],
    }
    with pytest.raises(InvalidArgument, match="invalid expose format - protocol can only be specified once"):
        expose(["1/a/b"])
    with pytest.raises(InvalidArgument, match='unrecognized protocol "icmp" in port mapping'):
        expose(["1/icmp"])


def test_protocols():
    assert protocols("") == ["tcp"]
    assert protocols("UDP,tcp,udp,sctp") == ["udp", "tcp", "sctp"]


def test_port_range():
    assert port_range("10-12") == (10, 3)


def _mapping(host: int, container: int, count: int = 1, **more: str) -> PortMapping:
    return PortMapping(host_port=host, container_port=container, range=count, **more)


@pytest.mark.parametrize(("asked", "joined"), [
    ([_mapping(80, 80), _mapping(81, 81)], [_mapping(80, 80, 2)]),
    ([_mapping(81, 81), _mapping(80, 80)], [_mapping(80, 80, 2)]),
    ([_mapping(80, 80, 5), _mapping(82, 82)], [_mapping(80, 80, 5)]),
    ([_mapping(80, 80), _mapping(80, 80)], [_mapping(80, 80)]),
    ([_mapping(80, 80), _mapping(82, 82)], [_mapping(80, 80), _mapping(82, 82)]),
    ([_mapping(80, 80), _mapping(81, 90)], [_mapping(80, 80), _mapping(81, 90)]),
    ([_mapping(80, 80), _mapping(81, 81, protocol="udp")], [_mapping(80, 80), _mapping(81, 81, protocol="udp")]),
    ([_mapping(80, 80), _mapping(81, 81, host_ip="::1")], [_mapping(80, 80), _mapping(81, 81, host_ip="::1")]),
    ([_mapping(80, 80, protocol="tcp,udp")], [_mapping(80, 80), _mapping(80, 80, protocol="udp")]),
    ([_mapping(0, 80), _mapping(0, 80)], [_mapping(0, 80)]),
    ([_mapping(0, 81), _mapping(0, 80), _mapping(90, 90)], [_mapping(90, 90), _mapping(0, 80), _mapping(0, 81)]),
])
def test_join(asked, joined):
    assert join(asked) == joined


@pytest.mark.parametrize(("asked", "message"), [
    ([_mapping(80, 80), _mapping(80, 90)], "conflicting port mappings for host port 80 (protocol tcp)"),
    ([_mapping(80, 80, 3), _mapping(82, 90)], "conflicting port mappings for host port 82 (protocol tcp)"),
    ([_mapping(1, 0)], "container port number must be non-0"),
    ([_mapping(1, 65535, 2)], "container port range exceeds maximum allowable port number"),
    ([_mapping(65535, 1, 2)], "host port range exceeds maximum allowable port number"),
    ([_mapping(1, 1, protocol="icmp")], 'unrecognized protocol "icmp" in port mapping'),
])
def test_bad_join(asked, message):
    with pytest.raises(InvalidArgument) as caught:
        join(asked)
    assert str(caught.value) == message
