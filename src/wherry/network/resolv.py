"""The text of a container's /etc/resolv.conf (containers/common ``libnetwork/resolvconf``)."""

from __future__ import annotations

from wherry.sys.files import try_read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

HOST_FILE = "/etc/resolv.conf"
#: The real servers behind systemd-resolved's stub on 127.0.0.53.
RESOLVED_FILE = "/run/systemd/resolve/resolv.conf"
STUB = "127.0.0.53"
FALLBACK_IPV4 = ("8.8.8.8", "8.8.4.4")
FALLBACK_IPV6 = ("2001:4860:4860::8888", "2001:4860:4860::8844")


def resolv_text(
    *,
    config: tuple[Sequence[str], Sequence[str], Sequence[str]],
    network_servers: Sequence[str],
    network_search: Sequence[str],
    private_namespace: bool,
    has_ipv6: bool,
    host_text: str | None = None,
) -> str:
    """The file. *config* is what the user asked for: (servers, search domains, options).

    Servers: the user's, else those of the networks (with DNS), else the host's; search domains likewise.  In a
    private network namespace the host's loopback servers cannot be reached and are dropped; when none is left, public
    ones are used as Podman does.
    *host_text* replaces reading the host's file (tests).
    """
    wanted_servers, wanted_search, wanted_options = config
    text = host_text if host_text is not None else read_host_file()
    servers, search, options = parse(text)
    if wanted_servers:
        servers = list(wanted_servers)
    elif network_servers:
        servers = list(network_servers)
    elif private_namespace:
        servers = [address for address in servers if usable(address, has_ipv6)]
        if not servers:
            servers = list(FALLBACK_IPV4) + (list(FALLBACK_IPV6) if has_ipv6 else [])
    search = list(wanted_search) or [*network_search, *search]
    if "." in wanted_search:
        search = []
    lines = []
    if search:
        lines.append("search " + " ".join(dict.fromkeys(search)))
    lines += [f"nameserver {address}" for address in dict.fromkeys(servers)]
    if wanted_options or options:
        lines.append("options " + " ".join(wanted_options or options))
    return "".join(line + "\n" for line in lines)


def read_host_file() -> str:
    """The host's file, or systemd-resolved's real one when the host's only names its stub."""
    text = try_read_text(HOST_FILE) or ""
    servers = parse(text)[0]
    if servers and all(address == STUB for address in servers):
        return try_read_text(RESOLVED_FILE) or text
    return text


def parse(text: str) -> tuple[list[str], list[str], list[str]]:
    """(servers, search domains, options) of a resolv.conf; the last search line counts (resolv.conf(5))."""
    servers: list[str] = []
    search: list[str] = []
    options: list[str] = []
    for line in text.splitlines():
        words = line.partition("#")[0].partition(";")[0].split()
        if len(words) < 2:
            continue
        if words[0] == "nameserver":
            servers.append(words[1])
        elif words[0] in ("search", "domain"):
            search = words[1:]
        elif words[0] == "options":
            options += words[1:]
    return servers, search, options


def usable(address: str, has_ipv6: bool) -> bool:
    """Can a server be reached from a private network namespace? Loopback and link-local ones cannot."""
    if ":" in address:
        return has_ipv6 and address != "::1" and not address.lower().startswith("fe80") and "%" not in address
    return not address.startswith("127.")
