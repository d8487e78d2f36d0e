"""Conversion of flag values other than plain text, with Go's rules and Go's error texts (strconv, encoding/csv)."""

from __future__ import annotations

from wherry.cli.flags import Flag, UsageError, bad_value
from wherry.cli.goquote import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SIGNED = {"int": 64, "int64": 64, "int32": 32, "count": 64}
_UNSIGNED = {"uint": 64, "uint64": 64}
_BASES = {"0x": 16, "0X": 16, "0o": 8, "0O": 8, "0b": 2, "0B": 2}
_DIGITS = {2: "01", 8: "01234567", 10: "0123456789", 16: "0123456789abcdefABCDEF"}
#: Units of a Go duration, in nanoseconds.
UNITS = {
    "ns": 1, "us": 1_000, "µs": 1_000, "μs": 1_000, "ms": 1_000_000,
    "s": 1_000_000_000, "m": 60_000_000_000, "h": 3_600_000_000_000,
}


def convert(flag: Flag, text: str) -> Any:
    """The value of *text* for *flag*; a list when the flag splits at commas. Raises :class:`UsageError`."""
    if flag.many and flag.split:
        try:
            fields = split_csv(text)
        except ValueError as error:
            raise bad_value(flag, text, str(error)) from None
        return fields if flag.kind == "string" else [_scalar(flag, field.strip(), text) for field in fields]
    return _scalar(flag, text, text)


def _scalar(flag: Flag, text: str, whole: str) -> Any:
    kind = flag.kind
    try:
        if kind in _SIGNED:
            return parse_int(text, _SIGNED[kind])
        if kind in _UNSIGNED:
            return parse_uint(text, _UNSIGNED[kind])
        if kind == "float64":
            return parse_float(text)
        if kind == "duration":
            return parse_duration(text)
        if kind == "ip":
            return parse_ip(text)
        if kind == "bool":
            return parse_bool(text)
    except ValueError as error:
        raise bad_value(flag, whole, str(error)) from None
    return text


def parse_bool(text: str) -> bool:
    """``strconv.ParseBool``. Raises :class:`ValueError` with Go's text."""
    if text in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if text in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise ValueError(f"strconv.ParseBool: parsing {quote(text)}: invalid syntax")


def parse_uint(text: str, bits: int = 64, *, function: str = "ParseUint") -> int:
    """``strconv.ParseUint`` with base 0: prefixes 0x 0o 0b 0, underscores between digits."""
    value = _digits(text)
    if value is None:
        raise ValueError(f"strconv.{function}: parsing {quote(text)}: invalid syntax")
    if value >= 1 << bits:
        raise ValueError(f"strconv.{function}: parsing {quote(text)}: value out of range")
    return value


def parse_int(text: str, bits: int = 64) -> int:
    """``strconv.ParseInt`` with base 0."""
    sign = text[:1]
    value = _digits(text[1:] if sign in ("+", "-") and sign else text)
    if value is None:
        raise ValueError(f"strconv.ParseInt: parsing {quote(text)}: invalid syntax")
    limit = 1 << bits - 1
    if value >= limit and not (sign == "-" and value == limit):
        raise ValueError(f"strconv.ParseInt: parsing {quote(text)}: value out of range")
    return -value if sign == "-" else value


def _digits(text: str) -> int | None:
    base = 10
    body = text
    if text[:1] == "0" and len(text) > 1:
        base = _BASES.get(text[:2], 8)
        body = text[2:] if text[:2] in _BASES else text[1:]
    elif text[:1] == "_":
        return None
    if "_" in body:
        if body.endswith("_") or "__" in body or (body.startswith("_") and base == 10):
            return None
        body = body.replace("_", "")
    if not body or any(char not in _DIGITS[base] for char in body):
        return None
    return int(body, base)


