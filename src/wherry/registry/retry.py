"""Trying again: how often, after what pause, and for which failures."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import TypeVar

from wherry.errors import Cancelled, WherryError
from wherry.model.record import Record
from wherry.registry.failures import is_transient
from wherry.sys import log

#: A registry may ask for a longer pause than ours; it is not granted more than this many seconds.
LONGEST_PAUSE = 60.0

_T = TypeVar("_T")


class RetryPolicy(Record):
    """``attempts`` further tries after the first, ``delay`` seconds apart (0: one second, doubled each time)."""

    attempts: int = 3
    delay: float = 0.0

    def pause(self, attempt: int, asked: float = -1.0) -> float:
        """Seconds to wait before repetition number *attempt* (from 0); *asked* is what the registry wishes, if >= 0."""
        wait = self.delay or float(2 ** min(attempt, 10))
        if asked >= 0:
            wait = asked
        return min(wait, LONGEST_PAUSE)

    def run(self, operation: Callable[[], _T], cancelled: threading.Event) -> _T:
        """*operation*'s result, repeated while it fails with a transient error and attempts are left."""
        attempt = 0
        while True:
            try:
                return operation()
            except WherryError as error:
                if attempt >= self.attempts or not is_transient(error):
                    raise
                self.wait(attempt, error, cancelled)
                attempt += 1

    def wait(self, attempt: int, error: WherryError, cancelled: threading.Event) -> None:
        """Announce and sit out the pause after *error*. Raises :class:`Cancelled` when *cancelled* is set meanwhile."""
        wait = self.pause(attempt, getattr(error, "retry_after", -1.0))
        log.warning(f"Failed, retrying in {wait:g}s ... ({attempt + 1}/{self.attempts}). Error: {error}")
        # A tenth more or less, so that many clients do not come back at the same instant.
        if cancelled.wait(wait * random.uniform(1.0, 1.1)):
            raise Cancelled("pull cancelled")
