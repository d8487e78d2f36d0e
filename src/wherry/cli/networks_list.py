"""``wherry network ls`` and ``network inspect``."""

from __future__ import annotations

from wherry.cli.flags import Flag, UsageError
from wherry.cli.listings import show_inspect, show_list
from wherry.cli.targets import finish
from wherry.errors import NoSuchNetwork, WherryError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.cli.call import Call
    from wherry.engine.network import Network

LS = (
    Flag("filter", "f", many=True, metavar="filter=value", help="Show networks that match this condition (key=value)"),
    Flag("format", metavar="format", help="Show as json or through a Go template"),
    Flag("no-trunc", kind="bool", help="Do not shorten ids"),
    Flag("noheading", "n", "bool", "Leave out the heading"),
    Flag("quiet", "q", "bool", "Show names only"),
)
INSPECT = (Flag("format", "f", metavar="format", help="Show as json or through a Go template"),)
SHORT = 12
_FIELDS = """Name=name:str, ID=id:str, Driver=driver:str, NetworkInterface=network_interface:str, Created=created:time,
    Subnets=subnets:[]types.Subnet{Subnet=subnet:str, Gateway=gateway:str,
        LeaseRange=lease_range:*types.LeaseRange{StartIP=start_ip:str, EndIP=end_ip:str}},
    Routes=routes:[]types.Route{Destination=destination:str, Gateway=gateway:str, Metric=metric:int},
    IPv6Enabled=ipv6_enabled:bool, Internal=internal:bool, DNSEnabled=dns_enabled:bool,
    NetworkDNSServers=network_dns_servers:[]str, Options=options:map[str], IPAMOptions=ipam_options:map[str]"""
#: One network, as Podman's templates of inspect and of ls see it; ls shows labels as one text.
SHAPE = f"""types.Network{{{_FIELDS}, Labels=labels:map[str],
    Containers=containers:map[types.NetworkContainerInfo{{Name=name:str, Interfaces=interfaces:map[any]}}]}}"""
LIST_SHAPE = f"types.ListPrintReports{{{_FIELDS}, Labels=labels:str}}"
HEADINGS = {"ID": "NETWORK ID", "Labels": "LABELS", "Created": "CREATED"}


def ls(call: Call) -> int:
    """List networks."""
    from wherry.cli.formatting import is_json
    from wherry.cli.tables import table

    flags = call.flags
    found = call.runtime.networks.list(filters=_filters(call))
    text = flags.text("format")
    if flags.on("quiet"):
        call.out("".join(network.name + "\n" for network in found))
    elif is_json(text):
        from wherry.model.jsontext import dumps_pretty

        call.out(dumps_pretty([network.summary() for network in found], 2) + "\n")
    elif text:
        show_list(call, "list", LIST_SHAPE, [_row(call, network) for network in found], HEADINGS)
    else:
        headings = () if flags.on("noheading") else ("NETWORK ID", "NAME", "DRIVER")
        call.out(table([(_id(call, network), network.name, network.driver) for network in found], headings))
    return 0


def _filters(call: Call) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for text in call.flags.many("filter"):
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"filter input must be in the form of filter=value: {text} is invalid", see=False)
        found.setdefault(key, []).append(value)
    return found


def _id(call: Call, network: Network) -> str:
    return network.id if call.flags.on("no-trunc") else network.id[:SHORT]


def _row(call: Call, network: Network) -> dict[str, Any]:
    tree = network.summary()
    tree["id"] = _id(call, network)
    tree["labels"] = ",".join(f"{key}={value}" for key, value in network.labels.items())
    return tree


def inspect(call: Call) -> int:
    """Show everything about networks."""
    trees: list[dict[str, Any]] = []
    errors: list[WherryError] = []
    for name in call.args:
        try:
            trees.append(tree(call, name))
        except WherryError as error:
            errors.append(error)
    show_inspect(call, "network inspect", SHAPE, trees)
    return finish(errors)


def tree(call: Call, name: str) -> dict[str, Any]:
    """The tree of one network. Raises ``NoSuchNetwork`` in the words of inspect."""
    try:
        return call.runtime.networks.get(name).inspect()
    except NoSuchNetwork as error:
        raise NoSuchNetwork(f"network {name}: {error.message}") from None
