"""The results of a container's last probes, as a file of JSON in Podman's form.

``{"Status": ..., "FailingStreak": n, "Log": [{"Start", "End", "ExitCode", "Output"}, ...]}``: what ``inspect`` shows as
State.Health (libpod ``define.HealthCheckResults``).  The database says what the container's health is; the file only
shows how it came to it, so one that is lost or damaged harms nothing.
"""

from __future__ import annotations

import os
import stat

from wherry.errors import InvalidArgument
from wherry.model.jsontext import JSONError, dumps, loads
from wherry.model.record import Record, field
from wherry.sys.files import atomic_write, try_read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Values of ``--health-log-destination`` that are not directories; with the second, results go to the events as well.
LOCAL = "local"
EVENTS = "events_logger"


class Result(Record):
    """One probe. Times are RFC 3339; ``exit_code`` is 0, 1 (it failed), -1 (it took too long) or 125 (no probe)."""

    start: str = field(default="", key="Start")
    end: str = field(default="", key="End")
    exit_code: int = field(default=0, key="ExitCode")
    output: str = field(default="", key="Output")

    def shown(self) -> dict[str, Any]:
        return {"Start": self.start, "End": self.end, "ExitCode": self.exit_code, "Output": self.output}


def destination(text: str) -> str:
    """``--health-log-destination`` as it is kept. Raises :class:`InvalidArgument` for what is no directory."""
    if text in ("", LOCAL, EVENTS):
        return text or LOCAL
    try:
        mode = os.stat(text).st_mode
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InvalidArgument(f"HealthCheck Log '{text}' destination error: stat {text}: {reason}") from None
    if not stat.S_ISDIR(mode):
        raise InvalidArgument(f"HealthCheck Log '{text}' destination must be directory")
    return os.path.abspath(text)


def path(destination: str, directory: str, identity: str) -> str:
    """The log of container *identity*, whose own directory for such things is *directory*; empty if it has none."""
    if destination in ("", LOCAL, EVENTS):
        return f"{directory}/healthcheck.log" if directory else ""
    return f"{destination}/{identity}-healthcheck.log"


def cut(output: str, size: int) -> str:
    """*output* as it is kept: *size* characters of it, 0 for all."""
    return output[:size] if size > 0 else output


def read(file: str) -> list[dict[str, Any]]:
    """The results in a log file, oldest first; none when it does not exist or is damaged."""
    text = try_read_text(file) if file else None
    if not text:
        return []
    try:
        results = loads(text)["Log"]
    except (JSONError, KeyError, TypeError):
        return []
    return [entry for entry in results if isinstance(entry, dict)] if isinstance(results, list) else []


def add(file: str, result: Result, *, status: str, streak: int, count: int) -> None:
    """Append a result and keep the last *count* (0: all). Raises :class:`OSError`."""
    results = [*read(file), result.shown()]
    if count > 0:
        results = results[-count:]
    write(file, results, status=status, streak=streak)


def write(file: str, results: list[dict[str, Any]], *, status: str, streak: int) -> None:
    """Replace the file. It is not synced: a power cut ends the container as well."""
    data = {"Status": status, "FailingStreak": streak, "Log": results or None}
    atomic_write(file, dumps(data).encode("utf-8", "replace"), 0o600, sync=False)
