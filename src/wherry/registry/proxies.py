"""Which proxy a request goes through (HTTP_PROXY, HTTPS_PROXY, NO_PROXY; the rules of Go's ``httpproxy``)."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from wherry.model.record import Record


class Proxies(Record):
    """Proxy addresses as the environment gives them; ``none`` lists the hosts reached directly."""

    http: str = ""
    https: str = ""
    none: str = ""

    @classmethod
    def from_environment(cls, variables: Mapping[str, str]) -> Proxies:
        """From HTTP_PROXY, HTTPS_PROXY and NO_PROXY, or their lower-case forms."""

        def value(name: str) -> str:
            return variables.get(name) or variables.get(name.lower()) or ""

        return cls(http=value("HTTP_PROXY"), https=value("HTTPS_PROXY"), none=value("NO_PROXY"))

    def choose(self, scheme: str, host: str, port: int) -> str:
        """URL of the proxy for *scheme*://*host*:*port*; empty for a direct connection."""
        proxy = self.https if scheme == "https" else self.http
        if not proxy or self._is_direct(host.lower().rstrip("."), port):
            return ""
        return proxy if "://" in proxy else "http://" + proxy

    def _is_direct(self, host: str, port: int) -> bool:
        address = _address(host)
        if host == "localhost" or (address is not None and address.is_loopback):
            return True
        for entry in self.none.split(","):
            pattern = entry.strip().lower()
            if pattern == "*":
                return True
            if pattern and _matches(pattern, host, port, address):
                return True
        return False


_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def _address(text: str) -> _Address | None:
    try:
        return ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return None


def _matches(pattern: str, host: str, port: int, address: _Address | None) -> bool:
    """Does one NO_PROXY entry cover the host? An address, a network, or a domain with all below it, with any port."""
    if "/" in pattern:
        try:
            return address is not None and address in ipaddress.ip_network(pattern, strict=False)
        except ValueError:
            return False
    name, colon, digits = pattern.rpartition(":")
    if colon and digits.isdigit() and (":" not in name or name.startswith("[")):
        if int(digits) != port:
            return False
        pattern = name
    wanted = _address(pattern)
    if wanted is not None:
        return wanted == address
    if address is not None:
        return False
    if pattern.startswith("*."):
        pattern = pattern[1:]
    if pattern.startswith("."):
        return host.endswith(pattern)
    return host == pattern or host.endswith("." + pattern)
