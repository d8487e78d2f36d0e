"""Opening a container's log, whatever its driver."""

from __future__ import annotations

from wherry.errors import UNSUPPORTED, InternalError, WherryError, from_os_error
from wherry.logs.line import LogOptions, LogStream, Wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from wherry.logs.line import LogLine

#: Drivers whose log is a file of records.
FILE_DRIVERS = ("k8s-file", "json-file", "")


class NotLogging(WherryError):
    """The container's output was not kept."""

    kind = UNSUPPORTED
    cause = "this container is not logging output"


def read(
    driver: str,
    path: str = "",
    *,
    container_id: str = "",
    options: LogOptions = LogOptions(),     # noqa: B008 - records are immutable
    finished: Callable[[], bool] | None = None,
    pid: int = 0,
    unit: str = "",
    uid: int = -1,
) -> LogStream:
    """The lines of a container's log, partial ones joined.

    *driver* is the container's log driver; *path* is its file, or *container_id* what the journal knows it by.  To
    follow, give the *pid* of its conmon and *finished*, which says whether it has stopped for good: the stream ends
    after everything written until then.  While following, a line whose end is still to come is handed out as it is,
    marked partial.  *unit* is the systemd unit whose journal has the output of a container with driver passthrough,
    *uid* the user, as the host counts, whose journal entries are believed (-1: our effective user).

    Raises :class:`NotLogging` when nothing was kept, :class:`Unavailable` when the journal cannot be read.
    """
    wait = Wait(finished, pid)
    if driver in FILE_DRIVERS:
        return LogStream(lambda stream: _from_file(stream, path, options, wait))
    if driver == "journald" or (unit and driver in ("passthrough", "passthrough-tty")):
        from wherry.logs.journal import journal_matches, read_journal

        matches = journal_matches(container_id, unit if driver != "journald" else "", uid)
        return LogStream(lambda stream: read_journal(stream, matches, options, wait))
    if driver in ("none", "passthrough", "passthrough-tty"):
        raise NotLogging(f"this container is using the '{driver}' log driver, cannot read logs")
    raise InternalError(f'unrecognized log driver "{driver}", cannot read logs')


def _from_file(stream: LogStream, path: str, options: LogOptions, wait: Wait) -> Generator[LogLine, None, None]:
    from wherry.logs.k8sfile import read_lines

    try:
        yield from read_lines(stream, path, options, wait)
    except OSError as error:
        raise from_os_error(error, "unable to read log file") from error
