"""Terminals: size and raw mode."""

from __future__ import annotations

import os
from _struct import pack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self


def is_terminal(fd: int) -> bool:
    return os.isatty(fd)


def size(fd: int) -> tuple[int, int]:
    """(rows, columns). Raises :class:`OSError` when *fd* is not a terminal."""
    found = os.get_terminal_size(fd)
    return found.lines, found.columns


def set_size(fd: int, rows: int, columns: int) -> None:
    import fcntl
    import termios

    fcntl.ioctl(fd, termios.TIOCSWINSZ, pack("HHHH", rows, columns, 0, 0))


class RawMode:
    """``with RawMode(fd):`` - the terminal passes every key on and echoes nothing; restored at the end.

    Flags as cfmakeraw(3).  Something that is not a terminal is left alone.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._saved: list[Any] | None = None

    def __enter__(self) -> Self:
        if os.isatty(self.fd):
            import termios as t

            self._saved = t.tcgetattr(self.fd)
            iflag, oflag, cflag, lflag, ispeed, ospeed, control = t.tcgetattr(self.fd)
            iflag &= ~(t.IGNBRK | t.BRKINT | t.PARMRK | t.ISTRIP | t.INLCR | t.IGNCR | t.ICRNL | t.IXON)
            oflag &= ~t.OPOST
            lflag &= ~(t.ECHO | t.ECHONL | t.ICANON | t.ISIG | t.IEXTEN)
            cflag = cflag & ~(t.CSIZE | t.PARENB) | t.CS8
            control[t.VMIN] = 1
            control[t.VTIME] = 0
            t.tcsetattr(self.fd, t.TCSANOW, [iflag, oflag, cflag, lflag, ispeed, ospeed, control])
        return self

    def __exit__(self, *_: object) -> None:
        if self._saved is not None:
            import termios

            termios.tcsetattr(self.fd, termios.TCSANOW, self._saved)
            self._saved = None
