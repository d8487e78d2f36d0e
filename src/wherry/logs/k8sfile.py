"""The log files conmon writes: records, rotated files, and where the last lines begin.

A record is ``TIME STREAM FLAG TEXT`` (Kubernetes' CRI log format): RFC 3339 time with nanoseconds and the zone it
was written in, ``stdout`` or ``stderr``, ``F`` for a line with its newline or ``P`` for a part without.  At its size
limit conmon begins a new file; old ones may be kept as ``PATH.1`` (the newest) and up (:mod:`wherry.logs.rotation`).
"""

from __future__ import annotations

import os

from wherry.logs.line import Joiner, LogLine, LogOptions, LogStream, Wait
from wherry.model.timestamps import SECOND, parse_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator

_BLOCK = 1 << 16        # read backwards in blocks of this size
_CHUNK = 1 << 18        # and forwards; larger ones fall out of the processor's cache


class RecordParser:
    """Decodes records. It remembers the last minute, so that most times need no calendar."""

    def __init__(self) -> None:
        self._minute = b""
        self._zone = b""
        self._base = 0

    def parse(self, record: bytes) -> LogLine | None:
        """The line of a record, or None (and a warning, once) when it is no record."""
        parts = record.split(b" ", 3)
        if len(parts) == 4:
            stamp, stream, flag, text = parts
            try:
                return LogLine(self._time(stamp), stream.decode("ascii"), flag[:1] == b"P", text)
            except ValueError:
                pass
        warn_of(record)
        return None

    def _time(self, stamp: bytes) -> int:
        """ns since the epoch of ``2006-01-02T15:04:05.000000000`` and a zone."""
        minute, second, fraction, zone = stamp[:16], stamp[17:19], stamp[20:29], stamp[29:]
        exact = fraction.isdigit() and second.isdigit()
        if minute == self._minute and zone == self._zone and exact:
            return self._base + int(second) * SECOND + int(fraction)
        moment = parse_ns(stamp.decode("ascii"))
        if exact and len(fraction) == 9:
            self._minute, self._zone = minute, zone
            self._base = moment - int(second) * SECOND - int(fraction)
        return moment


def warn_of(record: bytes) -> None:
    """Say, once for each, that a record cannot be read."""
    from wherry.sys import log

    log.once("error", f"'{record[:200].decode('utf-8', 'replace')}' is not a valid container log line")


class LogFiles:
    """The bytes of a log over all its files, oldest first, and those that come while it is read."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._fds = _open_all(path)     # still to be read; the first is being read

    def start_at_tail(self, lines: int) -> None:
        """Begin with the last *lines* lines; reading backwards stops where they begin."""
        for index in range(len(self._fds) - 1, -1, -1):
            fd = self._fds[index]
            newest = index == len(self._fds) - 1
            if newest and lines == 0:
                offset = os.fstat(fd).st_size
            else:
                offset, lines = tail_offset(fd, lines, newest=newest)
            if offset >= 0:
                os.lseek(fd, offset, os.SEEK_SET)
                for older in self._fds[:index]:
                    os.close(older)
                del self._fds[:index]
                return

    def read(self) -> bytes:
        """The next bytes; empty when there are no more at present."""
        while self._fds:
            chunk = os.read(self._fds[0], _CHUNK)
            if chunk or len(self._fds) == 1:
                return chunk
            os.close(self._fds.pop(0))
        return b""

    def look_again(self) -> None:
        """Find out whether conmon has begun a new file, or somebody has emptied the present one."""
        try:
            there = os.stat(self._path)
        except FileNotFoundError:
            return
        if not self._fds:
            self._fds = _open_all(self._path)
            return
        ours = self._fds[0]
        here = os.fstat(ours)
        if os.path.samestat(there, here):
            if here.st_size < os.lseek(ours, 0, os.SEEK_CUR):
                os.lseek(ours, 0, os.SEEK_SET)
            return
        newer = _open_all(self._path)
        known = [index for index, fd in enumerate(newer) if os.path.samestat(os.fstat(fd), here)]
        passed = known[0] + 1 if known else len(newer) - 1      # ours is gone: only the newest is surely new
        for fd in newer[:passed]:
            os.close(fd)
        self._fds += newer[passed:]

    def close(self) -> None:
        for fd in self._fds:
            os.close(fd)
        self._fds = []


def _open_all(path: str) -> list[int]:
    """The files of a log that exist, oldest first, all opened at once.

    They may be renamed meanwhile, each to the next number: then one number is missing for a moment, and the same file
    is met again under the next.
    """
    fds: list[int] = []
    number = missing = 0
    try:
        while missing < 2:
            try:
                fd = os.open(f"{path}.{number}" if number else path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                missing += bool(number)
            else:
                missing = 0
                if fds and os.path.samestat(os.fstat(fd), os.fstat(fds[-1])):
                    os.close(fd)
                else:
                    fds.append(fd)
            number += 1
    except BaseException:
        for fd in fds:
            os.close(fd)
        raise
    fds.reverse()
    return fds


def tail_offset(fd: int, lines: int, *, newest: bool) -> tuple[int, int]:
    """Where the last *lines* lines of a file begin, and how many more are wanted of older files.

    The offset is -1 when the file has not enough, or when its first line may have begun in an older one.  Partial
    records belong to the line that a full one ends; the last record of the *newest* file ends a line in any case.
    """
    position = os.fstat(fd).st_size
    rest = b""
    last = newest
    while position > 0:
        start = max(0, position - _BLOCK)
        data = os.pread(fd, position - start, start) + rest
        cut = data.find(b"\n") + 1 if start else 0
        position = start
        if start and not cut:
            rest = data
            continue
        rest = data[:cut]
        end = start + len(data)
        records = data[cut:].split(b"\n")
        for index in range(len(records) - 1, -1, -1):
            record = records[index]
            if record and (last or _ends_line(record)):
                last = False
                if lines == 0:
                    return end + 1, 0
                lines -= 1
            end -= len(record) + 1
    return -1, lines


def _ends_line(record: bytes) -> bool:
    parts = record.split(b" ", 3)
    return len(parts) > 2 and parts[2][:1] != b"P"


def read_lines(
    stream: LogStream, path: str, options: LogOptions, wait: Wait
) -> Generator[LogLine, None, None]:
    """The lines of a log, until *stream* is closed. A missing file is an empty log."""
    import time

    files = LogFiles(path)
    parser = RecordParser()
    joiner = Joiner()
    since, until = options.since_ns, options.until_ns
    rest = b""
    over = False
    try:
        if options.tail >= 0:
            files.start_at_tail(options.tail)
        while not stream.closed:
            chunk = files.read()
            *records, rest = (rest + chunk).split(b"\n")
            lines = [line for line in map(parser.parse, records) if line]
            ready = [line for line in map(joiner.add, lines) if line]
            if not chunk:
                ready += joiner.flush()
                if rest and (over or not options.follow):
                    ready += _unfinished(parser, rest)
            for line in ready:
                if line.time_ns > since and not (until and line.time_ns >= until):
                    yield line
            if chunk:
                continue
            if over or not options.follow or (until and time.time_ns() >= until):
                break
            over = wait.pause()
            files.look_again()
    finally:
        files.close()


def _unfinished(parser: RecordParser, record: bytes) -> list[LogLine]:
    """A record whose end is missing: conmon died, or the disk is full."""
    line = parser.parse(record)
    return [LogLine(line.time_ns, line.stream, True, line.text)] if line else []
