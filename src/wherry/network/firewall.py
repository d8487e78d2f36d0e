"""The native back end's firewall as nft(8) scripts: text only, nothing is run here.

One table ``inet wherry`` with a fixed set of rules over sets and maps.  A network is a few elements, a published port
one: the number of rules a packet meets does not grow with the number of containers.  The table is shared by all engines
of a network namespace, so elements are added and taken one by one and the rules can be written anew at any time.

What the rules do is what netavark's iptables driver does: containers' traffic to elsewhere leaves with the host's
address, published ports reach containers from outside, from the host, from localhost and from containers, and isolated
networks do not reach each other.
"""

from __future__ import annotations

from wherry.network.addresses import parse_cidr
from wherry.network.ports import is_local

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from wherry.model.network import Network, PortMapping
    from wherry.network.protocol import AttachRequest

TABLE = "wherry"
#: The chain whose rules are counted to see whether they are all there.
WITNESS = "postrouting"

_SETS = """\
add table inet wherry
add set inet wherry bridges { type ifname; }
add set inet wherry same { type ifname . ifname; }
add set inet wherry isolated { type ifname; }
add set inet wherry strict { type ifname; }
add set inet wherry internal { type ifname; }
add set inet wherry subnets4 { type ipv4_addr; flags interval; }
add set inet wherry subnets6 { type ipv6_addr; flags interval; }
add set inet wherry local4 { type ipv4_addr . ipv4_addr; flags interval; }
add set inet wherry local6 { type ipv6_addr . ipv6_addr; flags interval; }
add map inet wherry ports4 { type inet_proto . inet_service : ipv4_addr . inet_service; }
add map inet wherry ports6 { type inet_proto . inet_service : ipv6_addr . inet_service; }
add map inet wherry addressed4 { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }
add map inet wherry addressed6 { type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service; }
add chain inet wherry published
add chain inet wherry guard { type filter hook prerouting priority raw; policy accept; }
add chain inet wherry prerouting { type nat hook prerouting priority dstnat; policy accept; }
add chain inet wherry output { type nat hook output priority -100; policy accept; }
add chain inet wherry postrouting { type nat hook postrouting priority srcnat; policy accept; }
add chain inet wherry forward { type filter hook forward priority filter; policy accept; }
"""
#: Chain -> rules.  Ports published on localhost need route_localnet on the bridge, and that needs the guard: without it
#: a container could send packets to the host's loopback addresses.
_RULES: dict[str, tuple[str, ...]] = {
    "guard": ("ip daddr 127.0.0.0/8 iifname @bridges drop",),
    "prerouting": ("fib daddr type local jump published",),
    # What is sent from ::1 elsewhere never comes back; without this rule it would be lost instead of refused.
    "output": ("ip6 daddr ::1 return", "fib daddr type local jump published"),
    "published": (
        "dnat ip to ip daddr . meta l4proto . th dport map @addressed4",
        "dnat ip to meta l4proto . th dport map @ports4",
        "dnat ip6 to ip6 daddr . meta l4proto . th dport map @addressed6",
        "dnat ip6 to meta l4proto . th dport map @ports6",
    ),
    "postrouting": (
        "ct status dnat oifname @bridges ip saddr 127.0.0.0/8 masquerade",
        "ct status dnat oifname @bridges ip saddr @subnets4 masquerade",
        "ct status dnat oifname @bridges ip6 saddr @subnets6 masquerade",
        "ip daddr 224.0.0.0/4 return",
        "ip6 daddr ff00::/8 return",
        "ip saddr . ip daddr @local4 return",
        "ip6 saddr . ip6 daddr @local6 return",
        "ip saddr @subnets4 masquerade",
        "ip6 saddr @subnets6 masquerade",
    ),
    "forward": (
        "ct state established,related accept",      # its first packet passed what follows
        "iifname . oifname @same accept",
        "iifname @internal drop",
        "oifname @internal drop",
        "iifname @isolated oifname @isolated drop",
        "iifname @strict oifname @bridges drop",
        "iifname @bridges oifname @strict drop",
    ),
}
WITNESS_RULES = len(_RULES[WITNESS])
_LONGEST_COMMENT = 127
_ALL_IPV4 = "0.0.0.0"
_ALL_IPV6 = "::"


def rules() -> str:
    """A script that makes the table, its sets and its rules; elements that are there stay."""
    lines = [_SETS]
    for chain, texts in _RULES.items():
        lines.append(f"flush chain inet {TABLE} {chain}\n")
        lines += [f"add rule inet {TABLE} {chain} {text}\n" for text in texts]
    return "".join(lines)


