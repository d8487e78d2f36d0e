"""Published ports: choosing free ones and finding conflicts before anything is set up.

A port is tested by binding it.  Without a daemon nothing can hold it bound for as long as the container lives; between
the test and the rules being in place another program may take it, and then the rule wins for traffic from outside.
"""

from __future__ import annotations

import errno
from _socket import (
    AF_INET,
    AF_INET6,
    SO_REUSEADDR,
    SOCK_CLOEXEC,
    SOCK_DGRAM,
    SOCK_STREAM,
    SOL_SOCKET,
)
from _socket import socket as Socket

from wherry.errors import InvalidArgument, RuntimeFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from wherry.model.network import PortMapping

_KINDS = {"tcp": SOCK_STREAM, "udp": SOCK_DGRAM}
#: How often a random port is drawn for a range before giving up.
_DRAWS = 64


def allocate(mappings: Sequence[PortMapping], used: Collection[tuple[str, int]]) -> list[PortMapping]:
    """*mappings* with host ports chosen where they are 0, everything checked to be free.

    *used* holds (protocol, port) of ports other containers publish.  Raises ``RuntimeFailed`` (exit code 126,
    ``address already in use``) or ``InvalidArgument`` for mappings that contradict each other.
    """
    taken: dict[tuple[str, str, int], PortMapping] = {}
    done = []
    for mapping in mappings:
        if not mapping.host_port:
            mapping = mapping.replace(host_port=_free_ports(mapping, taken))
        for protocol, port in _each(mapping):
            key = (mapping.host_ip, protocol, port)
            if key in taken:
                raise InvalidArgument(
                    f"conflicting port mappings for host port {port} (protocol {protocol}): invalid argument"
                )
            taken[key] = mapping
            known = (protocol, port) in used
            problem = "address already in use" if known else try_bind(mapping.host_ip, protocol, port)
            if problem:
                address = f"[{mapping.host_ip}]" if ":" in mapping.host_ip else mapping.host_ip or "0.0.0.0"
                raise RuntimeFailed(f"cannot listen on the {protocol.upper()} port: listen {protocol}4 "
                                    f"{address}:{port}: bind: {problem}")
        done.append(mapping)
    return done


def _each(mapping: PortMapping) -> Iterator[tuple[str, int]]:
    for protocol in mapping.protocol.split(","):
        for offset in range(mapping.range or 1):
            yield protocol, mapping.host_port + offset


def try_bind(host_ip: str, protocol: str, port: int) -> str:
    """Why a port cannot be bound, empty if it can. SCTP cannot be tested everywhere and passes."""
    kind = _KINDS.get(protocol)
    if kind is None:
        return ""
    family = AF_INET6 if ":" in host_ip else AF_INET
    try:
        probe = Socket(family, kind | SOCK_CLOEXEC)
    except OSError:
        return ""        # a host without IPv6
    try:
        probe.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        probe.bind((host_ip, port))
        if kind == SOCK_STREAM:
            probe.listen(1)
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            return "cannot assign requested address"
        return (error.strerror or str(error)).lower()
    finally:
        probe.close()
    return ""


def _free_ports(mapping: PortMapping, taken: Collection[tuple[str, str, int]]) -> int:
    """The first of as many consecutive free ports as the mapping wants, chosen by the kernel."""
    wanted = mapping.range or 1
    protocols = mapping.protocol.split(",")
    for _draw in range(_DRAWS):
        port = _random_port(mapping.host_ip, protocols[0])
        numbers = range(port, port + wanted)
        if numbers[-1] > 65535:
            continue
        if all(
            (mapping.host_ip, protocol, number) not in taken and not try_bind(mapping.host_ip, protocol, number)
            for protocol in protocols
            for number in numbers
        ):
            return port
    raise RuntimeFailed(f"failed to find {wanted} free consecutive port(s) on the host: address already in use")


def _random_port(host_ip: str, protocol: str) -> int:
    family = AF_INET6 if ":" in host_ip else AF_INET
    probe = Socket(family, _KINDS.get(protocol, SOCK_STREAM) | SOCK_CLOEXEC)
    try:
        probe.bind((host_ip, 0))
        port: int = probe.getsockname()[1]
        return port
    except OSError as error:
        raise RuntimeFailed(f"cannot listen on {host_ip or '0.0.0.0'}: {(error.strerror or '').lower()}") from None
    finally:
        probe.close()
