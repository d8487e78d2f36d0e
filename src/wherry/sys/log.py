"""Diagnostics on standard error in the form Podman's users and log scrapers know.

``time="2026-11-21T21:19:47Z" level=warning msg="..."``.  The standard :mod:`logging` takes 8 ms to import; these few
lines take none.  The level is set once by the front end (``--log-level``).
"""

from __future__ import annotations

import os
import time

LEVELS = ("trace", "debug", "info", "warn", "warning", "error", "fatal", "panic")
_ORDER = {"trace": 0, "debug": 1, "info": 2, "warn": 3, "warning": 3, "error": 4, "fatal": 5, "panic": 5}

_threshold = _ORDER["warning"]
_said: set[str] = set()


def set_level(name: str) -> None:
    """Show messages of *name* (one of :data:`LEVELS`) and above. Raises :class:`KeyError` for another word."""
    global _threshold
    _threshold = _ORDER[name]


def enabled(name: str) -> bool:
    """Would a message of this level be shown?"""
    return _ORDER[name] >= _threshold


def debug(message: str) -> None:
    _write("debug", message)


def info(message: str) -> None:
    _write("info", message)


def warning(message: str) -> None:
    _write("warning", message)


def error(message: str) -> None:
    _write("error", message)


def once(level: str, message: str) -> None:
    """Say *message* only the first time in this process (what the host lacks, for instance)."""
    if message not in _said:
        _said.add(message)
        _write(level, message)


def _write(level: str, message: str) -> None:
    if _ORDER[level] < _threshold:
        return
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    stamp = stamp[:-2] + ":" + stamp[-2:]
    text = message.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    try:
        os.write(2, f'time="{stamp}" level={level} msg="{text}"\n'.encode())
    except OSError:
        pass
