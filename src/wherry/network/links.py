"""Interfaces of the native back end: bridges with veth pairs, macvlan and ipvlan children, addresses and routes."""

from __future__ import annotations

import errno
import os
import time

from wherry.errors import InvalidArgument, Unsupported, WherryError, from_os_error
from wherry.model.network import NetAddress, NetInterface
from wherry.network.addresses import parse_address, parse_cidr
from wherry.sys import rtnetlink
from wherry.sys.files import try_read_text
from wherry.sys.namespaces import call_in_netns
from wherry.sys.netlink import Netlink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from wherry.model.network import Network, NetworkOptions
    from wherry.sys.netlink import Message

#: Metric of default routes when the network has none (netavark's default).
METRIC = 100
DRIVERS = ("bridge", "macvlan", "ipvlan")
#: Is bridged traffic shown to the firewall? Then what a container sends to its own published port never leaves the
#: bridge, and needs to be let back to where it came from.
_BRIDGE_NETFILTER = "/proc/sys/net/bridge/bridge-nf-call-iptables"
#: Seconds.
_DYING_TIMEOUT = 1.0
_TRUE = ("1", "t", "T", "true", "TRUE", "True")


class Wiring:
    """Netlink to the host's network namespace and to a container's. Close it, or use it in a ``with`` block."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self.host = Netlink()
        try:
            self.fd = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
            try:
                self.inside = rtnetlink.open_in(namespace)
            except BaseException:
                os.close(self.fd)
                raise
        except BaseException:
            self.host.close()
            raise

    def __enter__(self) -> Wiring:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.host.close()
        self.inside.close()
        os.close(self.fd)

    def attach(
        self, network: Network, options: NetworkOptions, addresses: Sequence[str], *, publishes: bool = False
    ) -> tuple[NetInterface, bool]:
        """Connect the namespace to *network*; returns its new interface and whether the bridge had to be made.

        *publishes* says that the container has published ports.  Raises ``WherryError``; what was made of the pair is
        gone then.
        """
        try:
            if network.driver == "bridge":
                return self._attach_bridge(network, options, addresses, publishes)
            return self._attach_child(network, options, addresses), False
        except OSError as error:
            raise _explain(error, network, options) from None

    def _attach_bridge(
        self, network: Network, options: NetworkOptions, addresses: Sequence[str], publishes: bool
    ) -> tuple[NetInterface, bool]:
        mtu = number(network, "mtu")
        index, made = self._bridge(network, mtu)
        mac = options.static_mac or random_mac()
        name = options.options.get("host_interface_name") or f"veth{os.urandom(4).hex()}"
        self.host.change(
            [
                rtnetlink.veth(
                    name, master=index, peer=options.interface_name, namespace=self.fd, mac=mac, mtu=mtu
                )
            ]
        )
        vlan = number(network, "vlan")
        try:
            hairpin = publishes and (try_read_text(_BRIDGE_NETFILTER) or "").strip() == "1"
            if vlan or hairpin:
                link = rtnetlink.find(self.host, name)
                assert link is not None
                self.host.change([rtnetlink.hairpin(link.index)] if hairpin else [])
                self.host.change([rtnetlink.port_vlan(link.index, vlan)] if vlan else [])
            self._configure(network, options.interface_name, addresses)
        except BaseException:
            self.host.change([rtnetlink.delete(name)])
            raise
        return interface(network, addresses, mac), made

    def _bridge(self, network: Network, mtu: int) -> tuple[int, bool]:
        """Index of the network's bridge, and whether it was made now."""
        name = network.network_interface
        found = rtnetlink.find(self.host, name)
        if found is not None:
            if found.kind != "bridge":
                raise WherryError(f"bridge interface {name} already exists but is not a bridge interface")
            if found.up or _unmanaged(network):
                return found.index, False
        elif _unmanaged(network):
            raise WherryError(f"get bridge interface {name}: in unmanaged mode, the bridge must already exist")
        vlan, vrf = number(network, "vlan"), 0
        if network.options.get("vrf"):
            device = rtnetlink.find(self.host, network.options["vrf"])
            if device is None or device.kind != "vrf":
                raise WherryError(f"vrf {network.options['vrf']} does not exist")
            vrf = device.index
        if found is None:
            mac = random_mac()      # a fixed one: otherwise it changes as ports come and go, and neighbours lose it
            self.host.change([rtnetlink.bridge(name, mac=mac, mtu=mtu, vlan_filtering=bool(vlan), vrf=vrf)])
            found = rtnetlink.find(self.host, name)
            if found is None:
                raise WherryError(f"bridge {name} vanished as soon as it was made")
        _bridge_settings(network)
        messages = [rtnetlink.up(found.index)]
        for subnet in network.subnets:
            if subnet.gateway:
                messages.append(rtnetlink.address(found.index, f"{subnet.gateway}/{parse_cidr(subnet.subnet).length}"))
        if vlan:
            messages.append(rtnetlink.port_vlan(found.index, vlan, own=True))
        self.host.change(messages)
        return found.index, True

    def _attach_child(self, network: Network, options: NetworkOptions, addresses: Sequence[str]) -> NetInterface:
        """A macvlan or ipvlan interface on the network's parent."""
        parent_name = network.options.get("parent") or network.network_interface or default_interface()
        parent = rtnetlink.find(self.host, parent_name)
        if parent is None:
            raise WherryError(f"get parent interface {parent_name}: no such device")
        mtu, mode = number(network, "mtu"), network.options.get("mode", "")
        if network.driver == "macvlan":
            cutoff = number(network, "bclim") if "bclim" in network.options else None
            request = rtnetlink.macvlan(
                options.interface_name, parent=parent.index, namespace=self.fd, mode=mode or "bridge",
                mac=options.static_mac, mtu=mtu, cutoff=cutoff,
            )
        else:
            request = rtnetlink.ipvlan(
                options.interface_name, parent=parent.index, namespace=self.fd, mode=mode or "l2", mtu=mtu
            )
        self.host.change([request])
        try:
            mac = self._configure(network, options.interface_name, addresses)
        except BaseException:
            self.inside.change([rtnetlink.delete(options.interface_name)])
            raise
        return interface(network, addresses, mac)

    def _configure(self, network: Network, name: str, addresses: Sequence[str]) -> str:
        """Addresses and routes of the interface inside; returns its hardware address."""
        link = rtnetlink.find(self.inside, name)
        if link is None:
            raise WherryError(f"interface {name} is not in the container's network namespace")
        status = interface(network, addresses, link.mac)
        if any(":" in address.ipnet for address in status.subnets):
            call_in_netns(self._namespace, lambda: _quiet_ipv6(name))
        messages = [rtnetlink.up(link.index)]
        messages += [rtnetlink.address(link.index, address.ipnet) for address in status.subnets]
        messages += _routes(network, link.index, status)
        self.inside.change(messages)
        return link.mac

    def detach(self, name: str) -> None:
        """Delete an interface inside the namespace, with its other end. Takes a kernel grace period (10-20 ms)."""
        self.inside.change([rtnetlink.delete(name)])

    def free_name(self) -> str:
        """The first of eth0, eth1, ... the namespace does not have."""
        taken = {link.name for link in rtnetlink.links(self.inside)}
        return next(name for name in map("eth{}".format, range(len(taken) + 1)) if name not in taken)


