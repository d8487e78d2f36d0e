"""A stack of named undo steps for work that must be whole or not at all."""

from __future__ import annotations

from wherry.errors import WherryError
from wherry.sys import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Undo:
    """``with Undo() as undo:`` - push the reversal of each step after it succeeded, :meth:`commit` at the end.

    Leaving the block by an exception (or without :meth:`commit`) runs the steps in reverse order.  A step that fails is
    reported as a warning and does not stop the others: the error that matters is the one already on its way.
    """

    def __init__(self) -> None:
        self._steps: list[tuple[str, Callable[..., Any], tuple[Any, ...]]] = []

    def push(self, name: str, step: Callable[..., Any], *arguments: Any) -> None:
        self._steps.append((name, step, arguments))

    def commit(self) -> None:
        """Everything worked: forget the steps."""
        self._steps.clear()

    def rollback(self) -> None:
        while self._steps:
            name, step, arguments = self._steps.pop()
            try:
                step(*arguments)
            except (OSError, WherryError) as error:
                log.warning(f"undoing {name}: {error}")

    def __enter__(self) -> Undo:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.rollback()
