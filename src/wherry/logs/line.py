"""Log lines, what to read of a log, and the stream a reader gives."""

from __future__ import annotations

from wherry.model.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Self

STDOUT = "stdout"
STDERR = "stderr"

#: A line that never ends is handed out in pieces of about this size.
_LONGEST_LINE = 1 << 20


class LogOptions(Record):
    """What to read of a log and how to show it."""

    since_ns: int = 0           # only lines after this moment, 0: from the beginning
    until_ns: int = 0           # only lines before this moment, 0: to the end
    tail: int = -1              # only the last lines, -1: all
    follow: bool = False        # go on until the container stops
    timestamps: bool = False    # begin every line with its time


class LogLine:
    """One line a container wrote, without its newline.

    ``time_ns`` is when its first part was read, in ns since the epoch; ``stream`` is "stdout" or "stderr".
    ``partial`` means that no newline has come yet: the next line of that stream continues this one.  (No Record: a
    log has a million of them.)
    """

    __slots__ = ("partial", "stream", "text", "time_ns")

    def __init__(self, time_ns: int, stream: str, partial: bool, text: bytes) -> None:
        self.time_ns = time_ns
        self.stream = stream
        self.partial = partial
        self.text = text

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LogLine):
            return NotImplemented
        return (self.time_ns, self.stream, self.partial, self.text) == (
            other.time_ns, other.stream, other.partial, other.text
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"LogLine({self.time_ns}, {self.stream!r}, {self.partial}, {self.text!r})"


class LogStream:
    """An iterator over log lines. :meth:`close` may be called by another thread; the iteration then ends shortly."""

    def __init__(self, lines: Callable[[LogStream], Generator[LogLine, None, None]]) -> None:
        self.closed = False
        self._lines = lines(self)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> LogLine:
        return next(self._lines)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop and release what is open."""
        self.closed = True
        try:
            self._lines.close()
        except ValueError:      # another thread is inside: it sees the flag
            pass


class Joiner:
    """Puts the partial records of each stream together."""

    def __init__(self) -> None:
        self._pending: dict[str, LogLine] = {}

    def add(self, line: LogLine) -> LogLine | None:
        """Take a record; the line it completes, or None."""
        begun = self._pending.pop(line.stream, None)
        if begun is not None:
            line = LogLine(begun.time_ns, line.stream, line.partial, begun.text + line.text)
        if line.partial and len(line.text) < _LONGEST_LINE:
            self._pending[line.stream] = line
            return None
        return line

    def flush(self) -> list[LogLine]:
        """The lines that are not complete yet; what follows them comes as lines of its own."""
        lines = list(self._pending.values())
        self._pending.clear()
        return lines


class Wait:
    """How a follower waits for more, and learns that there will be none.

    *finished* says whether the container has stopped for good; *pid* is that of its conmon, which writes the log: as
    long as it lives nobody needs to be asked, except once at the beginning: the pid of a container that has long
    stopped may be somebody else's by now.  Without either the log is followed until the stream is closed.
    """

    #: Seconds between looks at the log.
    POLL = 0.05

    def __init__(self, finished: Callable[[], bool] | None, pid: int) -> None:
        self._finished = finished
        self._pid = pid
        self._begun = False

    def pause(self) -> bool:
        """Wait a moment; True when what is in the log now is all there will be."""
        if not self._begun:
            self._begun = True
            return self._is_finished()
        if self._pid:
            from wherry.sys.processes import wait_gone

            if not wait_gone(self._pid, timeout=self.POLL):
                return False
            self._pid = 0       # a restart policy may give the container another conmon
            if self._finished is None:
                return True
        else:
            import time

            time.sleep(self.POLL)
        return self._is_finished()

    def _is_finished(self) -> bool:
        return self._finished is not None and self._finished()
