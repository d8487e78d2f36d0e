"""New networks: checking what was asked and filling in the rest, as containers/common ``libnetwork/netavark`` does."""

from __future__ import annotations

import os

from wherry.errors import AlreadyExists, InvalidArgument, WherryError
from wherry.model.ids import generate_id
from wherry.model.network import Network, Subnet
from wherry.model.timestamps import now
from wherry.network.addresses import Cidr, parse_address, parse_cidr, to_text
from wherry.sys import rtnetlink
from wherry.sys.netlink import Netlink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from wherry.config.settings import SubnetPool
    from wherry.network.definitions import Definitions

#: Words that are network modes, so not names of networks.
RESERVED = ("bridge", "container", "default", "host", "none", "ns", "pasta", "private", "slirp4netns")
DRIVERS = ("bridge", "macvlan", "ipvlan")
_FIRST = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_NAME = frozenset(_FIRST + "_.-")
_NO_DHCP = "netavark 1.6 or newer has the dhcp-proxy this needs"
_BRIDGE_PREFIX = "podman"
#: Docker's option for the bridge's name.
_BRIDGE_NAME = "com.docker.network.bridge.name"
_LONGEST_INTERFACE = 15
_OPTIONS = {
    "bridge": ("mtu", "vlan", "isolate", "metric", "no_default_route", "vrf", "mode"),
    "macvlan": ("mtu", "metric", "no_default_route", "mode", "parent", "bclim"),
    "ipvlan": ("mtu", "metric", "no_default_route", "mode", "parent"),
}
_MODES = {
    "bridge": ("managed", "unmanaged"),
    "macvlan": tuple(rtnetlink.MACVLAN_MODES),
    "ipvlan": tuple(rtnetlink.IPVLAN_MODES),
}
_NUMBERS = {"mtu": 2**31 - 1, "vlan": 4094, "metric": 2**32 - 1}
_BOOLEANS = ("1", "t", "T", "true", "TRUE", "True", "0", "f", "F", "false", "FALSE", "False")


class NetworkExists(AlreadyExists):
    cause = "network already exists"


def check_name(name: str) -> None:
    """Raise ``InvalidArgument`` unless *name* may be the name of a network."""
    if name in RESERVED:
        raise InvalidArgument(
            f'cannot create network with name "{name}" because it conflicts with a valid network mode'
        )
    if not name or name[0] not in _FIRST or not _NAME.issuperset(name):
        raise InvalidArgument(
            f"network name {name} invalid: names must match [a-zA-Z0-9][a-zA-Z0-9_.-]*: invalid argument"
        )


def define(
    wanted: Network, definitions: Definitions, pools: Sequence[SubnetPool], has_dhcp: Callable[[], bool] = lambda: False
) -> Network:
    """The complete definition for what was asked; empty fields of *wanted* are chosen here.

    *wanted* has ``dns_enabled`` as asked and ``ipam_options["driver"]`` as given; *has_dhcp* says whether this host can
    get addresses by DHCP.  Raises ``InvalidArgument``,
    ``NetworkExists`` and ``WherryError`` when no subnet is free.
    """
    known = definitions.list()
    if wanted.name:
        check_name(wanted.name)
        if wanted.name in definitions.names():
            raise NetworkExists(f"network name {wanted.name} already used")
    driver = wanted.driver or "bridge"
    if driver not in DRIVERS:
        raise InvalidArgument(f"unsupported driver {driver}: invalid argument")
    network = wanted.replace(driver=driver, id=wanted.id or generate_id(), created=now())
    if driver == "bridge" and _BRIDGE_NAME in network.options:
        options = dict(network.options)
        network = network.replace(network_interface=options.pop(_BRIDGE_NAME), options=options)
    options = _check_options(network)
    with Netlink() as netlink:
        links = rtnetlink.links(netlink)
        busy = [parse_cidr(text) for text in rtnetlink.subnets(netlink)]
    busy += [parse_cidr(subnet.subnet) for other in known for subnet in other.subnets]
    taken = {other.network_interface for other in known} | {link.name for link in links}
    network = network.replace(options=options)
    if driver == "bridge":
        network = _bridge(network, taken, {other.network_interface for other in known}, definitions, busy, pools)
    else:
        network = _child(network, {link.name for link in links}, has_dhcp)
    if not network.name:
        network = network.replace(name=_free_name(definitions.names()))
    network = _with_ipam(network, has_dhcp)
    if driver != "bridge":
        network = network.replace(dns_enabled=False)
    return _with_subnets(network, busy)


