"""The text of a container's /etc/hosts (containers/common ``libnetwork/etchosts``)."""

from __future__ import annotations

from wherry.errors import WherryError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from wherry.model.network import NetworkStatus

#: Names of the host as containers see it.
HOST_NAMES = ("host.containers.internal", "host.docker.internal")
LOCALHOST = (("127.0.0.1", "localhost"), ("::1", "localhost"))


def hosts_text(
    *,
    base: str,
    additions: Sequence[str],
    names: Sequence[str],
    status: Mapping[str, NetworkStatus],
    network_mode: str,
    host: str,
) -> str:
    """The file: *additions* first, then the base file's lines, the host's names and the container's own.

    *additions* are ``--add-host`` words (``name[;name...]:ip``, where ip may be ``host-gateway``); *names* the
    container's own; *host* the address of ``host.containers.internal`` (empty or ``none``: no entry).  A name given
    explicitly is not added again.  Raises ``WherryError`` when ``host-gateway`` is wanted and there is none.
    """
    address = "" if host == "none" else host
    final = bool(status) or network_mode != "bridge"
    lines = list(parse_additions(additions, "127.0.0.1" if network_mode == "host" else address, final))
    known = {name for _address, entry in lines for name in entry.split()}
    lines += _base_entries(base, known)
    have = {name for _address, entry in lines for name in entry.split()}
    lines += [(address, name) for address, name in LOCALHOST if name not in have]
    if address and not set(HOST_NAMES) <= known:
        lines.append((address, " ".join(name for name in HOST_NAMES if name not in known)))
    own = [name for name in dict.fromkeys(names) if name not in known]
    if own:
        lines += [(address, " ".join(own)) for address in own_addresses(status, network_mode)]
    return "".join(f"{address}\t{entry}\n" for address, entry in lines)


def parse_additions(additions: Iterable[str], host: str, final: bool = True) -> Iterable[tuple[str, str]]:
    """(address, names) of each ``--add-host`` word; with *final*, ``host-gateway`` must have an address."""
    for word in additions:
        names, _colon, address = word.partition(":")
        if address == "host-gateway":
            address = host
            if final and not host:
                raise WherryError(
                    f'failed to create new hosts file: unable to replace "host-gateway" of host entry "{word}": '
                    "host containers internal IP address is empty"
                )
        if address:
            yield address, names.replace(";", " ")


def _base_entries(base: str, known: set[str]) -> list[tuple[str, str]]:
    """Entries of the base file without comments, without names that are given explicitly."""
    found = []
    for line in base.splitlines():
        words = line.partition("#")[0].split()
        names = [name for name in words[1:] if name not in known and name not in HOST_NAMES]
        if names:
            found.append((words[0], " ".join(names)))
    return found


def own_addresses(status: Mapping[str, NetworkStatus], network_mode: str) -> list[str]:
    """The container's addresses; loopback without a network, nothing where it shares a namespace."""
    found = [
        address.ipnet.partition("/")[0]
        for block in status.values()
        for interface in block.interfaces.values()
        for address in interface.subnets
    ]
    return found or (["127.0.0.1"] if network_mode == "none" else [])


def gateway(status: Mapping[str, NetworkStatus]) -> str:
    """The first gateway, an IPv4 one if there is any; empty without."""
    found = [
        address.gateway
        for block in status.values()
        for interface in block.interfaces.values()
        for address in interface.subnets if address.gateway
    ]
    return next((address for address in found if ":" not in address), found[0] if found else "")


def local_address() -> str:
    """An address of the host that is not loopback's: the first IPv4 one, else the first IPv6 one; empty without."""
    from wherry.sys import rtnetlink
    from wherry.sys.netlink import Netlink

    with Netlink() as netlink:
        found = [text.partition("/")[0] for text in rtnetlink.subnets(netlink)]
    four = [address for address in found if ":" not in address and not address.startswith("127.")]
    six = [address for address in found if ":" in address and address != "::1" and not address.startswith("fe80")]
    return next(iter([*four, *six]), "")
