"""IP and hardware addresses as text, checked and brought to one spelling (Go's ``net.ParseIP``, ``net.ParseMAC``)."""

from __future__ import annotations

from _socket import AF_INET, AF_INET6, inet_ntop, inet_pton

from wherry.errors import InvalidArgument

_HEX = frozenset("0123456789abcdefABCDEF")
_V4_MAPPED = bytes(10) + b"\xff\xff"


def ip(text: str) -> str:
    """The canonical spelling of an IPv4 or IPv6 address without zone; an empty string when *text* is none."""
    try:
        return inet_ntop(AF_INET, inet_pton(AF_INET, text))
    except (OSError, ValueError):
        pass
    try:
        packed = inet_pton(AF_INET6, text)
    except (OSError, ValueError):
        return ""
    if packed.startswith(_V4_MAPPED):
        return inet_ntop(AF_INET, packed[12:])
    return inet_ntop(AF_INET6, packed)


def mac(text: str) -> str:
    """A hardware address as lower-case pairs joined by colons.

    Accepted are ``aa:bb:..``, ``aa-bb-..`` and ``aabb.ccdd...`` with 6, 8 or 20 bytes.  Raises
    :class:`InvalidArgument`.
    """
    for separator, width in ((":", 2), ("-", 2), (".", 4)):
        parts = text.split(separator)
        if len(parts) > 1 and all(len(part) == width and _HEX.issuperset(part) for part in parts):
            digits = "".join(parts).lower()
            if len(digits) in (12, 16, 40):
                return ":".join(digits[at:at + 2] for at in range(0, len(digits), 2))
    raise InvalidArgument(f"address {text}: invalid MAC address")
