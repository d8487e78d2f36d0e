"""Interfaces, addresses and routes (rtnetlink(7)): requests as :class:`wherry.sys.netlink.Message`, and questions."""

from __future__ import annotations

import errno
from _socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from _struct import Struct

from wherry.model.record import Record
from wherry.sys.namespaces import call_in_netns
from wherry.sys.netlink import (
    NETLINK_ROUTE,
    NLM_F_CREATE,
    NLM_F_DUMP,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    Message,
    Netlink,
    attribute,
    attributes,
    nested,
    text,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_RTM_NEWLINK = 16
_RTM_DELLINK = 17
_RTM_GETLINK = 18
_RTM_SETLINK = 19
_RTM_NEWADDR = 20
_RTM_GETADDR = 22
_RTM_NEWROUTE = 24

_IFLA_ADDRESS = 1
_IFLA_IFNAME = 3
_IFLA_MTU = 4
_IFLA_LINK = 5
_IFLA_MASTER = 10
_IFLA_PROTINFO = 12
_IFLA_LINKINFO = 18
_IFLA_AF_SPEC = 26
_IFLA_NET_NS_FD = 28
_IFLA_INFO_KIND = 1
_IFLA_INFO_DATA = 2
_VETH_INFO_PEER = 1
_IFLA_MACVLAN_MODE = 1
_IFLA_MACVLAN_BC_CUTOFF = 9
_IFLA_IPVLAN_MODE = 1
_IFLA_BR_VLAN_FILTERING = 7
_IFLA_BR_VLAN_DEFAULT_PVID = 39
_IFLA_BRIDGE_FLAGS = 0
_IFLA_BRIDGE_VLAN_INFO = 2
_IFLA_BRPORT_MODE = 4
_BRIDGE_FLAGS_SELF = 2
_BRIDGE_VLAN_PVID_UNTAGGED = 2 | 4
_AF_BRIDGE = 7
_IFA_ADDRESS = 1
_IFA_LOCAL = 2
_IFA_BROADCAST = 4
_IFA_F_NODAD = 2
_RTA_DST = 1
_RTA_OIF = 4
_RTA_GATEWAY = 5
_RTA_PRIORITY = 6
_RT_TABLE_MAIN = 254
_RTPROT_STATIC = 4
_RTN_UNICAST = 1
_IFF_UP = 1
_IFNAMSIZ = 16

_LINK = Struct("=BxHiII")           # family, type, index, flags, change
_ADDRESS = Struct("=BBBBi")         # family, prefix length, flags, scope, index
_ROUTE = Struct("=BBBBBBBBI")       # family, dst length, src length, tos, table, protocol, scope, type, flags
_U16 = Struct("=H")
_U32 = Struct("=I")
_I32 = Struct("=i")
_VLAN = Struct("=HH")

#: Mode of a macvlan by its name in ip-link(8).
MACVLAN_MODES = {"private": 1, "vepa": 2, "bridge": 4, "passthru": 8}
IPVLAN_MODES = {"l2": 0, "l3": 1, "l3s": 2}


class Link(Record):
    """An interface as the kernel tells of it."""

    index: int = 0
    name: str = ""
    kind: str = ""               # bridge, veth, macvlan, ...; empty for hardware
    mac: str = ""
    mtu: int = 0
    master: int = 0              # index of the bridge or VRF it belongs to
    up: bool = False


def open_in(namespace: str) -> Netlink:
    """A route netlink socket of the network namespace at *namespace*. Raises :class:`OSError`."""
    return call_in_netns(namespace, lambda: Netlink(NETLINK_ROUTE))


def find(netlink: Netlink, name: str) -> Link | None:
    """The interface called *name*, None when there is none."""
    if not 0 < len(name.encode()) < _IFNAMSIZ:
        return None
    body = _LINK.pack(0, 0, 0, 0, 0) + text(_IFLA_IFNAME, name)
    try:
        return _link(netlink.ask(Message(type=_RTM_GETLINK, body=body, about=name))[0])
    except OSError as error:
        if error.errno == errno.ENODEV:
            return None
        raise


def links(netlink: Netlink) -> list[Link]:
    """Every interface."""
    body = _LINK.pack(0, 0, 0, 0, 0)
    return [_link(found) for found in netlink.ask(Message(type=_RTM_GETLINK, flags=NLM_F_DUMP, body=body))]


def subnets(netlink: Netlink) -> list[str]:
    """``address/length`` of every address of every interface."""
    found = []
    for body in netlink.ask(Message(type=_RTM_GETADDR, flags=NLM_F_DUMP, body=_ADDRESS.pack(0, 0, 0, 0, 0))):
        family, length, _flags, _scope, _index = _ADDRESS.unpack_from(body)
        have = attributes(body, _ADDRESS.size)
        packed = have.get(_IFA_LOCAL) or have.get(_IFA_ADDRESS)
        if packed and family in (AF_INET, AF_INET6):
            found.append(f"{inet_ntop(family, packed)}/{length}")
    return found


def _link(body: bytes) -> Link:
    _family, _type, index, flags, _change = _LINK.unpack_from(body)
    found = attributes(body, _LINK.size)
    info = attributes(found.get(_IFLA_LINKINFO, b""))
    return Link(
        index=index,
        name=found.get(_IFLA_IFNAME, b"").rstrip(b"\0").decode(),
        kind=info.get(_IFLA_INFO_KIND, b"").rstrip(b"\0").decode(),
        mac=":".join(f"{byte:02x}" for byte in found.get(_IFLA_ADDRESS, b"")),
        mtu=_U32.unpack(found[_IFLA_MTU])[0] if _IFLA_MTU in found else 0,
        master=_U32.unpack(found[_IFLA_MASTER])[0] if _IFLA_MASTER in found else 0,
        up=bool(flags & _IFF_UP),
    )


def bridge(name: str, *, mac: str, mtu: int = 0, vlan_filtering: bool = False, vrf: int = 0) -> Message:
    """Make a bridge; one that exists is fine. *vrf* is the index of the VRF device it joins."""
    data = b""
    if vlan_filtering:
        data = attribute(_IFLA_BR_VLAN_FILTERING, b"\1") + attribute(_IFLA_BR_VLAN_DEFAULT_PVID, _U16.pack(0))
    body = _LINK.pack(0, 0, 0, 0, 0) + text(_IFLA_IFNAME, name) + _mac(mac) + _mtu(mtu)
    body += attribute(_IFLA_MASTER, _I32.pack(vrf)) if vrf else b""
    return _new_link(body + _kind("bridge", data), f"bridge {name}", fine=(errno.EEXIST,))


def veth(name: str, *, master: int, peer: str, namespace: int, mac: str, mtu: int = 0) -> Message:
    """Make a veth pair: *name*, up, in the bridge *master*; *peer* with *mac* in the namespace of the descriptor."""
    other = _LINK.pack(0, 0, 0, 0, 0) + text(_IFLA_IFNAME, peer) + _mac(mac) + _mtu(mtu)
    other += attribute(_IFLA_NET_NS_FD, _I32.pack(namespace))
    body = _LINK.pack(0, 0, 0, _IFF_UP, _IFF_UP) + text(_IFLA_IFNAME, name) + _mtu(mtu)
    body += attribute(_IFLA_MASTER, _I32.pack(master))
    return _new_link(body + _kind("veth", nested(_VETH_INFO_PEER, other)), f"veth {name}")


def port_vlan(index: int, vlan: int, *, own: bool = False) -> Message:
    """Put a bridge port (with *own* the bridge itself) into *vlan*, untagged."""
    flags = attribute(_IFLA_BRIDGE_FLAGS, _U16.pack(_BRIDGE_FLAGS_SELF)) if own else b""
    info = attribute(_IFLA_BRIDGE_VLAN_INFO, _VLAN.pack(_BRIDGE_VLAN_PVID_UNTAGGED, vlan))
    body = _LINK.pack(_AF_BRIDGE, 0, index, 0, 0) + nested(_IFLA_AF_SPEC, flags, info)
    return Message(type=_RTM_SETLINK, body=body, about=f"vlan {vlan}")


def hairpin(index: int) -> Message:
    """Let a bridge port get back what it sent, when that was readdressed to it."""
    body = _LINK.pack(_AF_BRIDGE, 0, index, 0, 0)
    body += nested(_IFLA_PROTINFO, attribute(_IFLA_BRPORT_MODE, b"\1"))
    return Message(type=_RTM_SETLINK, body=body, about="hairpin")


def macvlan(
    name: str, *, parent: int, namespace: int, mode: str, mac: str = "", mtu: int = 0, cutoff: int | None = None
) -> Message:
    """Make a macvlan on the interface *parent*, in the namespace of the descriptor."""
    data = attribute(_IFLA_MACVLAN_MODE, _U32.pack(MACVLAN_MODES[mode]))
    data += attribute(_IFLA_MACVLAN_BC_CUTOFF, _I32.pack(cutoff)) if cutoff is not None else b""
    return _child(name, parent, namespace, _mac(mac) + _mtu(mtu) + _kind("macvlan", data), "macvlan")


def ipvlan(name: str, *, parent: int, namespace: int, mode: str, mtu: int = 0) -> Message:
    """Make an ipvlan on the interface *parent*, in the namespace of the descriptor."""
    data = attribute(_IFLA_IPVLAN_MODE, _U16.pack(IPVLAN_MODES[mode]))
    return _child(name, parent, namespace, _mtu(mtu) + _kind("ipvlan", data), "ipvlan")


def _child(name: str, parent: int, namespace: int, rest: bytes, kind: str) -> Message:
    body = _LINK.pack(0, 0, 0, 0, 0) + text(_IFLA_IFNAME, name) + attribute(_IFLA_LINK, _I32.pack(parent))
    return _new_link(body + attribute(_IFLA_NET_NS_FD, _I32.pack(namespace)) + rest, f"{kind} {name}")


def _new_link(body: bytes, about: str, fine: tuple[int, ...] = ()) -> Message:
    return Message(type=_RTM_NEWLINK, flags=NLM_F_CREATE | NLM_F_EXCL, body=body, about=about, fine=fine)


def _kind(name: str, data: bytes) -> bytes:
    inner = nested(_IFLA_INFO_DATA, data) if data else b""
    return nested(_IFLA_LINKINFO, text(_IFLA_INFO_KIND, name), inner)


def _mac(address: str) -> bytes:
    return attribute(_IFLA_ADDRESS, bytes.fromhex(address.replace(":", "").replace("-", ""))) if address else b""


def _mtu(mtu: int) -> bytes:
    return attribute(_IFLA_MTU, _U32.pack(mtu)) if mtu else b""


def up(index: int) -> Message:
    """Set an interface up."""
    return Message(type=_RTM_NEWLINK, body=_LINK.pack(0, 0, index, _IFF_UP, _IFF_UP), about="link up")


def delete(name: str) -> Message:
    """Delete an interface; a missing one is fine."""
    body = _LINK.pack(0, 0, 0, 0, 0) + text(_IFLA_IFNAME, name)
    return Message(type=_RTM_DELLINK, body=body, about=name, fine=(errno.ENODEV,))


def address(index: int, ipnet: str) -> Message:
    """Give an interface an address (``address/length``), at once usable: no duplicate address detection."""
    plain, _slash, length = ipnet.partition("/")
    family, packed = _packed(plain)
    flags = _IFA_F_NODAD if family == AF_INET6 else 0
    body = _ADDRESS.pack(family, int(length), flags, 0, index)
    body += attribute(_IFA_LOCAL, packed) + attribute(_IFA_ADDRESS, packed)
    if family == AF_INET and int(length) < 31:
        host = (1 << (32 - int(length))) - 1
        body += attribute(_IFA_BROADCAST, (int.from_bytes(packed, "big") | host).to_bytes(4, "big"))
    return Message(
        type=_RTM_NEWADDR, flags=NLM_F_CREATE | NLM_F_EXCL, body=body, about=f"address {ipnet}", fine=(errno.EEXIST,)
    )


def route(index: int, gateway: str, *, destination: str = "", metric: int = 0) -> Message:
    """A static route through *gateway*; without *destination* (CIDR) the default route."""
    family, packed = _packed(gateway)
    length = 0
    body = attribute(_RTA_GATEWAY, packed) + attribute(_RTA_OIF, _I32.pack(index))
    if destination:
        plain, _slash, text_length = destination.partition("/")
        length = int(text_length)
        body += attribute(_RTA_DST, _packed(plain)[1])
    if metric:
        body += attribute(_RTA_PRIORITY, _U32.pack(metric))
    head = _ROUTE.pack(family, length, 0, 0, _RT_TABLE_MAIN, _RTPROT_STATIC, 0, _RTN_UNICAST, 0)
    where = destination or "default"
    return Message(
        type=_RTM_NEWROUTE, flags=NLM_F_CREATE | NLM_F_REPLACE, body=head + body, about=f"route {where} via {gateway}"
    )


def _packed(address: str) -> tuple[int, bytes]:
    family = AF_INET6 if ":" in address else AF_INET
    return family, inet_pton(family, address)


def children(found: Iterable[Link], master: int) -> list[Link]:
    """The links that belong to the bridge with index *master*."""
    return [link for link in found if link.master == master]