def parse_float(text: str) -> float:
    """``strconv.ParseFloat``."""
    bare = text.lstrip("+-").lower()
    hexadecimal = bare.startswith("0x")
    plain = hexadecimal or (all(char in "0123456789.e+-_" for char in bare) and bare[:1] != "e")
    if len(text) - len(bare) > 1 or not (plain or bare in ("inf", "infinity", "nan")):
        raise ValueError(f"strconv.ParseFloat: parsing {quote(text)}: invalid syntax")
    try:
        if hexadecimal and "p" not in bare:
            raise ValueError(text)
        value = float.fromhex(text) if hexadecimal else float(text)
    except OverflowError:
        value = float("inf")
    except ValueError:
        raise ValueError(f"strconv.ParseFloat: parsing {quote(text)}: invalid syntax") from None
    if plain and value in (float("inf"), float("-inf")):
        raise ValueError(f"strconv.ParseFloat: parsing {quote(text)}: value out of range")
    return value


def parse_duration(text: str) -> int:
    """Nanoseconds of a Go duration such as ``1h15m30.918s``."""
    rest = text
    negative = rest[:1] == "-"
    if rest[:1] in ("+", "-") and rest:
        rest = rest[1:]
    if rest == "0":
        return 0
    if not rest:
        raise ValueError(f"time: invalid duration {quote(text)}")
    total = 0
    while rest:
        end = 0
        while end < len(rest) and rest[end] in "0123456789.":
            end += 1
        number, rest = rest[:end], rest[end:]
        whole, _dot, fraction = number.partition(".")
        if not (whole or fraction) or "." in fraction:
            raise ValueError(f"time: invalid duration {quote(text)}")
        end = 0
        while end < len(rest) and rest[end] not in "0123456789.":
            end += 1
        unit, rest = rest[:end], rest[end:]
        if not unit:
            raise ValueError(f"time: missing unit in duration {quote(text)}")
        scale = UNITS.get(unit)
        if scale is None:
            raise ValueError(f"time: unknown unit {quote(unit)} in duration {quote(text)}")
        total += int(whole or "0") * scale
        if fraction:
            total += int(fraction) * scale // 10 ** len(fraction)
        if total > (1 << 63) - (0 if negative else 1):
            raise ValueError(f"time: invalid duration {quote(text)}")
    return -total if negative else total


def parse_ip(text: str) -> str:
    """An IPv4 or IPv6 address, as text in its usual form."""
    import _socket

    address = text.strip()
    for family in (_socket.AF_INET, _socket.AF_INET6):
        try:
            return _socket.inet_ntop(family, _socket.inet_pton(family, address))
        except OSError:
            continue
    raise ValueError(f"failed to parse IP: {quote(text)}")


def split_csv(text: str) -> list[str]:
    """The fields of one CSV record, quoted as RFC 4180; raises :class:`ValueError` with encoding/csv's text.

    An empty text is no field at all, as in pflag.
    """
    if not text:
        return []
    fields: list[str] = []
    index = 0
    size = len(text)
    while True:
        if index < size and text[index] == '"':
            field, index = _quoted_field(text, index + 1)
        else:
            end = text.find(",", index)
            end = size if end < 0 else end
            field = text[index:end]
            bad = field.find('"')
            if bad >= 0:
                column = len(text[:index + bad].encode()) + 1
                raise ValueError(f'parse error on line 1, column {column}: bare " in non-quoted-field')
            index = end
        fields.append(field)
        if index >= size:
            return fields
        index += 1              # the comma


def _quoted_field(text: str, index: int) -> tuple[str, int]:
    """The field whose opening quote is just before *index*, and the index of what follows it."""
    out: list[str] = []
    while True:
        end = text.find('"', index)
        if end < 0:
            column = len(text.encode()) + 1
            raise ValueError(f'parse error on line 1, column {column}: extraneous or missing " in quoted-field')
        out.append(text[index:end])
        following = text[end + 1:end + 2]
        if following == '"':
            out.append('"')
            index = end + 2
        elif following in ("", ","):
            return "".join(out), end + 1
        else:
            column = len(text[:end].encode()) + 1
            raise ValueError(f'parse error on line 1, column {column}: extraneous or missing " in quoted-field')


__all__ = [
    "UsageError", "convert", "parse_bool", "parse_duration", "parse_float", "parse_int", "parse_ip", "parse_uint",
    "split_csv",
]
