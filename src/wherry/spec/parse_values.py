"""Text to numbers, sizes, durations and lists, with the rules and the words of Go's standard library and go-units.

Scripts see these messages through Podman, so they are kept to the letter: ``strconv.ParseInt: parsing "x": invalid
syntax``, ``invalid size: 'x'``, ``time: unknown unit "d" in duration "5d"``.
"""

from __future__ import annotations

from wherry.errors import InvalidArgument
from wherry.model.jsontext import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_DIGITS = frozenset("0123456789")
_NUMBER = frozenset("0123456789.+-eE")
_BINARY = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}
_DECIMAL = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "p": 10**15}
_TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_FALSE = frozenset(("0", "f", "F", "FALSE", "false", "False"))
_NANOSECONDS = {
    "ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9,
}

INT64_MAX = (1 << 63) - 1
UINT32_MAX = (1 << 32) - 1


def quote(text: str) -> str:
    """*text* in double quotes as Go's ``%q`` prints it (equal to JSON for everything people type)."""
    return dumps(text)


def _failure(function: str, text: str, why: str = "invalid syntax") -> InvalidArgument:
    return InvalidArgument(f"strconv.{function}: parsing {quote(text)}: {why}")


def integer(text: str, *, bits: int = 64, signed: bool = True, base: int = 0) -> int:
    """An integer in Go's syntax: with *base* 0 the prefixes ``0x``, ``0o``, ``0b`` and ``0`` and ``_`` are understood.

    Raises :class:`InvalidArgument` in the words of ``strconv``.
    """
    function = "ParseInt" if signed else "ParseUint"
    digits = text[1:] if signed and text[:1] in ("+", "-") else text
    if not digits or digits[0] not in _DIGITS or (base and not digits.isalnum()) or not digits.isascii():
        raise _failure(function, text)
    if base == 0 and len(digits) > 1 and digits[0] == "0" and digits[1] in "01234567_":
        digits = "0o" + digits[1:]
    try:
        value = int(digits, base)
    except ValueError:
        raise _failure(function, text) from None
    if text[0] == "-":
        value = -value
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    if not low <= value <= high:
        raise _failure(function, text, "value out of range")
    return value


def decimal(text: str) -> int:
    """A signed decimal integer (``strconv.Atoi``)."""
    try:
        return integer(text, base=10)
    except InvalidArgument as error:
        raise InvalidArgument(error.message.replace("ParseInt", "Atoi", 1)) from None


def unsigned(text: str, bits: int = 64) -> int:
    """An unsigned decimal integer of at most *bits* bits (``strconv.ParseUint(text, 10, bits)``)."""
    return integer(text, bits=bits, signed=False, base=10)


def number(text: str) -> float:
    """A finite decimal number (``strconv.ParseFloat`` without hexadecimal, infinities and NaN)."""
    if not text or not _NUMBER.issuperset(text):
        raise _failure("ParseFloat", text)
    try:
        value = float(text)
    except ValueError:
        raise _failure("ParseFloat", text) from None
    if value in (float("inf"), float("-inf")):
        raise _failure("ParseFloat", text, "value out of range")
    return value


def boolean(text: str) -> bool:
    """A truth value (``strconv.ParseBool``)."""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise _failure("ParseBool", text)


def size(text: str) -> int:
    """Bytes of a size with binary units: ``b k m g t p``, optionally ``kb`` or ``kib`` (``units.RAMInBytes``)."""
    return _size(text, _BINARY)


def size_decimal(text: str) -> int:
    """Bytes of a size with decimal units (``units.FromHumanSize``)."""
    return _size(text, _DECIMAL)


