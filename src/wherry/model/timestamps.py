"""Points in time as RFC 3339 text and as integer nanoseconds since the epoch (UTC).

Records keep the text form Go writes (``2026-11-21T21:19:47.7480061Z``: up to nine fractional digits, trailing zeros
trimmed); code computes with the integers.  Floats never appear: they cannot hold nanoseconds.
"""

from __future__ import annotations

import time

#: Go's zero time, what unset timestamps are written as.
ZERO = "0001-01-01T00:00:00Z"
SECOND = 1_000_000_000

_DAYS_BEFORE_MONTH = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334)


def now_ns() -> int:
    """Wall clock, ns since the epoch."""
    return time.time_ns()


def now() -> str:
    """Wall clock as RFC 3339 text in UTC."""
    return format_ns(time.time_ns())


def format_ns(stamp: int, *, digits: int = -1, local: bool = False) -> str:
    """RFC 3339 text of *stamp* ns; ``digits`` fixes the number of fractional digits (-1: as many as needed).

    ``local=True`` writes local time with its offset instead of UTC with ``Z``.
    """
    seconds, rest = divmod(stamp, SECOND)
    if local:
        t = time.localtime(seconds)
        offset = t.tm_gmtoff // 60
        zone = f"{'+' if offset >= 0 else '-'}{abs(offset) // 60:02d}:{abs(offset) % 60:02d}"
    else:
        t = time.gmtime(seconds)
        zone = "Z"
    fraction = f"{rest:09d}"
    fraction = fraction.rstrip("0") if digits < 0 else fraction[:digits]
    text = f"{t.tm_year:04d}-{t.tm_mon:02d}-{t.tm_mday:02d}T{t.tm_hour:02d}:{t.tm_min:02d}:{t.tm_sec:02d}"
    return f"{text}.{fraction}{zone}" if fraction else text + zone


def parse_ns(text: str) -> int:
    """ns since the epoch of RFC 3339 *text*; any offset is accepted. Raises :class:`ValueError`.

    Go's zero time gives 0 rather than a large negative number, so that "unset" is falsy.
    """
    if text == ZERO or not text:
        return 0
    try:
        year, month, day = int(text[0:4]), int(text[5:7]), int(text[8:10])
        hour, minute, second = int(text[11:13]), int(text[14:16]), int(text[17:19])
        if text[4] != "-" or text[7] != "-" or text[10] not in "Tt " or text[13] != ":" or text[16] != ":":
            raise ValueError(text)
        rest = text[19:]
        fraction = 0
        if rest.startswith((".", ",")):
            end = 1
            while end < len(rest) and rest[end].isdigit():
                end += 1
            fraction = int(rest[1:end][:9].ljust(9, "0"))
            rest = rest[end:]
        offset = 0
        if rest not in ("Z", "z"):
            if len(rest) != 6 or rest[0] not in "+-" or rest[3] != ":":
                raise ValueError(text)
            offset = (int(rest[1:3]) * 60 + int(rest[4:6])) * (60 if rest[0] == "+" else -60)
    except (ValueError, IndexError):
        raise ValueError(f"{text!r} is not an RFC 3339 time") from None
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 61):
        raise ValueError(f"{text!r} is not an RFC 3339 time")
    return (_days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset) * SECOND + fraction


def _days(year: int, month: int, day: int) -> int:
    """Days from 1970-01-01 to a date of the proleptic Gregorian calendar."""
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    before = year - 1
    days = before * 365 + before // 4 - before // 100 + before // 400 - 719162
    return days + _DAYS_BEFORE_MONTH[month - 1] + (1 if leap and month > 2 else 0) + day - 1
