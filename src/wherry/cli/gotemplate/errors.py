"""The one error of the template engine."""

from __future__ import annotations

from wherry.errors import InvalidArgument


class TemplateError(InvalidArgument):
    """The template does not parse or cannot be executed; the message is the one Go gives.

    ``output`` is what had been rendered before the failure.
    """

    def __init__(self, message: str, *, output: str = "") -> None:
        super().__init__(message)
        self.output = output


class CallError(Exception):
    """A template function refused its arguments; the evaluator adds where."""
