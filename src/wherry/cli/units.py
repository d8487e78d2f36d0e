"""Durations and sizes for people (docker/go-units, which Podman uses)."""

from __future__ import annotations

SECOND = 1_000_000_000
_DECIMAL = ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB")
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB")


def human_duration(ns: int) -> str:
    """``About a minute``, ``3 weeks``...: one unit, rounded down."""
    seconds = ns // SECOND if ns >= 0 else -(-ns // SECOND)
    if seconds < 1:
        return "Less than a second"
    if seconds < 2:
        return "1 second"
    if seconds < 60:
        return f"{seconds} seconds"
    minutes = seconds // 60
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    hours = (minutes + 30) // 60
    if hours == 1:
        return "About an hour"
    if hours < 48:
        return f"{hours} hours"
    if hours < 24 * 7 * 2:
        return f"{hours // 24} days"
    if hours < 24 * 30 * 2:
        return f"{hours // 24 // 7} weeks"
    if hours < 24 * 365 * 2:
        return f"{hours // 24 // 30} months"
    return f"{seconds // 3600 // 24 // 365} years"


def human_size(size: float, precision: int = 4, *, space: bool = False) -> str:
    """``1.988MB``: base 1000, *precision* significant digits; ``space`` puts one before the unit."""
    number, unit = _scale(size, 1000.0, _DECIMAL)
    return f"{_significant(number, precision)}{' ' if space else ''}{unit}"


def binary_size(size: float, precision: int = 4) -> str:
    """``12.5MiB``: base 1024."""
    number, unit = _scale(size, 1024.0, _BINARY)
    return f"{_significant(number, precision)}{unit}"


def _scale(size: float, base: float, names: tuple[str, ...]) -> tuple[float, str]:
    index = 0
    while size >= base and index < len(names) - 1:
        size /= base
        index += 1
    return size, names[index]


def _significant(number: float, digits: int) -> str:
    """C's ``%.Ng``."""
    return f"{number:.{digits}g}"
