"""``wherry network``: everything but listing and inspecting."""

from __future__ import annotations

from wherry.cli.containers_prune import confirm
from wherry.cli.containers_stop import LATEST, seconds
from wherry.cli.flags import Flag, UsageError
from wherry.cli.targets import check, filters, finish
from wherry.errors import IN_USE, NOT_FOUND, NoSuchNetwork, WherryError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from wherry.cli.call import Call

CREATE = (
    Flag("disable-dns", kind="bool", help="No names for the containers of the network"),
    Flag("dns", many=True, split=True, metavar="ip", help="Name server for what is not a container's name"),
    Flag("driver", "d", default="bridge", metavar="driver", help="bridge, macvlan or ipvlan"),
    Flag("gateway", kind="ip", many=True, split=True, metavar="ip", help="Gateway of a subnet"),
    Flag("ignore", kind="bool", help="Do not fail if the network exists"),
    Flag("interface-name", metavar="name", help="Name of the bridge, or the interface macvlan and ipvlan use"),
    Flag("internal", kind="bool", help="No way out of the network"),
    Flag("ip-range", many=True, metavar="range", help="Part of a subnet to give addresses from (CIDR or first-last)"),
    Flag("ipam-driver", metavar="driver", help="How addresses are chosen: host-local or none"),
    Flag("ipv6", kind="bool", help="An IPv6 subnet as well"),
    Flag("label", many=True, metavar="label", help="Attach a label to the network (key=value)"),
    Flag("macvlan", hidden=True),
    Flag("opt", "o", many=True, metavar="option", help="Option of the driver (mtu=, vlan=, isolate=, parent=, ...)"),
    Flag("route", many=True, metavar="route", help="Static route (destination,gateway[,metric])"),
    Flag("subnet", many=True, metavar="subnet", help="Subnet in CIDR notation"),
)
CONNECT = (
    Flag("alias", many=True, split=True, metavar="name", help="Further name of the container on the network"),
    Flag("ip", kind="ip", metavar="address", help="Fixed IPv4 address"),
    Flag("ip6", kind="ip", metavar="address", help="Fixed IPv6 address"),
    Flag("mac-address", metavar="address", help="Hardware address of the interface"),
)
DISCONNECT = (Flag("force", "f", "bool", "Accepted for Podman's sake; disconnecting never asks"),)
PRUNE = (
    Flag("filter", many=True, help="Remove only networks that match this condition (key=value)"),
    Flag("force", "f", "bool", "Do not ask"),
)
RELOAD = (Flag("all", "a", "bool", "All running containers"), LATEST)
RM = (
    Flag("force", "f", "bool", "Remove the containers on the network as well; a missing network is no error"),
    Flag("time", "t", "int", "Seconds to wait before a running container is killed", default="10", metavar="seconds"),
)
UPDATE = (
    Flag("dns-add", many=True, split=True, help="Add a name server"),
    Flag("dns-drop", many=True, split=True, help="Take a name server away"),
)
EXISTS = ()


def create(call: Call) -> int:
    """Create a network and print its name."""
    from wherry.spec.parse_environment import labels

    flags = call.flags
    driver, options = flags.text("driver"), labels(flags.many("opt"), "unable to process options")
    if flags.given("macvlan"):
        driver, options = "macvlan", {**options, "parent": flags.text("macvlan")}
    network = call.runtime.networks.create(
        call.args[0] if call.args else "",
        driver=driver,
        subnets=flags.many("subnet"),
        gateways=flags.many("gateway"),
        ip_ranges=flags.many("ip-range"),
        routes=flags.many("route"),
        ipv6=flags.on("ipv6"),
        internal=flags.on("internal"),
        disable_dns=flags.on("disable-dns"),
        dns=flags.many("dns"),
        interface_name=flags.text("interface-name"),
        ipam_driver=flags.text("ipam-driver"),
        labels=labels(flags.many("label"), "failed to parse labels"),
        options=options,
        exist_ok=flags.on("ignore"),
    )
    call.out(network.name + "\n")
    return 0


def exists(call: Call) -> int:
    """0 when there is such a network, 1 when not."""
    return 0 if call.runtime.networks.exists(call.args[0]) else 1


def connect(call: Call) -> int:
    """Connect a container to a network."""
    from wherry.spec.parse_network import hardware_address

    flags = call.flags
    network, container = call.args
    mac = hardware_address(flags.text("mac-address"))
    identity = call.runtime.containers.get(container).id        # Podman looks for the container first
    call.runtime.networks.get(network).connect(
        identity,
        aliases=flags.many("alias"),
        ips=[flags.text(name) for name in ("ip", "ip6") if flags.given(name)],
        mac=mac,
    )
    return 0


def disconnect(call: Call) -> int:
    """Disconnect a container from a network."""
    network, container = call.args
    call.runtime.containers.get(container)      # Podman looks for the container first
    call.runtime.networks.get(network).disconnect(container)
    return 0


def prune(call: Call) -> int:
    """Remove every network no container is connected to, after asking; prints their names."""
    chosen = filters(call)
    warning = "WARNING! This will remove all networks not used by at least one container."
    if not call.flags.on("force") and not confirm(call, warning):
        return 0
    for name in call.runtime.networks.prune(chosen):
        call.out(name + "\n")
    return 0


def reload(call: Call) -> int:
    """Make the firewall rules of running containers again; prints their ids."""
    check(call)
    flags = call.flags
    names = list(call.args)
    if flags.on("latest"):
        from wherry.cli.targets import latest

        names = [latest(call.runtime)]
    if flags.on("all"):
        from wherry.engine.connections import reloadable

        names = reloadable(call.runtime)
    errors: list[WherryError] = []
    for name in names:
        try:
            for identity in call.runtime.networks.reload([name]):
                call.out(identity + "\n")
        except WherryError as error:
            errors.append(error)
    return finish(errors)


def rm(call: Call) -> int:
    """Remove networks; prints their names."""
    force = call.flags.on("force")
    if call.flags.given("time") and not force:
        raise UsageError("--force option must be specified to use the --time option", see=False)
    errors: list[WherryError] = []
    for name in call.args:
        try:
            call.runtime.networks.get(name).remove(force=force, timeout=seconds(call))
        except NoSuchNetwork as error:
            if not force:
                errors.append(error)
        except WherryError as error:
            errors.append(error)
        else:
            call.out(name + "\n")
    return finish(errors, exit_code)


def exit_code(errors: Sequence[WherryError]) -> int:
    """1 if any network was missing, else 2 if any was in use, else 125."""
    kinds = {error.kind for error in errors}
    if NOT_FOUND in kinds:
        return 1
    return 2 if IN_USE in kinds else 125


def update(call: Call) -> int:
    """Change the name servers of a network; prints its name."""
    flags = call.flags
    call.runtime.networks.get(call.args[0]).update(add_dns=flags.many("dns-add"), drop_dns=flags.many("dns-drop"))
    call.out(call.args[0] + "\n")
    return 0
