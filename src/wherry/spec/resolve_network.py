"""Networks and published ports of the container."""

from __future__ import annotations

from wherry.errors import InvalidArgument
from wherry.model.network import NetworkOptions, PortMapping
from wherry.spec.container_spec import DEFAULT_NETWORK, NetworkRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wherry.spec.resolve_inputs import Inputs

_MAX_PORT = 65535
_WITH_PORTS = ("bridge", "slirp4netns", "pasta")


def request(inputs: Inputs) -> NetworkRequest:
    """What was asked, or what the settings say; ``private`` becomes the mode this user gets by default."""
    spec, settings = inputs.spec, inputs.settings
    asked = spec.network
    if asked is None:
        asked = _default(settings.containers.netns)
    if asked.mode != "private":
        return asked
    if not inputs.host.rootless:
        return asked.replace(mode="bridge")
    command = settings.network.default_rootless_network_cmd or "pasta"
    if command not in ("pasta", "slirp4netns"):
        raise InvalidArgument(f'invalid default_rootless_network_cmd option "{command}"')
    return asked.replace(mode=command)


def _default(text: str) -> NetworkRequest:
    if text in ("", "private"):
        return NetworkRequest(mode="private")
    from wherry.spec.parse_network import network

    return network([text])


def attachments(inputs: Inputs, asked: NetworkRequest, id: str) -> dict[str, NetworkOptions]:
    """Network name -> options: addresses of the request, interface names, and the aliases Docker gives."""
    spec = inputs.spec
    if asked.mode != "bridge":
        if spec.ip or spec.ip6 or spec.mac_address or spec.network_aliases:
            raise InvalidArgument(
                "invalid config provided: networks and static ip/mac address can only be used with Bridge mode "
                "networking"
            )
        return {}
    wanted = {
        inputs.settings.network.default_network if name == DEFAULT_NETWORK else name: options
        for name, options in (asked.networks or {DEFAULT_NETWORK: NetworkOptions()}).items()
    }
    taken = [options.interface_name for options in wanted.values() if options.interface_name]
    for name in taken:
        if taken.count(name) > 1:
            raise InvalidArgument(f'network interface name "{name}" is already assigned to another network')
    out: dict[str, NetworkOptions] = {}
    extra = [id[:12], *([spec.hostname] if spec.hostname else [])]
    for name, options in wanted.items():
        interface = options.interface_name
        if not interface:
            interface = next(free for free in map("eth{}".format, range(len(wanted) + 1)) if free not in taken)
            taken.append(interface)
        out[inputs.lookup.network_name(name)] = NetworkOptions(
            static_ips=[*options.static_ips, *(address for address in (spec.ip, spec.ip6) if address)] or (),
            aliases=[*(spec.network_aliases or options.aliases), *extra],
            static_mac=spec.mac_address or options.static_mac,
            interface_name=interface,
            options=options.options,
        )
    return out


def ports(inputs: Inputs, mode: str) -> tuple[list[PortMapping], dict[str, list[str]]]:
    """Published mappings, ranges joined, and all exposed ports. A host port of 0 is chosen when they are opened."""
    spec = inputs.spec
    exposed = _exposed(inputs)
    asked = list(spec.ports or ())
    if asked and mode not in _WITH_PORTS:
        inputs.warnings.append(
            "Port mappings have been discarded as one of the Host, Container, Pod, and None network modes are in use"
        )
    if mode not in _WITH_PORTS:
        return [], exposed
    mappings = join(asked) if asked else []
    if spec.publish_all:
        mappings += _unpublished(mappings, exposed)
    return mappings, exposed


def _exposed(inputs: Inputs) -> dict[str, list[str]]:
    declared = inputs.defaults.get("ExposedPorts")
    if not declared:
        return {port: list(names) for port, names in (inputs.spec.expose or {}).items()}
    from wherry.spec.parse_ports import expose

    try:
        out = expose(list(declared))
    except InvalidArgument as error:
        raise InvalidArgument(f"unable to convert image EXPOSE: {error.message}") from None
    for port, names in (inputs.spec.expose or {}).items():
        known = out.setdefault(port, [])
        known.extend(name for name in names if name not in known)
    return out


def _unpublished(mappings: Sequence[PortMapping], exposed: Mapping[str, Sequence[str]]) -> list[PortMapping]:
    """Mappings for the exposed ports that no mapping covers yet."""
    covered = {
        (port, mapping.protocol)
        for mapping in mappings
        for port in range(mapping.container_port, mapping.container_port + mapping.range)
    }
    return [
        PortMapping(container_port=int(port), protocol=name)
        for port, names in exposed.items() for name in names if (int(port), name) not in covered
    ]


def join(asked: Sequence[PortMapping]) -> list[PortMapping]:
    """One protocol per mapping, mappings that continue each other made one; overlaps that disagree are an error."""
    from wherry.spec.parse_ports import protocols

    groups: dict[tuple[str, str], list[PortMapping]] = {}
    for mapping in asked:
        _check(mapping)
        for name in protocols(mapping.protocol):
            groups.setdefault((mapping.host_ip, name), []).append(mapping.replace(protocol=name))
    out: list[PortMapping] = []
    for mappings in groups.values():
        fixed = sorted(
            (mapping for mapping in mappings if mapping.host_port), key=lambda m: (m.host_port, m.container_port)
        )
        free = sorted((mapping for mapping in mappings if not mapping.host_port), key=lambda m: m.container_port)
        out.extend(_join_fixed(fixed))
        out.extend(_join_free(free))
    return out


def _check(mapping: PortMapping) -> None:
    if not mapping.container_port:
        raise InvalidArgument("container port number must be non-0")
    if mapping.container_port + mapping.range - 1 > _MAX_PORT:
        raise InvalidArgument("container port range exceeds maximum allowable port number")
    if mapping.host_port + mapping.range - 1 > _MAX_PORT:
        raise InvalidArgument("host port range exceeds maximum allowable port number")


def _join_fixed(mappings: Sequence[PortMapping]) -> list[PortMapping]:
    out: list[PortMapping] = []
    for mapping in mappings:
        last = out[-1] if out else None
        if last is None or last.host_port + last.range < mapping.host_port:
            out.append(mapping)
            continue
        shift = mapping.host_port - last.host_port
        if shift == mapping.container_port - last.container_port:
            out[-1] = last.replace(range=max(last.range, shift + mapping.range))
        elif last.host_port + last.range - 1 >= mapping.host_port:
            raise InvalidArgument(
                f"conflicting port mappings for host port {mapping.host_port} (protocol {mapping.protocol})"
            )
        else:
            out.append(mapping)
    return out


def _join_free(mappings: Sequence[PortMapping]) -> list[PortMapping]:
    out: list[PortMapping] = []
    for mapping in mappings:
        last = out[-1] if out else None
        if last is not None and last.container_port + last.range > mapping.container_port:
            out[-1] = last.replace(
                range=max(last.range, mapping.container_port - last.container_port + mapping.range)
            )
        else:
            out.append(mapping)
    return out
