"""Writing log lines to file descriptors, with time, name and colour."""

from __future__ import annotations

from wherry.logs.line import STDOUT
from wherry.model.timestamps import format_ns
from wherry.sys.files import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.logs.line import LogLine

#: One colour per container, in Podman's order: light grey, red, yellow, blue, magenta, cyan, green.
_COLORS = (37, 31, 33, 34, 35, 36, 32)


class LineWriter:
    """Shows lines the way ``logs`` does.

    *prefix* (a name or short id) and the time stand before each line, not before the continuation of a partial one;
    *color* is the container's number among those shown, -1 for none.  A descriptor of -1 discards.
    """

    def __init__(
        self, out_fd: int, err_fd: int, *, timestamps: bool = False, prefix: str = "", color: int = -1
    ) -> None:
        self._out_fd = out_fd
        self._err_fd = err_fd
        self._timestamps = timestamps
        self._prefix = f"{prefix} ".encode("utf-8", "surrogateescape") if prefix else b""
        self._begin = self._end = b""
        if color >= 0:
            self._begin = b"\033[%dm" % _COLORS[color % len(_COLORS)]
            self._end = b"\033[0m"
        self._unended: set[str] = set()

    def write(self, line: LogLine) -> None:
        """Write one line. Raises :class:`OSError` of the descriptor."""
        head = b""
        if line.stream not in self._unended:
            head = self._prefix
            if self._timestamps:
                head += shown_time(line.time_ns).encode() + b" "
        if line.partial:
            self._unended.add(line.stream)
        else:
            self._unended.discard(line.stream)
        fd = self._out_fd if line.stream == STDOUT else self._err_fd
        if fd >= 0:
            write_all(fd, self._begin + head + line.text + self._end + (b"" if line.partial else b"\n"))


def shown_time(stamp: int) -> str:
    """Local time with nine digits of the second, and ``Z`` for UTC (Go's ``2006-01-02T15:04:05.000000000Z07:00``)."""
    text = format_ns(stamp, digits=9, local=True)
    return text[:-6] + "Z" if text.endswith("+00:00") else text