def network_elements(network: Network) -> list[tuple[str, str]]:
    """(set, element) of everything a bridge network needs."""
    bridge = f'"{network.network_interface}"'
    found = [("bridges", bridge), ("same", f"{bridge} . {bridge}")]
    isolate = network.options.get("isolate", "")
    if isolate == "strict":
        found.append(("strict", bridge))
    elif isolate in ("true", "1", "t", "T", "TRUE", "True"):
        found.append(("isolated", bridge))
    if network.internal:
        return [*found, ("internal", bridge)]
    for subnet in network.subnets:
        text = str(parse_cidr(subnet.subnet))
        version = 6 if ":" in text else 4
        found += [(f"subnets{version}", text), (f"local{version}", f"{text} . {text}")]
    return found


def targets(request: AttachRequest, internal: Iterable[str] = ()) -> dict[int, str]:
    """Where published ports lead: IP version -> the container's first address on a network not one of *internal*."""
    first: dict[int, str] = {}
    closed = set(internal)
    for name, block in request.status.items():
        if name in closed:
            continue
        for interface in block.interfaces.values():
            for address in interface.subnets:
                plain = address.ipnet.partition("/")[0]
                first.setdefault(6 if ":" in plain else 4, plain)
    return first


def port_elements(request: AttachRequest, internal: Iterable[str] = ()) -> list[tuple[str, str, str]]:
    """(map, key, data) of each published port of an attached container, whose addresses are in ``request.status``."""
    first = targets(request, internal)
    return [
        element
        for mapping in request.port_mappings if not is_local(mapping)
        for version in _versions(mapping.host_ip)
        if version in first
        for element in _elements(mapping, version, first[version])
    ]


def _versions(host_ip: str) -> tuple[int, ...]:
    if not host_ip:
        return (4, 6)
    return (6,) if ":" in host_ip else (4,)


def _elements(mapping: PortMapping, version: int, target: str) -> Iterator[tuple[str, str, str]]:
    addressed = mapping.host_ip not in ("", _ALL_IPV4, _ALL_IPV6)
    name = f"addressed{version}" if addressed else f"ports{version}"
    prefix = f"{mapping.host_ip} . " if addressed else ""
    for protocol in mapping.protocol.split(","):
        for offset in range(mapping.range or 1):
            key = f"{prefix}{protocol} . {mapping.host_port + offset}"
            yield name, key, f"{target} . {mapping.container_port + offset}"


def flush_subnets() -> str:
    """A script that empties the sets of subnets, whose elements must not overlap."""
    return "".join([f"flush set inet {TABLE} {name}\n" for name in ("subnets4", "subnets6", "local4", "local6")])


def add(elements: Iterable[tuple[str, str]], owner: str = "") -> str:
    """A script that adds set elements, with *owner* as comment; those that are there are fine."""
    note = f' comment "{owner[:_LONGEST_COMMENT]}"' if owner else ""
    return "".join([f"add element inet {TABLE} {name} {{ {element}{note} }}\n" for name, element in elements])


def remove(elements: Iterable[tuple[str, str]]) -> str:
    """A script that takes set elements out; adding each first makes those that are gone fine."""
    return "".join(
        [
            f"add element inet {TABLE} {name} {{ {element} }}\n"
            f"delete element inet {TABLE} {name} {{ {element} }}\n"
            for name, element in elements
        ]
    )


def add_ports(ports: Iterable[tuple[str, str, str]], owner: str = "") -> str:
    """A script that adds map elements, with *owner* as comment; one that is there with the same data is fine."""
    note = f' comment "{owner}"' if owner else ""
    return add((name, f"{key}{note} : {data}") for name, key, data in ports)


def remove_ports(ports: Iterable[tuple[str, str, str]]) -> str:
    """A script that takes map elements out. It fails as a whole if one of them now leads elsewhere."""
    return "".join(
        [
            f"add element inet {TABLE} {name} {{ {key} : {data} }}\ndelete element inet {TABLE} {name} {{ {key} }}\n"
            for name, key, data in ports
        ]
    )


def clear_port(port: tuple[str, str, str]) -> str:
    """A script that removes whatever a map has for the key of *port*; it fails when there is nothing."""
    return f"delete element inet {TABLE} {port[0]} {{ {port[1]} }}\n"
