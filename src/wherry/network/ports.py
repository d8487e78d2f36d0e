"""Published ports: choosing free ones and finding conflicts before anything is set up.

A port is tested by binding it.  Without a daemon nothing can hold it bound for as long as the container lives; between
the test and the rules being in place another program may take it, and then the rule wins for traffic from outside.
"""

from __future__ import annotations

import errno
import os
from _socket import (
    AF_INET,
    AF_INET6,
    IPPROTO_IPV6,
    IPV6_V6ONLY,
    SO_REUSEADDR,
    SOCK_CLOEXEC,
    SOCK_DGRAM,
    SOCK_STREAM,
    SOL_SOCKET,
)
from _socket import socket as Socket

from wherry.errors import RuntimeFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from wherry.model.network import PortMapping

#: Protocol -> type of socket, for those every kernel has.
KINDS = {"tcp": SOCK_STREAM, "udp": SOCK_DGRAM}
#: How often a random port is drawn for a range before giving up.
_DRAWS = 64
_ANY = ("", "0.0.0.0", "::")


class PortUse:
    """Which host ports are taken: (protocol, port) -> the host addresses they are taken on."""

    def __init__(self, mappings: Iterable[PortMapping] = ()) -> None:
        self._taken: dict[tuple[str, int], list[str]] = {}
        for mapping in mappings:
            self.take(mapping)

    def take(self, mapping: PortMapping) -> None:
        """Add the ports of *mapping*."""
        for protocol, port in _each(mapping):
            self._taken.setdefault((protocol, port), []).append(mapping.host_ip)

    def has(self, host_ip: str, protocol: str, port: int) -> bool:
        """Would publishing this take away what is published already?"""
        return any(_overlap(host_ip, other) for other in self._taken.get((protocol, port), ()))


def _overlap(one: str, other: str) -> bool:
    """Do two host addresses to publish on meet? As for sockets, an empty one is all IPv4 addresses."""
    if (":" in one) != (":" in other):
        return False
    return one == other or one in _ANY or other in _ANY


def is_local(mapping: PortMapping) -> bool:
    """Is the port published on ``::1``? No rule of the kernel's firewall leads from there to a container."""
    return mapping.host_ip == "::1"


def allocate(mappings: Sequence[PortMapping], used: PortUse | None = None) -> list[PortMapping]:
    """*mappings* with host ports chosen where they are 0, everything checked to be free.

    *used* holds the ports other containers publish.  Raises ``RuntimeFailed`` (exit code 126, ``address already in
    use``) for a port that is taken, also by another of *mappings*.
    """
    others = used or PortUse()
    own = PortUse(mapping for mapping in mappings if mapping.host_port)
    taken = PortUse()
    done = []
    for mapping in mappings:
        if not mapping.host_port:
            mapping = mapping.replace(host_port=_free_ports(mapping, (others, own)))
            own.take(mapping)
        for protocol, port in _each(mapping):
            if taken.has(mapping.host_ip, protocol, port) or others.has(mapping.host_ip, protocol, port):
                raise listening(protocol, mapping.host_ip, port, OSError(errno.EADDRINUSE, "Address already in use"))
            problem = try_bind(mapping.host_ip, protocol, port)
            if problem is not None:
                raise listening(protocol, mapping.host_ip, port, problem)
        taken.take(mapping)
        done.append(mapping)
    return done


def _each(mapping: PortMapping) -> Iterator[tuple[str, int]]:
    for protocol in mapping.protocol.split(","):
        for offset in range(mapping.range or 1):
            yield protocol, mapping.host_port + offset


def listening(protocol: str, host_ip: str, port: int, error: OSError) -> RuntimeFailed:
    """Why a port cannot be published, in Podman's words."""
    version, address = ("6", f"[{host_ip}]") if ":" in host_ip else ("4", host_ip)
    text = (os.strerror(error.errno) if error.errno else str(error)).lower()
    return RuntimeFailed(
        f"cannot listen on the {protocol.upper()} port: listen {protocol}{version} {address}:{port}: bind: {text}"
    )


def try_bind(host_ip: str, protocol: str, port: int) -> OSError | None:
    """Why a port cannot be bound, None if it can. SCTP cannot be tested everywhere and passes."""
    kind = KINDS.get(protocol)
    if kind is None:
        return None
    family = AF_INET6 if ":" in host_ip else AF_INET
    try:
        probe = Socket(family, kind | SOCK_CLOEXEC)
    except OSError:
        return None      # a host without IPv6
    try:
        probe.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        if family == AF_INET6:
            probe.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, 1)
        probe.bind((host_ip, port))
        if kind == SOCK_STREAM:
            probe.listen(1)
    except OSError as error:
        return error
    finally:
        probe.close()
    return None


def _free_ports(mapping: PortMapping, taken: Iterable[PortUse]) -> int:
    """The first of as many consecutive free ports as the mapping wants, chosen by the kernel."""
    wanted = mapping.range or 1
    protocols = mapping.protocol.split(",")
    for _draw in range(_DRAWS):
        port = _random_port(mapping.host_ip, protocols[0])
        numbers = range(port, port + wanted)
        if numbers[-1] > 65535:
            continue
        if all(
            not any(use.has(mapping.host_ip, protocol, number) for use in taken)
            and try_bind(mapping.host_ip, protocol, number) is None
            for protocol in protocols
            for number in numbers
        ):
            return port
    raise RuntimeFailed(f"failed to find {wanted} free consecutive port(s) on the host: address already in use")


def _random_port(host_ip: str, protocol: str) -> int:
    family = AF_INET6 if ":" in host_ip else AF_INET
    probe = Socket(family, KINDS.get(protocol, SOCK_STREAM) | SOCK_CLOEXEC)
    try:
        probe.bind((host_ip, 0))
        port: int = probe.getsockname()[1]
        return port
    except OSError as error:
        raise listening(protocol, host_ip, 0, error) from None
    finally:
        probe.close()
