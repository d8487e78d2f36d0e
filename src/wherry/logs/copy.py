"""Copying a log to file descriptors, a quarter of a megabyte at a time.

A million lines one by one take seconds.  Nearly always all records of a chunk have the same stream, flag and width
of time, so their texts can be cut out and joined by functions written in C; whatever does not fit goes the slow way.
"""

from __future__ import annotations

import os
from _operator import itemgetter
from itertools import groupby

from wherry.errors import from_os_error
from wherry.logs.k8sfile import LogFiles, warn_of
from wherry.logs.line import LogOptions, Wait
from wherry.sys.files import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: What stands between time and text -> stream, and what ends a line.
_TAGS = {
    b" stdout F ": (b"stdout", b"\n"),
    b" stderr F ": (b"stderr", b"\n"),
    b" stdout P ": (b"stdout", b""),
    b" stderr P ": (b"stderr", b""),
}
_TAG_WIDTH = 10


def copy(
    path: str,
    out_fd: int,
    err_fd: int,
    options: LogOptions = LogOptions(),     # noqa: B008 - records are immutable
    *,
    finished: Callable[[], bool] | None = None,
    pid: int = 0,
) -> None:
    """Write what the container wrote to stdout to *out_fd* and the rest to *err_fd* (-1: nowhere).

    *options*, *finished* and *pid* are those of :func:`wherry.logs.reader.read`.  When both descriptors are one file
    the order of the lines is kept.  Raises :class:`BrokenPipeError` when nobody reads any more, and other
    :class:`OSError` of the descriptors as they are; trouble with the log is a :class:`WherryError`.
    """
    if options.since_ns or options.until_ns:
        from wherry.logs.reader import read
        from wherry.logs.writer import LineWriter

        writer = LineWriter(out_fd, err_fd, timestamps=options.timestamps)
        with read("k8s-file", path, options=options, finished=finished, pid=pid) as lines:
            for line in lines:
                writer.write(line)
        return
    try:
        files = LogFiles(path)
    except OSError as error:
        raise from_os_error(error, "unable to read log file") from error
    try:
        if options.tail >= 0:
            files.start_at_tail(options.tail)
        _copy_all(files, Copier(out_fd, err_fd, timestamps=options.timestamps), options.follow, Wait(finished, pid))
    finally:
        files.close()


def _copy_all(files: LogFiles, copier: Copier, follow: bool, wait: Wait) -> None:
    rest = b""
    over = False
    while True:
        chunk = files.read()
        if chunk:
            cut = chunk.rfind(b"\n") + 1
            if cut:
                copier.feed(rest + chunk[:cut])
                rest = b""
            rest += chunk[cut:]
            continue
        if over or not follow:
            break
        over = wait.pause()
        files.look_again()
    if rest:
        copier.unfinished(rest)


class Copier:
    """Takes whole records and writes their texts."""

    def __init__(self, out_fd: int, err_fd: int, *, timestamps: bool = False) -> None:
        if min(out_fd, err_fd) >= 0 and os.path.sameopenfile(out_fd, err_fd):
            err_fd = out_fd
        self._fds = {b"stdout": out_fd, b"stderr": err_fd}
        self._timestamps = timestamps
        self._unended: set[bytes] = set()           # streams in the middle of a line; only kept with timestamps
        self._output: dict[int, list[bytes]] = {}

    def feed(self, chunk: bytes) -> None:
        """Write the texts of *chunk*, which ends with a newline."""
        lines = chunk.split(b"\n")
        lines.pop()
        width = lines[0].find(b" ")
        tag_of = itemgetter(slice(width, width + _TAG_WIDTH))
        tags = set(map(tag_of, lines))
        regular = tags <= _TAGS.keys()
        if self._timestamps and (self._unended or any(not _TAGS[tag][1] for tag in tags if regular)):
            regular = False
        if not regular:
            self._one_by_one(lines)
        elif len(tags) == 1:
            self._run(tags.pop(), lines, width)
        else:
            for tag, run in groupby(lines, tag_of):
                self._run(tag, list(run), width)
        self._flush()

    def unfinished(self, record: bytes) -> None:
        """Write what there is of a record without an end."""
        self._one_by_one([record], end=b"")
        self._flush()

    def _run(self, tag: bytes, lines: Sequence[bytes], width: int) -> None:
        """Lines with one tag."""
        stream, end = _TAGS[tag]
        if self._timestamps:
            after = width + _TAG_WIDTH
            texts = [_stamp(line[:width]) + line[after:] for line in lines]
        else:
            texts = list(map(itemgetter(slice(width + _TAG_WIDTH, None)), lines))
        self._put(stream, end.join(texts) + end)

    def _one_by_one(self, lines: Sequence[bytes], end: bytes = b"\n") -> None:
        for line in lines:
            parts = line.split(b" ", 3)
            if len(parts) != 4 or parts[1] not in self._fds:
                warn_of(line)
                continue
            time, stream, flag, text = parts
            full = flag[:1] != b"P"
            if self._timestamps:
                if stream not in self._unended:
                    text = _stamp(time) + text
                if full:
                    self._unended.discard(stream)
                else:
                    self._unended.add(stream)
            self._put(stream, text + end if full else text)

    def _put(self, stream: bytes, data: bytes) -> None:
        self._output.setdefault(self._fds[stream], []).append(data)

    def _flush(self) -> None:
        for fd, pieces in self._output.items():
            if fd >= 0:
                write_all(fd, b"".join(pieces))
        self._output.clear()


def _stamp(time: bytes) -> bytes:
    """A record's time as it is shown before a line: Go writes an offset of zero as Z."""
    if time[-6:] == b"+00:00":
        return time[:-6] + b"Z "
    return time + b" "
