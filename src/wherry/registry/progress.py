"""Telling how far a transfer is: nothing, plain lines, or bars on a terminal.

A reporter is called from several threads.  The lines are Podman's, on standard error.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from typing import TextIO

#: Digits of a digest shown in a bar.
_SHORT = 12
#: Seconds between two redraws of the bars.
_REDRAW = 0.1
_BAR = 24
_UNITS = ("b", "KiB", "MiB", "GiB", "TiB")


class Reporter:
    """Hears of transfers and does nothing. *id* is the digest of the blob, *total* its bytes or -1."""

    def start(self, id: str, text: str, total: int) -> None:
        """Something (*text*: ``Copying blob``) begins."""

    def update(self, id: str, done: int) -> None:
        """*done* bytes of it have arrived."""

    def finish(self, id: str, text: str) -> None:
        """It ended; *text* says how (``done``, ``skipped: already exists``)."""

    def message(self, text: str) -> None:
        """A line for the user."""


def as_reporter(progress: Reporter | Callable[[str], object] | None) -> Reporter:
    """What an API takes as *progress*: a reporter, a function called with lines of text (``print``), or nothing."""
    if progress is None:
        return Reporter()
    return progress if isinstance(progress, Reporter) else LinesReporter(progress)


class LinesReporter(Reporter):
    """One line per message and per blob that begins, passed to *write* without its newline; default: stderr."""

    def __init__(self, write: Callable[[str], object] | None = None) -> None:
        self._write = write or _to_stderr
        self._lock = threading.Lock()

    def start(self, id: str, text: str, total: int) -> None:
        self.message(f"{text} {id}")

    def message(self, text: str) -> None:
        with self._lock:
            self._write(text)


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


class _Item:
    def __init__(self, label: str, total: int, now: float) -> None:
        self.label = label
        self.total = total
        self.begun = now
        self.done = 0
        self.ending = ""


class BarReporter(Reporter):
    """A bar with bytes and rate per blob on the terminal *stream*, redrawn in place.

    Lines above the bars are final: messages, and bars once all before them have finished.
    """

    def __init__(
        self, stream: TextIO | None = None, *, columns: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream or sys.stderr
        self._columns = columns
        self._clock = clock
        self._lock = threading.Lock()
        self._items: dict[str, _Item] = {}
        self._drawn = 0             # lines on the screen that can still change
        self._next = 0.0            # when to redraw

    def start(self, id: str, text: str, total: int) -> None:
        with self._lock:
            short = id.rpartition(":")[2][:_SHORT]
            self._items[id] = _Item(f"{text} {short}", total, self._clock())
            self._redraw()

    def update(self, id: str, done: int) -> None:
        with self._lock:
            item = self._items.get(id)
            if item is not None:
                item.done = done
                if self._clock() >= self._next:
                    self._redraw()

    def finish(self, id: str, text: str) -> None:
        with self._lock:
            item = self._items.get(id)
            if item is not None:
                item.ending = text
                self._redraw()

    def message(self, text: str) -> None:
        with self._lock:
            self._redraw(text)

    def _redraw(self, message: str = "") -> None:
        """Move up over what can change, print what is final, then the rest again."""
        now = self._clock()
        self._next = now + _REDRAW
        width = self._columns or _terminal_columns(self._stream)
        out = f"\x1b[{self._drawn}A\r\x1b[J" if self._drawn else ""
        while self._items:
            id, item = next(iter(self._items.items()))
            if not item.ending:
                break
            out += _line(item, now, width) + "\n"
            del self._items[id]
        if message:
            out += message + "\n"
        out += "".join(_line(item, now, width) + "\n" for item in self._items.values())
        self._drawn = len(self._items)
        self._stream.write(out)
        self._stream.flush()


def _line(item: _Item, now: float, width: int) -> str:
    if item.ending:
        text = f"{item.label} {item.ending}"
    elif item.total > 0:
        filled = min(item.done * _BAR // item.total, _BAR)
        bar = "=" * max(filled - 1, 0) + ">" * bool(filled)
        text = f"{item.label} [{bar:-<{_BAR}}] {_size(item.done)} / {_size(item.total)}{_rate(item, now)}"
    else:
        text = f"{item.label} {_size(item.done)}{_rate(item, now)}"
    return text[: width - 1]


def _rate(item: _Item, now: float) -> str:
    elapsed = now - item.begun
    return f" | {_size(int(item.done / elapsed))}/s" if elapsed > _REDRAW and item.done else ""


def _size(count: int) -> str:
    """``10.5MiB``, one decimal."""
    value = float(count)
    for unit in _UNITS:
        if value < 1024 or unit == _UNITS[-1]:
            break
        value /= 1024
    return f"{value:.1f}{unit}"


def _terminal_columns(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80
