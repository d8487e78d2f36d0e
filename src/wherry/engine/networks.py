"""The networks of a runtime."""

from __future__ import annotations

from wherry.engine.network import Network, check_servers, network_event
from wherry.errors import InvalidArgument, NoSuchNetwork, WherryError
from wherry.sys import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from builtins import list as List
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from wherry.engine.runtime import Runtime
    from wherry.model import network as model

    Predicate = Callable[[model.Network], bool]

PRUNE_FILTERS = ("label", "label!", "until")


class NetworkCollection:
    """``rt.networks``: make, find and list networks."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def create(
        self,
        name: str = "",
        *,
        driver: str = "bridge",
        subnets: Sequence[str] = (),
        gateways: Sequence[str] = (),
        ip_ranges: Sequence[str] = (),
        routes: Sequence[str] = (),
        ipv6: bool = False,
        internal: bool = False,
        disable_dns: bool = False,
        dns: Sequence[str] = (),
        interface_name: str = "",
        ipam_driver: str = "",
        labels: Mapping[str, str] | None = None,
        options: Mapping[str, str] | None = None,
        exist_ok: bool = False,
    ) -> Network:
        """Create a network.

        *subnets* are CIDR; *gateways* and *ip_ranges* (CIDR or ``first-last``) belong to the subnets in order; *routes*
        are ``destination,gateway[,metric]``.  What is not given is chosen: the name, a free subnet, the gateway.  With
        *exist_ok* a network of that name is returned as it is.  Raises ``InvalidArgument``, ``AlreadyExists``.
        """
        from wherry.model.network import Network as Definition
        from wherry.network.defining import define

        definitions = self._runtime.networking.definitions
        wanted = Definition(
            name=name,
            driver=driver or "bridge",
            network_interface=interface_name,
            subnets=_subnets(subnets, gateways, ip_ranges),
            routes=[_route(text) for text in routes],
            ipv6_enabled=ipv6,
            internal=internal,
            dns_enabled=not disable_dns,
            network_dns_servers=_servers(dns, disable_dns),
            labels=dict(labels or {}),
            options=dict(options or {}),
            ipam_options={"driver": ipam_driver} if ipam_driver else {},
        )
        with definitions.lock().exclusive():
            if exist_ok and name in definitions.names():
                return self.get(name)
            definition = define(
                wanted, definitions, self._runtime.settings.network.default_subnet_pools, self._has_dhcp
            )
            definitions.save(definition)
        self._runtime.state.add_events(network_event(definition, "create"))
        self._runtime.publish()
        return Network(self._runtime, definition)

    def _has_dhcp(self) -> bool:
        from wherry.config.helpers import find
        from wherry.network import dhcp

        return dhcp.available(find(self._runtime.settings, "netavark"))

    def get(self, text: str) -> Network:
        """The network with this name, id or unique id prefix. Raises ``NoSuchNetwork``."""
        return Network(self._runtime, self._runtime.networking.definitions.get(text))

    def exists(self, text: str) -> bool:
        try:
            self.get(text)
        except NoSuchNetwork:
            return False
        return True

    def list(self, *, filters: Mapping[str, Sequence[str]] | None = None) -> List[Network]:
        """All networks that pass *filters* (as for ``wherry network ls``), by name."""
        tests = [_predicate(self._runtime, key, list(values)) for key, values in (filters or {}).items()]
        found = self._runtime.networking.definitions.list()
        return [Network(self._runtime, network) for network in found if all(test(network) for test in tests)]

    def prune(self, filters: Mapping[str, Sequence[str]] | None = None) -> List[str]:
        """Remove every network no container is connected to, except the default one; returns their names."""
        for key in filters or {}:
            if key not in PRUNE_FILTERS:
                raise InvalidArgument(f'invalid filter "{key}"')
        gone = []
        default = self._runtime.networking.definitions.default_name
        for network in self.list(filters=filters):
            if network.name == default or network.containers():
                continue
            try:
                network.remove()
            except WherryError as error:
                log.warning(f"network {network.name} is not pruned: {error}")
                continue
            gone.append(network.name)
        return gone

    def reload(self, containers: Iterable[str] = ()) -> List[str]:
        """Make the firewall rules and names of running containers again; without *containers* of all.

        Returns the ids.  Raises ``StateError`` for a named container that does not run.
        """
        from wherry.engine.connections import reload, reloadable

        named = [self._runtime.containers.get(text).id for text in containers]
        identities = named or reloadable(self._runtime)
        for identity in identities:
            reload(self._runtime, identity)
        return identities


def _subnets(subnets: Sequence[str], gateways: Sequence[str], ranges: Sequence[str]) -> list[model.Subnet]:
    from wherry.model.network import Subnet
    from wherry.network.addresses import parse_address, parse_cidr

    if not subnets and (gateways or ranges):
        raise InvalidArgument("cannot set gateway or range without subnet")
    if len(gateways) > len(subnets):
        raise InvalidArgument("cannot set more gateways than subnets")
    if len(ranges) > len(subnets):
        raise InvalidArgument("cannot set more ranges than subnets")
    for text in subnets:
        if "/" not in text:
            raise InvalidArgument(f"invalid CIDR address: {text}")
        parse_cidr(text)
    for text in gateways:
        parse_address(text)
    return [
        Subnet(
            subnet=text,
            gateway=gateways[number] if number < len(gateways) else "",
            lease_range=_lease_range(ranges[number]) if number < len(ranges) else None,
        )
        for number, text in enumerate(subnets)
    ]


def _lease_range(text: str) -> model.LeaseRange:
    """``first-last``, or CIDR without its first address."""
    from wherry.model.network import LeaseRange
    from wherry.network.addresses import is_address, parse_cidr, to_text

    first, dash, last = text.partition("-")
    if dash:
        for what, address in (("start", first), ("end", last)):
            if not is_address(address):
                raise InvalidArgument(f'range {what} ip "{address}" is not a ip address')
        return LeaseRange(start_ip=first, end_ip=last)
    cidr = parse_cidr(text)
    return LeaseRange(start_ip=to_text(cidr.base + 1, cidr.width), end_ip=to_text(cidr.last, cidr.width))


def _route(text: str) -> model.Route:
    from wherry.model.network import Route
    from wherry.network.addresses import is_address, parse_cidr

    parts = text.split(",")
    if len(parts) not in (2, 3):
        raise InvalidArgument(
            f"invalid route: {text}\nFormat: --route <destination in CIDR>,<gateway>,<metric (optional)>"
        )
    try:
        destination = parse_cidr(parts[0])
    except InvalidArgument:
        raise InvalidArgument(f"invalid route destination {parts[0]}") from None
    if not is_address(parts[1]):
        raise InvalidArgument(f"invalid route gateway {parts[1]}")
    if len(parts) == 3 and not parts[2].isdigit():
        raise InvalidArgument(f"invalid route metric {parts[2]}")
    if str(destination) != parts[0]:
        raise InvalidArgument(f"route destination invalid: {parts[0]} has host bits, did you mean {destination}?")
    return Route(destination=parts[0], gateway=parts[1], metric=int(parts[2]) if len(parts) == 3 else None)


def _servers(servers: Sequence[str], disable_dns: bool) -> list[str]:
    if servers and disable_dns:
        raise InvalidArgument("cannot set NetworkDNSServers if DNS is not enabled for the network: invalid argument")
    check_servers(servers, "NetworkDNSServers")
    return list(servers)


def _predicate(runtime: Runtime, key: str, values: list[str]) -> Predicate:
    """One filter of ``network ls`` (podman-network-ls(1)); several values of a key are alternatives."""
    from wherry.engine.container_filters import label_matches, matches
    from wherry.model.timespec import parse_until
    from wherry.model.timestamps import parse_ns

    if key == "name":
        return lambda net: any(matches(value, net.name) for value in values)
    if key == "driver":
        return lambda net: net.driver in values
    if key == "id":
        return lambda net: any(net.id.startswith(value) for value in values)
    if key == "label":
        return lambda net: all(label_matches(net.labels, value) for value in values)
    if key == "label!":
        return lambda net: not any(label_matches(net.labels, value) for value in values)
    if key == "until":
        moments = [parse_until(value) for value in values]
        return lambda net: any(parse_ns(net.created) < moment for moment in moments)
    if key == "dangling":
        if len(values) > 1:
            raise InvalidArgument("got more than one dangling value")
        if values[0].lower() not in ("true", "false", "1", "0", "t", "f"):
            raise InvalidArgument(f'invalid dangling value "{values[0]}"')
        wanted = values[0].lower() in ("true", "1", "t")
        default = runtime.networking.definitions.default_name
        return lambda net: (net.name != default and not runtime.state.network_users(net.name)) is wanted
    raise InvalidArgument(f'invalid filter "{key}"')
