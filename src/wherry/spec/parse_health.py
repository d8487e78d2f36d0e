"""Health checks: the command and its times (podman-run(1) ``--health-*``)."""

from __future__ import annotations

from wherry.errors import InvalidArgument
from wherry.model.jsontext import JSONError, loads
from wherry.spec.parse_values import duration, quote

ACTIONS = ("none", "kill", "restart", "stop")
SECOND = 10**9


def command(text: str) -> list[str] | None:
    """The check in the form images use: ``["CMD", word...]``, ``["CMD-SHELL", line]`` or ``["NONE"]``.

    A JSON list of several words is run as it is, a single word or a line by the container's shell.
    """
    if not text:
        return None
    words, is_list = _words(text)
    if not words:
        raise InvalidArgument("must define a healthcheck command for all healthchecks")
    keyword = words[0].upper()
    if keyword == "NONE":
        return ["NONE"]
    if keyword == "CMD":
        return words if is_list else text.split()
    if keyword == "CMD-SHELL":
        return words
    if is_list and len(words) > 1:
        return ["CMD", *words]
    return ["CMD-SHELL", " ".join(words)]


def _words(text: str) -> tuple[list[str], bool]:
    try:
        value = loads(text)
    except JSONError:
        value = None
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value, True
    return text.split(" ", 1), False


def interval(text: str) -> int:
    """Nanoseconds between checks; ``disable`` (-1 s) starts no timer."""
    return -SECOND if text == "disable" else _duration(text, "healthcheck-interval")


def timeout(text: str) -> int:
    value = _duration(text, "healthcheck-timeout")
    if value < 1:
        raise InvalidArgument("healthcheck-timeout must be at least 1 second")
    return value


def start_period(text: str) -> int:
    value = _duration(text, "healthcheck-start-period")
    if value < 0:
        raise InvalidArgument("healthcheck-start-period must be 0 seconds or greater")
    return value


def _duration(text: str, name: str) -> int:
    try:
        return duration(text)
    except InvalidArgument as error:
        raise InvalidArgument(f"invalid {name}: {error.message}") from None


def on_failure(text: str) -> str:
    action = text or "none"
    if action not in ACTIONS:
        raise InvalidArgument(
            f"invalid on-failure action {quote(text)} for health check: supported actions are {','.join(ACTIONS)}"
        )
    return action