def _size(text: str, units: Mapping[str, int]) -> int:
    if text.isdecimal() and text.isascii():
        return _bytes(float(text), text)
    cut = max(map(text.rfind, "0123456789. "))
    if cut < 0:
        raise InvalidArgument(f"invalid size: '{text}'")
    digits = text[:cut] if text[cut] == " " else text[:cut + 1]
    suffix = text[cut + 1:].lower()
    value = number(digits)
    if value < 0:
        raise InvalidArgument(f"invalid size: '{text}'")
    if suffix in ("", "b"):
        return _bytes(value, text)
    unit = units.get(suffix[0])
    if unit is None or suffix[1:] not in ("", "b", "ib"):
        raise InvalidArgument(f"invalid suffix: '{suffix if len(suffix) <= 3 else text[cut + 1:]}'")
    return _bytes(value * unit, text)


def _bytes(value: float, text: str) -> int:
    if value > INT64_MAX:
        raise InvalidArgument(f"invalid size: '{text}'")
    return int(value)


def duration(text: str) -> int:
    """Nanoseconds of a duration such as ``1h30m``, ``1.5s``, ``-1ms`` or ``0`` (Go's ``time.ParseDuration``)."""
    rest = text[1:] if text[:1] in ("-", "+") else text
    if rest == "0":
        return 0
    total = 0
    if not rest:
        raise InvalidArgument(f"time: invalid duration {quote(text)}")
    while rest:
        end = 0
        while end < len(rest) and (rest[end] in _DIGITS or rest[end] == "."):
            end += 1
        figures, rest = rest[:end], rest[end:]
        whole, _, fraction = figures.partition(".")
        if not (whole or fraction) or "." in fraction:
            raise InvalidArgument(f"time: invalid duration {quote(text)}")
        end = 0
        while end < len(rest) and rest[end] not in _DIGITS and rest[end] != ".":
            end += 1
        unit, rest = rest[:end], rest[end:]
        if not unit:
            raise InvalidArgument(f"time: missing unit in duration {quote(text)}")
        if unit not in _NANOSECONDS:
            raise InvalidArgument(f"time: unknown unit {quote(unit)} in duration {quote(text)}")
        scale = _NANOSECONDS[unit]
        total += int(whole or "0") * scale
        if fraction:
            total += int(fraction) * scale // 10 ** len(fraction)
    if total > INT64_MAX:
        raise InvalidArgument(f"time: invalid duration {quote(text)}")
    return -total if text[0] == "-" else total


def split_commas(text: str) -> list[str]:
    """The fields of one line of comma-separated values: ``"a,b",c`` has two (RFC 4180, as Go's ``encoding/csv``)."""
    if '"' not in text:
        return text.split(",") if text else []
    fields: list[str] = []
    position = 0
    while True:
        if text.startswith('"', position):
            field, position = _quoted_field(text, position)
        else:
            end = text.find(",", position)
            end = len(text) if end < 0 else end
            field, position = text[position:end], end
            if '"' in field:
                raise InvalidArgument('parse error on line 1, column 1: bare " in non-quoted field')
        fields.append(field)
        if position >= len(text):
            return fields
        position += 1


def _quoted_field(text: str, start: int) -> tuple[str, int]:
    """The field whose opening quote is at *start*, and the offset of the comma (or end) behind it."""
    parts: list[str] = []
    position = start + 1
    while True:
        end = text.find('"', position)
        if end < 0:
            raise InvalidArgument('parse error on line 1, column 1: extraneous or missing " in quoted-field')
        parts.append(text[position:end])
        follows = text[end + 1:end + 2]
        if follows == '"':
            parts.append('"')
            position = end + 2
        elif follows in ("", ","):
            return "".join(parts), end + 1
        else:
            raise InvalidArgument('parse error on line 1, column 1: extraneous or missing " in quoted-field')


def object_name(text: str) -> str:
    """A container's name; Docker's clients write a slash before it."""
    return text.removeprefix("/")


def pairs(texts: list[str], message: str) -> dict[str, str]:
    """``KEY=VALUE`` words as a dictionary; the first without ``=`` raises with *message* (``{}`` is the word)."""
    out: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise InvalidArgument(message.replace("{}", text))
        out[key] = value
    return out