def _routes(network: Network, index: int, status: NetInterface) -> list[Message]:
    metric = number(network, "metric") or METRIC
    found = []
    if network.options.get("no_default_route") not in _TRUE:
        gateways = dict.fromkeys(address.gateway for address in status.subnets if address.gateway)
        found = [rtnetlink.route(index, gateway, metric=metric) for gateway in gateways]
    found += [
        rtnetlink.route(index, route.gateway, destination=route.destination, metric=route.metric or METRIC)
        for route in network.routes
    ]
    return found


def interface(network: Network, addresses: Sequence[str], mac: str) -> NetInterface:
    """What an attachment is, as netavark reports it: addresses with prefix length and gateway."""
    subnets = []
    for text in addresses:
        value, width = parse_address(text)
        for subnet in network.subnets:
            cidr = parse_cidr(subnet.subnet)
            if cidr.width == width and cidr.contains(value):
                gateway = "" if network.internal else subnet.gateway
                subnets.append(NetAddress(ipnet=f"{text}/{cidr.length}", gateway=gateway))
                break
    return NetInterface(subnets=subnets, mac_address=mac.lower().replace("-", ":"))


def number(network: Network, option: str) -> int:
    """A driver option that is a number, 0 without it. Raises ``InvalidArgument``."""
    text = network.options.get(option, "")
    if not text:
        return 0
    if not text.removeprefix("-").isdigit():
        raise InvalidArgument(f'invalid {option} option of network {network.name}: "{text}" is not a number')
    return int(text)


