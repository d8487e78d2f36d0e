"""Networks as values: port mappings, per-network options of a container, and what attaching one gave.

The JSON keys are those of containers/common ``libnetwork/types``, which netavark also speaks.
"""

from __future__ import annotations

from wherry.model.record import EMPTY, Record, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class PortMapping(Record):
    """A published port or range of ports."""

    host_ip: str = ""            # empty: all addresses
    container_port: int = 0
    host_port: int = 0           # 0 until a free one was chosen
    range: int = 1               # number of consecutive ports
    protocol: str = "tcp"        # tcp, udp, sctp; several joined by ","


class NetworkOptions(Record):
    """What one container (or pod) wants of one network (``PerNetworkOptions``)."""

    static_ips: Sequence[str] = ()
    aliases: Sequence[str] = ()
    static_mac: str = ""
    interface_name: str = ""
    options: Mapping[str, str] = EMPTY


class LeaseRange(Record):
    start_ip: str = ""
    end_ip: str = ""


class Subnet(Record):
    subnet: str = ""             # CIDR
    gateway: str = ""
    lease_range: LeaseRange | None = field(default=None, record=LeaseRange)


class Route(Record):
    destination: str = ""
    gateway: str = ""
    metric: int | None = None


class Network(Record):
    """A network definition: the file ``<network config dir>/<name>.json``."""

    name: str = ""
    id: str = ""
    driver: str = "bridge"
    network_interface: str = ""
    created: str = ""
    subnets: Sequence[Subnet] = field(default=(), records=Subnet)
    routes: Sequence[Route] = field(default=(), records=Route)
    ipv6_enabled: bool = False
    internal: bool = False
    dns_enabled: bool = False
    network_dns_servers: Sequence[str] = ()
    labels: Mapping[str, str] = EMPTY
    options: Mapping[str, str] = EMPTY
    ipam_options: Mapping[str, str] = EMPTY


class NetAddress(Record):
    ipnet: str = ""              # address with prefix length
    gateway: str = ""


class NetInterface(Record):
    subnets: Sequence[NetAddress] = field(default=(), records=NetAddress)
    mac_address: str = ""


class NetworkStatus(Record):
    """What attaching a container to one network gave (``StatusBlock``)."""

    interfaces: Mapping[str, NetInterface] = field(default=EMPTY, table=NetInterface)
    dns_server_ips: Sequence[str] = ()
    dns_search_domains: Sequence[str] = ()