def _check_options(network: Network) -> dict[str, str]:
    known = _OPTIONS[network.driver]
    options = dict(network.options)
    if "com.docker.network.driver.mtu" in options:
        options["mtu"] = options.pop("com.docker.network.driver.mtu")
    for key, value in options.items():
        if key not in known:
            raise InvalidArgument(f"unsupported {network.driver} network option {key}")
        if key in _NUMBERS:
            if not value.isdigit():
                how = "ParseUint" if key == "metric" else "Atoi"
                raise InvalidArgument(f'strconv.{how}: parsing "{value}": invalid syntax')
            if int(value) > _NUMBERS[key]:
                name = "vlan ID" if key == "vlan" else key
                raise InvalidArgument(f"{name} {value} must be between 0 and {_NUMBERS[key]}")
        elif key == "bclim" and not value.removeprefix("-").isdigit():
            number = f'strconv.ParseInt: parsing "{value}": invalid syntax'
            raise InvalidArgument(f'failed to parse "bclim" option: {number}')
        elif key == "mode" and value not in _MODES[network.driver]:
            raise InvalidArgument(f'unknown {network.driver} mode "{value}"')
        elif (key == "no_default_route" or (key == "isolate" and value != "strict")) and value not in _BOOLEANS:
            raise InvalidArgument(f'strconv.ParseBool: parsing "{value}": invalid syntax')
    return {key: options[key] for key in sorted(options)}


def _bridge(
    network: Network,
    taken: Collection[str],
    defined: Collection[str],
    definitions: Definitions,
    busy: list[Cidr],
    pools: Sequence[SubnetPool],
) -> Network:
    """Interface name and subnets of a bridge network."""
    unmanaged = network.options.get("mode") == "unmanaged"
    name = network.network_interface
    if name:
        check_interface(name)
        if name in defined or (name in taken and not unmanaged):
            raise InvalidArgument(f"bridge name {name} already in use")
    else:
        number = 1
        while f"{_BRIDGE_PREFIX}{number}" in taken or (not network.name and _used(definitions, number)):
            number += 1
        name = f"{_BRIDGE_PREFIX}{number}"
        network = network.replace(network_interface=name, name=network.name or name)
    network = network.replace(network_interface=name)
    if network.ipam_options.get("driver") in ("none", "dhcp"):
        return network
    subnets = list(network.subnets)
    widths = {parse_cidr(subnet.subnet).width for subnet in subnets}
    if not subnets or (network.ipv6_enabled and 32 not in widths):
        free = free_subnet(pools, [*busy, *(parse_cidr(subnet.subnet) for subnet in subnets)])
        subnets.append(Subnet(subnet=str(free)))
    if network.ipv6_enabled and 128 not in widths:
        subnets.append(Subnet(subnet=str(free_subnet6(busy))))
    return network.replace(subnets=subnets)


def _used(definitions: Definitions, number: int) -> bool:
    return f"{_BRIDGE_PREFIX}{number}" in definitions.names()


def check_interface(name: str) -> None:
    """Raise ``InvalidArgument`` unless *name* can be an interface's."""
    if not name or len(name) > _LONGEST_INTERFACE or name in (".", "..") or not _NAME.issuperset(name):
        raise InvalidArgument(
            f"bridge name {name} invalid: names must match [a-zA-Z0-9][a-zA-Z0-9_.-]* and have at most "
            f"{_LONGEST_INTERFACE} characters: invalid argument"
        )