def wait_for_ports(name: str) -> bool:
    """Is nothing attached to the bridge *name*?

    Interfaces of a namespace that was just dropped take the kernel some 10 ms to go; they are waited for.
    """
    deadline = time.monotonic() + _DYING_TIMEOUT
    with Netlink() as netlink:
        while True:
            bridge = rtnetlink.find(netlink, name)
            if bridge is None or not rtnetlink.children(rtnetlink.links(netlink), bridge.index):
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)


def remove_bridge(name: str) -> bool:
    """Delete a bridge unless something is attached to it; True when there is none of that name left."""
    if not wait_for_ports(name):
        return False
    with Netlink() as netlink:
        bridge = rtnetlink.find(netlink, name)
        if bridge is not None and bridge.kind == "bridge":
            netlink.change([rtnetlink.delete(name)])
    return True


def _unmanaged(network: Network) -> bool:
    return network.options.get("mode") == "unmanaged"


def is_managed_bridge(network: Network) -> bool:
    """Does wherry make this network's bridge, its addresses and its rules?"""
    return network.driver == "bridge" and not _unmanaged(network)


def random_mac() -> str:
    """A locally administered unicast hardware address."""
    data = bytearray(os.urandom(6))
    data[0] = data[0] & 0xFC | 2
    return ":".join(f"{byte:02x}" for byte in data)


def default_interface() -> str:
    """The interface of the host's IPv4 default route. Raises ``WherryError``."""
    for line in (try_read_text("/proc/thread-self/net/route") or "").splitlines()[1:]:
        words = line.split()
        if words[1] == "00000000" and words[7] == "00000000":
            return words[0]
    raise WherryError("failed to get the default route interface; name one with -o parent=INTERFACE")


def _bridge_settings(network: Network) -> None:
    """Kernel settings a bridge network depends on."""
    bridge = network.network_interface
    v6 = any(":" in subnet.subnet for subnet in network.subnets)
    wanted: dict[str, str] = {}
    if not network.internal:
        wanted["ipv4/ip_forward"] = "1"
        wanted[f"ipv4/conf/{bridge}/route_localnet"] = "1"
    if v6:
        _quiet_ipv6(bridge)
        wanted[f"ipv6/conf/{bridge}/accept_ra"] = "0"
        if not network.internal:
            wanted["ipv6/conf/all/forwarding"] = "1"
    for name, value in wanted.items():
        write_setting(name, value)


def _quiet_ipv6(interface: str) -> None:
    """Addresses are ours to choose: none of the kernel's own, and no second of waiting for somebody to object."""
    write_setting(f"ipv6/conf/{interface}/accept_dad", "0")
    write_setting(f"ipv6/conf/{interface}/autoconf", "0")


def write_setting(name: str, value: str) -> None:
    """Set ``/proc/sys/net/NAME`` if it differs. Raises ``WherryError``."""
    path = f"/proc/sys/net/{name}"
    if (try_read_text(path) or "").strip() == value:
        return
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, value.encode())
        finally:
            os.close(fd)
    except OSError as error:
        if error.errno == errno.ENOENT and name.startswith("ipv6/"):
            raise Unsupported("this host has no IPv6") from None
        raise from_os_error(error, f"setting {name.replace('/', '.')} to {value}") from None


def _explain(error: OSError, network: Network, options: NetworkOptions) -> WherryError:
    if error.errno == errno.EOPNOTSUPP and network.driver != "bridge":
        return Unsupported(
            f"this kernel has no {network.driver} interfaces, which network {network.name} needs",
            hint="use a bridge network",
        )
    if error.errno == errno.EOPNOTSUPP and "vlan" in network.options:
        return Unsupported(
            f"this kernel has no VLANs on bridges, which network {network.name} needs",
            hint="use a macvlan network whose parent is a VLAN interface",
        )
    if error.errno == errno.EEXIST:
        name = options.options.get("host_interface_name") or options.interface_name
        return WherryError(f"interface {name} already exists: {error.filename}")
    return WherryError(f"setting up network {network.name}: {error.filename}: {(error.strerror or '').lower()}")
