"""``--network``, ``--dns``, ``--add-host`` and their companions (podman-run(1) "Network Options")."""

from __future__ import annotations

from wherry.errors import InvalidArgument
from wherry.model.network import NetworkOptions
from wherry.spec.addresses import ip, mac
from wherry.spec.container_spec import DEFAULT_NETWORK, NetworkRequest
from wherry.spec.parse_values import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

#: names a network cannot have because they are modes
RESERVED = ("bridge", "slirp4netns", "pasta", "pod", "none", "default", "private", "path", "container", "host", "ns")
_PLAIN_MODES = {"": "private", "default": "private", "private": "private", "pod": "pod", "none": "none", "host": "host"}
_DOMAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


def network(texts: Sequence[str]) -> NetworkRequest:
    """The words of ``--network``: a mode, or networks with options ``NAME:alias=..,ip=..,mac=..``, repeated."""
    first = texts[0] if texts else ""
    mode = _PLAIN_MODES.get(first)
    networks: dict[str, NetworkOptions] = {}
    options: dict[str, Sequence[str]] = {}
    name, colon, rest = first.partition(":")
    if mode is None:
        if name in ("slirp4netns", "pasta"):
            mode = name
            if colon:
                options[name] = rest.split(",")
        elif colon and name in ("ns", "container"):
            mode = first
            if not rest:
                kind = "path" if name == "ns" else name
                raise InvalidArgument(f"invalid config provided: namespace mode {kind} requires a value")
        elif name == "bridge":
            mode = "bridge"
            networks[DEFAULT_NETWORK] = attachment(rest)
        else:
            mode = "bridge"
            networks.update(_named(first, name, rest, bool(colon)))
    _more_networks(texts[1:], mode, networks)
    return NetworkRequest(mode=mode, networks=networks, options=options)


def _named(text: str, name: str, rest: str, options: bool) -> dict[str, NetworkOptions]:
    if not options:
        return {part: NetworkOptions() for part in text.split(",")}     # the old way to name several
    if not name:
        raise InvalidArgument("network name cannot be empty")
    return {name: _named_attachment(name, rest)}


def _more_networks(texts: Sequence[str], mode: str, networks: dict[str, NetworkOptions]) -> None:
    if not texts:
        return
    if mode != "bridge":
        shown = mode.partition(":")[0]
        shown = "path" if shown == "ns" else shown
        raise InvalidArgument(
            f"cannot set multiple networks without bridge network mode, selected mode {shown}: invalid argument"
        )
    for text in texts:
        name, _, rest = text.partition(":")
        if not name:
            raise InvalidArgument("network name cannot be empty: invalid argument")
        if name in RESERVED:
            raise InvalidArgument(
                f"can only set extra network names, selected mode {name} conflicts with bridge: invalid argument"
            )
        networks[name] = _named_attachment(name, rest)


def _named_attachment(name: str, text: str) -> NetworkOptions:
    try:
        return attachment(text)
    except InvalidArgument as error:
        raise InvalidArgument(f"invalid option for network {name}: {error.message}") from None


def attachment(text: str) -> NetworkOptions:
    """The options behind a network's name: ip, ip6, mac, alias, interface_name; others go to the network's driver."""
    addresses: list[str] = []
    aliases: list[str] = []
    options: dict[str, str] = {}
    hardware = interface = ""
    for word in text.split(",") if text else ():
        key, _, value = word.partition("=")
        if key in ("ip", "ip6"):
            address = ip(value)
            if not address:
                raise InvalidArgument(f"invalid ip address {quote(value)}")
            addresses.append(address)
        elif key == "mac":
            hardware = mac(value)
        elif key == "alias":
            if not value:
                raise InvalidArgument("alias cannot be empty")
            aliases.append(value)
        elif key == "interface_name":
            if not value:
                raise InvalidArgument("interface_name cannot be empty")
            interface = value
        else:
            options[key] = value
    return NetworkOptions(
        static_ips=addresses, aliases=aliases, static_mac=hardware, interface_name=interface, options=options
    )


def address(text: str) -> str:
    """``--ip`` and ``--ip6``."""
    value = ip(text)
    if not value:
        raise InvalidArgument(f"{quote(text)} is not an ip address")
    return value


def hardware_address(text: str) -> str:
    """``--mac-address``; empty stays empty."""
    return mac(text) if text else ""


def dns(texts: Sequence[str]) -> list[str]:
    """``--dns``: addresses, or the single word ``none`` for the image's own resolv.conf."""
    out = []
    for text in texts:
        if text == "none":
            if len(texts) > 1:
                raise InvalidArgument("none is not allowed to be specified with other DNS ip addresses")
            return ["none"]
        value = ip(text)
        if not value:
            raise InvalidArgument(f"{text} is not an ip address")
        out.append(value)
    return out


def dns_search(texts: Sequence[str]) -> list[str]:
    """``--dns-search``: domains, or the single word ``.`` for none."""
    for text in texts:
        if text == ".":
            if len(texts) > 1:
                raise InvalidArgument("cannot pass additional search domains when also specifying '.'")
        elif not _is_domain(text):
            raise InvalidArgument(f"{text} is not a valid domain")
    return list(texts)


def _is_domain(text: str) -> bool:
    """Labels of letters, digits and inner hyphens, joined by dots; at least one letter, less than 255 in all."""
    text = text.rstrip().removesuffix(".")
    if len(text) >= 255 or _LETTERS.isdisjoint(text):
        return False
    for label in text.split("."):
        if not label or label[0] == "-" or label[-1] == "-" or not _DOMAIN.issuperset(label.replace("-", "")):
            return False
    return True


def hosts(texts: Sequence[str]) -> list[str]:
    """``--add-host``: ``name[;name...]:ip`` where ip may be ``host-gateway``."""
    for text in texts:
        names, colon, target = text.partition(":")
        if not colon or not names:
            raise InvalidArgument(f"bad format for add-host: {quote(text)}")
        if "" in names.split(";"):
            raise InvalidArgument(f"hostname in add-host {quote(text)} is empty")
        if target != "host-gateway" and not ip(target.strip()):
            raise InvalidArgument(f"invalid IP address in add-host: {quote(target)}")
    return list(texts)
