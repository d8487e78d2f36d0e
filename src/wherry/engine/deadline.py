"""A time limit on something that blocks: when it is over, an action makes the blocking end."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Deadline:
    """``with Deadline(seconds, action) as deadline:`` runs *action* in a thread if the block lasts longer.

    ``passed`` tells afterwards whether it did.  Without a limit (None) nothing happens.
    """

    def __init__(self, seconds: float | None, action: Callable[[], object]) -> None:
        self._seconds = seconds
        self._action = action
        self._timer: object = None
        self.passed = False

    def __enter__(self) -> Deadline:
        if self._seconds is not None:
            from threading import Timer

            timer = Timer(self._seconds, self._pass)
            timer.daemon = True
            timer.start()
            self._timer = timer
        return self

    def _pass(self) -> None:
        self.passed = True
        self._action()

    def __exit__(self, *_exc: object) -> None:
        if self._timer is not None:
            self._timer.cancel()  # type: ignore[attr-defined]
