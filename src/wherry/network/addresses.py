"""IP addresses as integers, without importing :mod:`ipaddress` (5 ms)."""

from __future__ import annotations

from _socket import AF_INET, AF_INET6, inet_ntop, inet_pton

from wherry.errors import InvalidArgument
from wherry.model.record import Record


class Cidr(Record):
    """A subnet: first address as an integer, prefix length, address width in bits (32 or 128)."""

    base: int = 0
    length: int = 0
    width: int = 32

    @property
    def last(self) -> int:
        return self.base | ((1 << (self.width - self.length)) - 1)

    def contains(self, address: int) -> bool:
        return self.base <= address <= self.last

    def __str__(self) -> str:
        return f"{to_text(self.base, self.width)}/{self.length}"


def parse_address(text: str) -> tuple[int, int]:
    """(integer, width) of an address. Raises ``InvalidArgument``."""
    for family, width in ((AF_INET, 32), (AF_INET6, 128)):
        try:
            return int.from_bytes(inet_pton(family, text), "big"), width
        except (OSError, ValueError):
            continue
    raise InvalidArgument(f"invalid IP address {text!r}: invalid argument")


def is_address(text: str) -> bool:
    """Is this an IPv4 or IPv6 address?"""
    try:
        parse_address(text)
    except InvalidArgument:
        return False
    return True


def parse_cidr(text: str) -> Cidr:
    """A subnet written ``address/length``; host bits are cleared. Raises ``InvalidArgument``."""
    address, _slash, length_text = text.partition("/")
    number, width = parse_address(address)
    if not length_text.isdigit() or int(length_text) > width:
        raise InvalidArgument(f"invalid CIDR address: {text}: invalid argument")
    length = int(length_text)
    mask = ((1 << length) - 1) << (width - length)
    return Cidr(base=number & mask, length=length, width=width)


def to_text(number: int, width: int) -> str:
    return inet_ntop(AF_INET if width == 32 else AF_INET6, number.to_bytes(width // 8, "big"))


def first_host(subnet: str) -> str:
    """The first usable address, by custom the gateway's."""
    cidr = parse_cidr(subnet)
    return to_text(cidr.base + 1, cidr.width)
