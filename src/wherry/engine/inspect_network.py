"""The ``NetworkSettings`` part of container inspect."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.model.container import ContainerConfig, ContainerState
    from wherry.model.network import NetworkOptions, NetworkStatus

DEFAULT_NETWORK = "podman"


def network_settings(config: ContainerConfig, state: ContainerState) -> dict[str, Any]:
    """Addresses per network; the legacy top-level address is that of the default network alone."""
    data = _endpoint()
    data |= {
        "Bridge": "",
        "SandboxID": "",
        "HairpinMode": False,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "Ports": ports(config, state),
        "SandboxKey": state.net_ns,
    }
    if not config.networks:
        return data
    networks: dict[str, Any] = {}
    for name, options in config.networks.items():
        networks[name] = _network(config, name, options, state.network_status.get(name))
        if name == DEFAULT_NETWORK:
            data |= {key: value for key, value in networks[name].items() if key in data}
    data["Networks"] = networks
    return data


def _endpoint() -> dict[str, Any]:
    return {
        "EndpointID": "",
        "Gateway": "",
        "IPAddress": "",
        "IPPrefixLen": 0,
        "IPv6Gateway": "",
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "MacAddress": "",
    }


def _network(
    config: ContainerConfig, name: str, options: NetworkOptions, status: NetworkStatus | None
) -> dict[str, Any]:
    data = _endpoint()
    data |= {
        "NetworkID": name,
        "DriverOpts": None,
        "IPAMConfig": None,
        "Links": None,
        "Aliases": list(dict.fromkeys([*options.aliases, config.id[:12]])),
    }
    if status is None:
        return data
    for interface in status.interfaces.values():
        data["MacAddress"] = data["MacAddress"] or interface.mac_address
        for subnet in interface.subnets:
            _add_address(data, subnet.ipnet, subnet.gateway)
    return data


def _add_address(data: dict[str, Any], ipnet: str, gateway: str) -> None:
    address, _slash, length = ipnet.partition("/")
    if ":" in address:
        main, prefix, gate, more = "GlobalIPv6Address", "GlobalIPv6PrefixLen", "IPv6Gateway", "SecondaryIPv6Addresses"
    else:
        main, prefix, gate, more = "IPAddress", "IPPrefixLen", "Gateway", "SecondaryIPAddresses"
    if data[main]:
        data.setdefault(more, []).append({"Addr": address, "PrefixLength": int(length or 0)})
        return
    data[main] = address
    data[prefix] = int(length or 0)
    data[gate] = gateway


def ports(config: ContainerConfig, state: ContainerState) -> dict[str, Any]:
    """``80/tcp`` -> list of host addresses, or None for ports that are exposed but not published."""
    shown: dict[str, Any] = {
        f"{port}/{protocol}": None for port, protocols in config.exposed_ports.items() for protocol in protocols
    }
    for mapping in state.port_mappings or config.port_mappings:
        for protocol in mapping.protocol.split(","):
            for offset in range(mapping.range or 1):
                key = f"{mapping.container_port + offset}/{protocol}"
                host_port = str(mapping.host_port + offset) if mapping.host_port else ""
                entry = {"HostIp": mapping.host_ip, "HostPort": host_port}
                shown[key] = [*(shown.get(key) or ()), entry]
    return shown
