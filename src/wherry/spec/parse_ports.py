"""Published and exposed ports: ``[[ip:][hostPort]:]containerPort[/protocol]`` (podman-run(1) ``--publish``)."""

from __future__ import annotations

from wherry.errors import InvalidArgument
from wherry.model.network import PortMapping
from wherry.spec.parse_values import decimal, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

PROTOCOLS = ("tcp", "udp", "sctp")
MAX_PORT = 65535


def publish(texts: Sequence[str]) -> list[PortMapping]:
    """One mapping per word. A host port left out is 0: the engine chooses a free one."""
    return [_mapping(text) for text in texts]


def _mapping(text: str) -> PortMapping:
    address, slash, protocol = text.partition("/")
    if "/" in protocol:
        raise InvalidArgument("invalid port format - protocol can only be specified once")
    host_ip, host_port, container_port = _split(address)
    if not container_port:
        raise InvalidArgument("must provide a non-empty container port to publish")
    try:
        start, length = port_range(container_port)
    except InvalidArgument as error:
        raise InvalidArgument(f"parsing container port: {error.message}") from None
    if slash and not protocol:
        raise InvalidArgument("must provide a non-empty protocol to publish")
    if host_ip is not None:
        host_ip = _host_ip(host_ip)
    host_start = _host_start(host_port, length) if host_port else 0
    return PortMapping(
        host_ip=host_ip or "", host_port=host_start, container_port=start, range=length, protocol=protocol or "tcp"
    )


def _split(address: str) -> tuple[str | None, str | None, str]:
    """Host IP, host port and container port; ``None`` for what was not written at all."""
    pieces = address.split("]")
    if len(pieces) > 2:
        raise InvalidArgument("invalid port format - at most one IPv6 address can be specified in a --publish")
    bracketed = None
    if len(pieces) == 2:
        if not pieces[0].startswith("["):
            raise InvalidArgument("invalid port format - IPv6 addresses must be enclosed by []")
        if not pieces[1].startswith(":"):
            raise InvalidArgument("invalid port format - IPv6 address must be followed by a colon (':')")
        bracketed, address = pieces[0][1:], pieces[1][1:]
    parts = address.split(":")
    if bracketed is not None:
        if len(parts) == 1:
            raise InvalidArgument("invalid port format - must provide host and destination port if specifying an IP")
        if len(parts) > 2:
            raise InvalidArgument("invalid port format - when v6 address specified, must be [ipv6]:hostPort:ctrPort")
        return bracketed, parts[0], parts[1]
    if len(parts) == 1:
        return None, None, parts[0]
    if len(parts) == 2:
        return None, parts[0], parts[1]
    if len(parts) == 3:
        return parts[0], parts[1], parts[2]
    raise InvalidArgument("invalid port format - format is [[hostIP:]hostPort:]containerPort")


def _host_ip(text: str) -> str:
    if not text:
        raise InvalidArgument("must provide a non-empty container host IP to publish")
    from wherry.spec.addresses import ip

    address = ip(text)
    if not address:
        raise InvalidArgument(f"cannot parse {quote(text)} as an IP address")
    return address


def _host_start(text: str, length: int) -> int:
    try:
        start, host_length = port_range(text)
    except InvalidArgument as error:
        raise InvalidArgument(f"parsing host port: {error.message}") from None
    if host_length != length:
        raise InvalidArgument(f"host and container port ranges have different lengths: {host_length} vs {length}")
    return start


def port_range(text: str) -> tuple[int, int]:
    """First port and number of ports of ``8080`` or ``8080-8090``."""
    first, dash, last = text.partition("-")
    if "-" in last:
        raise InvalidArgument("invalid port format - port ranges are formatted as startPort-stopPort")
    if not first:
        raise InvalidArgument("port numbers cannot be negative")
    start = _port(first)
    if not dash:
        return start, 1
    if not last:
        raise InvalidArgument("must provide ending number for port range")
    end = _port(last)
    if end <= start:
        raise InvalidArgument(
            f"the end port of a range must be higher than the start port - {end} is not higher than {start}"
        )
    return start, end - start + 1


def _port(text: str) -> int:
    try:
        port = decimal(text)
    except InvalidArgument as error:
        raise InvalidArgument(f"invalid port number: {error.message}") from None
    if not 1 <= port <= MAX_PORT:
        raise InvalidArgument(f"port numbers must be between 1 and 65535 (inclusive), got {port}")
    return port


def expose(texts: Sequence[str]) -> dict[str, list[str]]:
    """Port number -> protocols of ``80``, ``80-90/udp`` (also the keys of an image's ``ExposedPorts``)."""
    out: dict[str, list[str]] = {}
    for text in texts:
        ports, slash, protocol = text.partition("/")
        if "/" in protocol:
            raise InvalidArgument("invalid expose format - protocol can only be specified once")
        start, length = port_range(ports)
        names = protocols(protocol) if slash else ["tcp"]
        for port in range(start, start + length):
            known = out.setdefault(str(port), [])
            known.extend(name for name in names if name not in known)
    return out


def protocols(text: str) -> list[str]:
    """The protocols of a comma-separated list, lower-case, each once; empty means tcp."""
    out: list[str] = []
    for name in text.lower().split(","):
        name = name or "tcp"
        if name not in PROTOCOLS:
            raise InvalidArgument(f"unrecognized protocol {quote(name)} in port mapping")
        if name not in out:
            out.append(name)
    return out
