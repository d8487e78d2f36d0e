"""Points in time for templates: Go's ``time.Time`` with the methods and layouts people use in ``--format``."""

from __future__ import annotations

import time

from wherry.cli.gotemplate.values import Method, NoField
from wherry.model.timestamps import SECOND, ZERO, format_ns, parse_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
#: Unix seconds of year 1, what unset times count as.
ZERO_SECONDS = -62135596800


class GoTime:
    """A point in time: ``ns`` since the epoch (0 with ``zero``: never set), shown in UTC or local time."""

    __slots__ = ("local", "ns", "zero")
    type_name = "time.Time"

    def __init__(self, ns: int, *, zero: bool = False, local: bool = False) -> None:
        self.ns = ns
        self.zero = zero
        self.local = local

    @classmethod
    def parse(cls, text: str) -> GoTime:
        """From RFC 3339 text; the empty text is the zero time. Raises :class:`ValueError`."""
        if not text or text.startswith("0001-01-01T00:00:00"):
            return cls(0, zero=True)
        return cls(parse_ns(text))

    def go_field(self, name: str) -> Any:
        if name not in METHODS:
            raise NoField(name)
        function, parameters = METHODS[name]
        return Method(name, lambda *args: function(self, *args), parameters)

    def __str__(self) -> str:
        return self.format("2006-01-02 15:04:05.999999999 -0700 MST")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GoTime) and (self.ns, self.zero) == (other.ns, other.zero)

    def __hash__(self) -> int:
        return hash((self.ns, self.zero))

    def to_json(self) -> str:
        return ZERO if self.zero else format_ns(self.ns, local=self.local)

    def seconds(self) -> int:
        return ZERO_SECONDS if self.zero else self.ns // SECOND

    def broken(self) -> time.struct_time:
        if self.zero:
            return time.struct_time((1, 1, 1, 0, 0, 0, 0, 1, 0))
        return time.localtime(self.ns // SECOND) if self.local else time.gmtime(self.ns // SECOND)

    def format(self, layout: str) -> str:
        """Text in a Go *layout* (``2006-01-02T15:04:05Z07:00`` and the like)."""
        parts = self.broken()
        out: list[str] = []
        index = 0
        while index < len(layout):
            for token, make in _LAYOUT:
                if layout.startswith(token, index):
                    out.append(make(self, parts))
                    index += len(token)
                    break
            else:
                index = self._fraction(layout, index, out)
        return "".join(out)

    def _fraction(self, layout: str, index: int, out: list[str]) -> int:
        """``.000`` and ``.999`` after seconds; any other character stands for itself."""
        char = layout[index]
        digit = layout[index + 1:index + 2]
        if char in ".," and digit and digit in "09":
            end = index + 1
            while layout[end:end + 1] == digit:
                end += 1
            if not layout[end:end + 1].isdigit():
                text = f"{0 if self.zero else self.ns % SECOND:09d}"[: end - index - 1]
                if digit == "9":
                    text = text.rstrip("0")
                out.append(char + text if text else "")
                return end
        out.append(char)
        return index + 1


def _zone(parts: time.struct_time, colon: str) -> str:
    minutes = (parts.tm_gmtoff or 0) // 60
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}{colon}{abs(minutes) % 60:02d}"


def _zone_name(parts: time.struct_time, local: bool) -> str:
    return (parts.tm_zone or "UTC") if local else "UTC"


#: Layout element -> text, longest first where one begins another.
_LAYOUT: tuple[tuple[str, Callable[[GoTime, time.struct_time], str]], ...] = (
    ("January", lambda t, p: _MONTHS[p.tm_mon - 1]),
    ("Jan", lambda t, p: _MONTHS[p.tm_mon - 1][:3]),
    ("Monday", lambda t, p: _DAYS[p.tm_wday]),
    ("Mon", lambda t, p: _DAYS[p.tm_wday][:3]),
    ("MST", lambda t, p: _zone_name(p, t.local)),
    ("2006", lambda t, p: f"{p.tm_year:04d}"),
    ("01", lambda t, p: f"{p.tm_mon:02d}"),
    ("02", lambda t, p: f"{p.tm_mday:02d}"),
    ("03", lambda t, p: f"{(p.tm_hour + 11) % 12 + 1:02d}"),
    ("04", lambda t, p: f"{p.tm_min:02d}"),
    ("05", lambda t, p: f"{p.tm_sec:02d}"),
    ("06", lambda t, p: f"{p.tm_year % 100:02d}"),
    ("002", lambda t, p: f"{p.tm_yday:03d}"),
    ("15", lambda t, p: f"{p.tm_hour:02d}"),
    ("PM", lambda t, p: "PM" if p.tm_hour >= 12 else "AM"),
    ("pm", lambda t, p: "pm" if p.tm_hour >= 12 else "am"),
    ("-07:00", lambda t, p: _zone(p, ":")),
    ("-0700", lambda t, p: _zone(p, "")),
    ("-07", lambda t, p: _zone(p, "")[:3]),
    ("Z07:00", lambda t, p: _zone(p, ":") if p.tm_gmtoff else "Z"),
    ("Z0700", lambda t, p: _zone(p, "") if p.tm_gmtoff else "Z"),
    ("_2", lambda t, p: f"{p.tm_mday:2d}"),
    ("1", lambda t, p: str(p.tm_mon)),
    ("2", lambda t, p: str(p.tm_mday)),
    ("3", lambda t, p: str((p.tm_hour + 11) % 12 + 1)),
    ("4", lambda t, p: str(p.tm_min)),
    ("5", lambda t, p: str(p.tm_sec)),
)

#: Method -> (function, number of arguments).
METHODS: dict[str, tuple[Callable[..., Any], int]] = {
    "String": (str, 0),
    "Format": (GoTime.format, 1),
    "Unix": (GoTime.seconds, 0),
    "UnixMilli": (lambda t: t.seconds() * 1000 + t.ns % SECOND // 1_000_000, 0),
    "UnixNano": (lambda t: t.ns, 0),
    "IsZero": (lambda t: t.zero, 0),
    "UTC": (lambda t: GoTime(t.ns, zero=t.zero), 0),
    "Local": (lambda t: GoTime(t.ns, zero=t.zero, local=True), 0),
    "Year": (lambda t: t.broken().tm_year, 0),
    "Month": (lambda t: _MONTHS[t.broken().tm_mon - 1], 0),
    "Day": (lambda t: t.broken().tm_mday, 0),
    "Hour": (lambda t: t.broken().tm_hour, 0),
    "Minute": (lambda t: t.broken().tm_min, 0),
    "Second": (lambda t: t.broken().tm_sec, 0),
    "Nanosecond": (lambda t: 0 if t.zero else t.ns % SECOND, 0),
    "Weekday": (lambda t: _DAYS[t.broken().tm_wday], 0),
    "YearDay": (lambda t: t.broken().tm_yday, 0),
}
