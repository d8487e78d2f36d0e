"""Points in time as people type them: ``--since``, ``--until``, ``until=`` filters, and Go's durations.

Two grammars are in use and they differ on purpose, as Podman's do:

* ``events`` and ``logs`` (podman-events(1), podman-logs(1)): a time without a zone is UTC; a duration counts back from
  now for *since* and forward for *until*.
* the ``until`` filter of ``ps`` and the prune verbs (containers/common ``pkg/timetype``): a time without a zone is
  local time; a duration always counts back.

Both take RFC 3339 times with or without fraction, clock or zone, and Unix seconds with a fraction.
"""

from __future__ import annotations

import time

from wherry.errors import InvalidArgument
from wherry.model.timestamps import SECOND, parse_ns

#: Units of a Go duration (``time.ParseDuration``) in ns; both signs for micro are accepted.
_UNITS = {
    "ns": 1, "us": 1_000, "µs": 1_000, "μs": 1_000, "ms": 1_000_000,
    "s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND,
}
_DIGITS = frozenset("0123456789")


def parse_range(since: str = "", until: str = "", *, now: int = 0) -> tuple[int, int]:
    """Both ends of a time range of ``events`` or ``logs`` in ns since the epoch; 0 for an end that is not given.

    *now* stands in for the wall clock.  Raises :class:`InvalidArgument`.
    """
    now = now or time.time_ns()
    start = end = 0
    if since:
        start = _parse(since, 0, now, -1, f"unable to convert since time of {since}")
    if until:
        end = _parse(until, 0, now, 1, f"unable to convert until time of {until}")
    return start, end


def parse_until(text: str, *, now: int = 0) -> int:
    """The moment an ``until=`` filter names, in ns since the epoch. Raises :class:`InvalidArgument`."""
    now = now or time.time_ns()
    offset = time.localtime(now // SECOND).tm_gmtoff
    return _parse(text, offset, now, -1, f"failed to parse {text!r} as a time or a duration")


def parse_duration(text: str) -> int:
    """ns of a Go duration such as ``1h30m``, ``1.5s`` or ``-10ms``. Raises :class:`InvalidArgument`."""
    sign = -1 if text[:1] == "-" else 1
    rest = text[1:] if text[:1] in ("-", "+") else text
    if rest == "0":
        return 0
    if not rest:
        raise InvalidArgument(f'time: invalid duration "{text}"')
    total = 0
    while rest:
        number, rest = _leading(rest, _DIGITS | {"."})
        whole, _, fraction = number.partition(".")
        unit = ""
        while rest and rest[0] not in _DIGITS and rest[0] != ".":
            unit += rest[0]
            rest = rest[1:]
        if not (whole or fraction) or "." in fraction:
            raise InvalidArgument(f'time: invalid duration "{text}"')
        if unit not in _UNITS:
            what = f'unknown unit "{unit}" in' if unit else "missing unit in"
            raise InvalidArgument(f'time: {what} duration "{text}"')
        scale = _UNITS[unit]
        total += int(whole or "0") * scale
        total += int(fraction or "0") * scale // 10 ** len(fraction)
    return sign * total


def _leading(text: str, characters: frozenset[str]) -> tuple[str, str]:
    """Split *text* after its longest beginning made of *characters*."""
    end = 0
    while end < len(text) and text[end] in characters:
        end += 1
    return text[:end], text[end:]


def _parse(text: str, offset: int, now: int, direction: int, complaint: str) -> int:
    """ns of *text*; *offset* seconds east of UTC is meant where no zone is written."""
    moment = _moment(text, offset)
    if moment is None:
        moment = _unix_seconds(text)
    if moment is not None:
        return moment
    try:
        return now + direction * parse_duration(text)
    except InvalidArgument:
        raise InvalidArgument(f"{complaint}: unable to interpret time value") from None


def _moment(text: str, offset: int) -> int | None:
    """ns of a date, with or without clock and zone; None when *text* is not of that form."""
    date, rest = text[:10], text[10:]
    if len(date) != 10 or date[4] != "-" or date[7] != "-":
        return None
    clock, zone = rest, ""
    if clock[-1:] in ("Z", "z"):
        clock, zone = clock[:-1], "Z"
    elif clock[-6:-5] in ("+", "-") and clock[-3:-2] == ":":
        clock, zone = clock[:-6], clock[-6:]
    if clock:
        if clock[0] != "T":
            return None
        parts = clock[1:].split(":")
        if len(parts) > 3 or len(parts[0]) != 2:
            return None
        clock = ":".join(parts + ["00"] * (3 - len(parts)))
    try:
        moment = parse_ns(f"{date}T{clock or '00:00:00'}{zone or 'Z'}")
    except ValueError:
        return None
    return moment if zone else moment - offset * SECOND


def _unix_seconds(text: str) -> int | None:
    """ns of decimal seconds; digits beyond the ninth of the fraction are dropped. None when it is not a number."""
    sign = -1 if text[:1] == "-" else 1
    whole, _, fraction = (text[1:] if text[:1] in ("-", "+") else text).partition(".")
    if not _DIGITS.issuperset(whole + fraction) or not whole + fraction:
        return None
    return sign * (int(whole or "0") * SECOND + int(fraction[:9].ljust(9, "0")))


def format_duration(ns: int) -> str:
    """A duration as Go's ``time.Duration`` prints it: ``1h2m3.5s``, ``184.337823ms``, ``0s``."""
    if ns < 0:
        return "-" + format_duration(-ns)
    if ns < 1_000_000_000:
        for unit, size in (("ms", 1_000_000), ("µs", 1000)):
            if ns >= size:
                return _decimal(ns, size) + unit
        return f"{ns}ns" if ns else "0s"
    minutes, rest = divmod(ns, 60_000_000_000)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return head + _decimal(rest, 1_000_000_000) + "s"


def _decimal(value: int, unit: int) -> str:
    whole, rest = divmod(value, unit)
    digits = len(str(unit)) - 1
    return f"{whole}.{rest:0{digits}d}".rstrip("0").rstrip(".")
