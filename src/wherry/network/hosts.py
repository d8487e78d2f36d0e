"""The text of a container's /etc/hosts (containers/common ``libnetwork/etchosts``)."""

from __future__ import annotations

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
    internal_ip: str,
) -> str:
    """The file: *additions* first, then the base file's lines, the host's names and the container's own.

    *additions* are ``--add-host`` words (``name[;name...]:ip``, where ip may be ``host-gateway``); *names* the
    container's own; *internal_ip* the configured address for ``host.containers.internal`` (``none``: no entry).  A name
    given explicitly is not added again.
    """
    gateway = internal_ip if internal_ip not in ("", "none") else host_address(status, network_mode)
    lines = list(parse_additions(additions, gateway))
    known = {name for _address, entry in lines for name in entry.split()}
    lines += _base_entries(base, known)
    have = {name for _address, entry in lines for name in entry.split()}
    lines += [(address, name) for address, name in LOCALHOST if name not in have]
    if gateway and internal_ip != "none" and not set(HOST_NAMES) <= known:
        lines.append((gateway, " ".join(name for name in HOST_NAMES if name not in known)))
    own = [name for name in dict.fromkeys(names) if name not in known]
    if own:
        lines += [(address, " ".join(own)) for address in own_addresses(status, network_mode)]
    return "".join(f"{address}\t{entry}\n" for address, entry in lines)


def parse_additions(additions: Iterable[str], gateway: str) -> Iterable[tuple[str, str]]:
    """(address, names) of each ``--add-host`` word."""
    for word in additions:
        names, _colon, address = word.partition(":")
        if address == "host-gateway":
            address = gateway
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
    """The container's addresses; loopback when it has none of its own."""
    found = [
        address.ipnet.partition("/")[0]
        for block in status.values()
        for interface in block.interfaces.values()
        for address in interface.subnets
    ]
    if found:
        return found
    return ["127.0.0.1"] if network_mode in ("none", "private", "host", "") else []


def host_address(status: Mapping[str, NetworkStatus], network_mode: str) -> str:
    """How the container reaches the host: through its first gateway, or loopback when it shares the host's network."""
    for block in status.values():
        for interface in block.interfaces.values():
            for address in interface.subnets:
                if address.gateway:
                    return address.gateway
    return "127.0.0.1" if network_mode == "host" else ""
