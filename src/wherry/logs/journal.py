"""Container logs in the systemd journal, read with journalctl(1).

conmon writes one entry per record: MESSAGE, PRIORITY 6 for stdout and 3 for stderr, CONTAINER_ID_FULL, and
CONTAINER_PARTIAL_MESSAGE=true when no newline has come yet.
"""

from __future__ import annotations

import os

from wherry.errors import Unavailable
from wherry.logs.line import STDERR, STDOUT, Joiner, LogLine, LogOptions, LogStream, Wait
from wherry.model.jsontext import loads
from wherry.model.timestamps import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from typing import Any

    Entry = dict[str, Any]

_CHUNK = 1 << 16
_STREAMS = {"6": STDOUT, "3": STDERR}


def journal_matches(container_id: str, unit: str, uid: int) -> list[str]:
    """What journalctl is to match: the container, or everything its systemd *unit* said; of *uid* (-1: ourselves)."""
    from wherry.sys.identity import effective_uid

    if uid < 0:
        uid = effective_uid()
    if unit:
        return [f"{'_SYSTEMD_USER_UNIT' if uid else '_SYSTEMD_UNIT'}={unit}", f"_UID={uid}"]
    return [f"CONTAINER_ID_FULL={container_id}", f"_UID={uid}"]


def read_journal(
    stream: LogStream, matches: Sequence[str], options: LogOptions, wait: Wait
) -> Generator[LogLine, None, None]:
    """The lines of the matching entries, until *stream* is closed. Raises :class:`Unavailable`."""
    joiner = Joiner()
    for line in _lines(stream, matches, options, wait, joiner):
        if line.time_ns > options.since_ns and not (options.until_ns and line.time_ns >= options.until_ns):
            yield line


def _lines(
    stream: LogStream, matches: Sequence[str], options: LogOptions, wait: Wait, joiner: Joiner
) -> Iterator[LogLine]:
    import time

    entries = _tail(matches, options.tail) if options.tail >= 0 else _past(_since(matches, options.since_ns))
    cursor = ""
    for entry in entries:
        cursor = entry["__CURSOR"]
        yield from _line(entry, joiner)
    yield from joiner.flush()
    if not options.follow:
        return
    # A second journalctl takes over where the first left off, and a third reads what is left in the end.
    follower = _Journalctl([*_after(matches, cursor), "--follow", "--no-tail"])
    over = False
    try:
        while not over and not stream.closed:
            found = follower.read(0)
            if found is None:
                raise Unavailable("following the journal: journalctl has ended")
            for entry in found:
                cursor = entry["__CURSOR"]
                yield from _line(entry, joiner)
            if not found:
                yield from joiner.flush()
                over = wait.pause() or bool(options.until_ns and time.time_ns() >= options.until_ns)
    finally:
        follower.close()
    for entry in _past(_after(matches, cursor)):
        yield from _line(entry, joiner)
    yield from joiner.flush()


def _line(entry: Entry, joiner: Joiner) -> list[LogLine]:
    """The line an entry completes, if it does. Entries of another kind (a unit's own messages) count as stdout."""
    message = entry.get("MESSAGE") or ""
    # journalctl writes what is not printable UTF-8 as a list of bytes
    text = bytes(message) if isinstance(message, list) else str(message).encode("utf-8", "surrogateescape")
    line = joiner.add(
        LogLine(
            int(entry["__REALTIME_TIMESTAMP"]) * 1000,
            _STREAMS.get(str(entry.get("PRIORITY")), STDOUT),
            "CONTAINER_PARTIAL_MESSAGE" in entry,
            text.removesuffix(b"\n"),
        )
    )
    return [line] if line else []


def _since(matches: Sequence[str], since_ns: int) -> list[str]:
    return [*matches, f"--since=@{since_ns // SECOND}"] if since_ns else list(matches)


def _after(matches: Sequence[str], cursor: str) -> list[str]:
    return [*matches, f"--after-cursor={cursor}"] if cursor else list(matches)


def _tail(matches: Sequence[str], lines: int) -> list[Entry]:
    """The entries of the last *lines* lines; a long line has several, so more are asked for until there are enough."""
    wanted = max(lines, 1)
    while True:
        entries = list(_past([*matches, f"--lines={wanted}"]))
        start = len(entries)
        found = 0
        for index in range(len(entries) - 1, -1, -1):
            if index == len(entries) - 1 or "CONTAINER_PARTIAL_MESSAGE" not in entries[index]:
                found += 1
                if found > lines:
                    return entries[start:]
            start = index
        if len(entries) < wanted:
            return entries
        wanted *= 2


def _past(arguments: Sequence[str]) -> Iterator[Entry]:
    """Everything the journal has at present."""
    process = _Journalctl(arguments)
    try:
        while True:
            found = process.read(None)
            if found is None:
                return
            yield from found
    finally:
        process.close()


class _Journalctl:
    """A journalctl process and the entries it prints."""

    def __init__(self, arguments: Sequence[str]) -> None:
        from wherry.sys.processes import find_program, spawn

        program = find_program("journalctl")
        if not program:
            raise Unavailable(
                "reading logs of the 'journald' log driver needs journalctl, which is not installed",
                hint="install systemd, or create containers with --log-driver=k8s-file",
            )
        self._out, writer = os.pipe()
        self._rest = b""
        try:
            self._pid = spawn([program, "--quiet", "--no-pager", "--all", "--output=json", *arguments], fds={1: writer})
        except BaseException:
            os.close(self._out)
            raise
        finally:
            os.close(writer)

    def read(self, timeout: float | None) -> list[Entry] | None:
        """Entries that arrive within *timeout* seconds, perhaps none; None after the last one.

        Raises :class:`Unavailable` when journalctl fails.
        """
        import select

        if not select.select([self._out], [], [], timeout)[0]:
            return []
        chunk = os.read(self._out, _CHUNK)
        if chunk:
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            return [loads(line) for line in lines]
        from wherry.sys.processes import wait

        status = wait(self._pid)
        self._pid = 0
        if status:
            raise Unavailable(f"reading logs from the journal: journalctl exited with status {status}")
        return None

    def close(self) -> None:
        from wherry.sys.processes import SIGKILL, wait

        os.close(self._out)
        if self._pid:
            os.kill(self._pid, SIGKILL)
            wait(self._pid)