def _child(network: Network, links: Collection[str], has_dhcp: Callable[[], bool]) -> Network:
    """Parent of a macvlan or ipvlan network; without a subnet addresses come by DHCP."""
    options = dict(network.options)
    parent = options.pop("parent", "") or network.network_interface
    if parent and parent not in links:
        raise InvalidArgument(f"parent interface {parent} does not exist")
    if not network.subnets and network.ipam_options.get("driver") != "none":
        if network.driver == "ipvlan":
            raise InvalidArgument("ipam driver dhcp is not supported with ipvlan")
        if not has_dhcp():
            raise InvalidArgument(
                f"{network.driver} driver needs at least one subnet specified, DHCP is not yet supported with netavark",
                hint=_NO_DHCP,
            )
        network = network.replace(ipam_options={"driver": "dhcp"})
    return network.replace(options=options, network_interface=parent)


def _free_name(names: Collection[str]) -> str:
    number = 1
    while f"{_BRIDGE_PREFIX}{number}" in names:
        number += 1
    return f"{_BRIDGE_PREFIX}{number}"


def _with_ipam(network: Network, has_dhcp: Callable[[], bool]) -> Network:
    driver = network.ipam_options.get("driver") or "host-local"
    if driver not in ("host-local", "none", "dhcp"):
        raise InvalidArgument(f'unsupported ipam driver "{driver}"')
    if driver == "dhcp":
        if network.subnets:
            raise InvalidArgument("dhcp ipam driver is set but subnets are given")
        if not has_dhcp():
            raise InvalidArgument("dhcp ipam driver is not yet supported with netavark", hint=_NO_DHCP)
    if driver == "none":
        if network.subnets:
            raise InvalidArgument("none ipam driver is set but subnets are given")
        network = network.replace(dns_enabled=False)
    return network.replace(ipam_options={"driver": driver})


def _with_subnets(network: Network, busy: Iterable[Cidr]) -> Network:
    """Subnets checked and normalised, gateways chosen."""
    gateways = not network.internal or network.dns_enabled
    taken = list(busy)
    subnets = []
    for subnet in network.subnets:
        cidr = parse_cidr(subnet.subnet)
        _check_free(cidr, taken)
        taken.append(cidr)
        gateway = subnet.gateway
        if gateway:
            _check_inside(gateway, cidr, "gateway")
        elif gateways:
            gateway = to_text(cidr.base + 1, cidr.width)
        lease = subnet.lease_range
        if lease is not None:
            for kind, address in (("start", lease.start_ip), ("end", lease.end_ip)):
                if address:
                    _check_inside(address, cidr, f"lease range {kind} ip")
        subnets.append(subnet.replace(subnet=str(cidr), gateway=gateway))
    v6 = network.ipv6_enabled or any(":" in subnet.subnet for subnet in subnets)
    return network.replace(subnets=subnets, ipv6_enabled=v6)


def _check_inside(address: str, cidr: Cidr, what: str) -> None:
    number, width = parse_address(address)
    if width != cidr.width or not cidr.contains(number):
        raise InvalidArgument(f"{what} {address} not in subnet {cidr}")


def _check_free(cidr: Cidr, taken: Iterable[Cidr]) -> None:
    if any(overlaps(cidr, other) for other in taken):
        raise InvalidArgument(f"subnet {cidr} is already used on the host or by another config")


def overlaps(one: Cidr, other: Cidr) -> bool:
    return one.width == other.width and one.base <= other.last and other.base <= one.last


def free_subnet(pools: Sequence[SubnetPool], busy: Collection[Cidr]) -> Cidr:
    """The first subnet of the pools that overlaps nothing in *busy*. Raises ``WherryError``."""
    for pool in pools:
        base = parse_cidr(pool.base)
        step = 1 << (32 - pool.size)
        for start in range(base.base, base.last + 1, step):
            cidr = Cidr(base=start, length=pool.size)
            if not any(overlaps(cidr, other) for other in busy):
                return cidr
    raise WherryError("could not find free subnet from subnet pools", kind="no-space")


def free_subnet6(busy: Collection[Cidr]) -> Cidr:
    """A random unique local /64 (RFC 4193)."""
    while True:
        base = int.from_bytes(b"\xfd" + os.urandom(7) + bytes(8), "big")
        cidr = Cidr(base=base, length=64, width=128)
        if not any(overlaps(cidr, other) for other in busy):
            return cidr
