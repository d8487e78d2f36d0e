"""Reading the event log: what happened, and what happens while one looks.

The rules are podman-events(1)'s.  With neither *since* nor *until* a follower sees only new events; with *since* the
past ones too; *until* ends the stream at that moment, at once when it has passed.
"""

from __future__ import annotations

import os
import time

from wherry.errors import Unsupported, from_os_error
from wherry.events.codec import from_line
from wherry.events.filters import EventFilter
from wherry.model.timespec import parse_range

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from typing import Protocol, Self

    from wherry.model.event import Event

    class Source(Protocol):
        """Where a stream gets its events: None means there will be no more."""

        def read(self, timeout: float) -> list[Event] | None: ...
        def close(self) -> None: ...


#: Seconds between looks at a file that is followed. A look is one or two stat(2) calls.
POLL = 0.1


class EventReader:
    """Reads one event log; *backend*, *path* and *root* are those of :class:`~wherry.events.publisher.Publisher`.

    *uid* is the user, as the host counts, whose journal entries are believed; -1 for our effective user.
    """

    def __init__(self, backend: str, path: str = "", *, root: str = "", uid: int = -1) -> None:
        self.backend = backend
        self.path = path
        self.root = root
        self.uid = uid

    def read(
        self, *, since: str = "", until: str = "", filters: Sequence[str] = (), follow: bool = True
    ) -> EventStream:
        """Events in the order they were written.

        *since* and *until* take what :func:`wherry.model.timespec.parse_range` does, *filters* are ``key=value``.
        Raises :class:`InvalidArgument`, :class:`Unsupported` for the backend "none", :class:`Unavailable`.
        """
        if self.backend == "none":
            raise Unsupported('cannot read events with the "none" backend')
        start, end = parse_range(since, until)
        wanted = EventFilter(filters, since=start, until=end)
        follow = follow and not (end and end <= time.time_ns())
        live = follow and not (since or until)
        source: Source
        if self.backend == "journald":
            from wherry.events.journal import JournalEvents

            source = JournalEvents(root=self.root, uid=self.uid, since=start, follow=follow, live=live)
        else:
            source = FileEvents(self.path, follow=follow, live=live)
        return EventStream(source, wanted, end if follow else 0)


class EventStream:
    """An iterator over events. :meth:`close` may be called by another thread and ends the iteration within 0.1 s."""

    def __init__(self, source: Source, wanted: Callable[[Event], bool], end: int) -> None:
        self._source = source
        self._wanted = wanted
        self._end = end             # moment (ns) to stop at, 0 for never
        self._closed = False
        self._events = self._read()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        return next(self._events)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop; the iteration ends."""
        self._closed = True
        try:
            self._events.close()
        except ValueError:      # another thread is inside: it sees the flag and closes the source
            return
        self._source.close()

    def _read(self) -> Generator[Event, None, None]:
        try:
            while not self._closed:
                # Asked before reading: what was written until then is in the read that follows.
                over = self._end and time.time_ns() >= self._end
                events = self._source.read(0 if over else self._patience())
                for event in events or ():
                    if self._closed:
                        return
                    if self._wanted(event):
                        yield event
                if events is None or (over and not events):
                    return
        finally:
            self._source.close()

    def _patience(self) -> float:
        if not self._end:
            return POLL
        return min(POLL, max(0.0, (self._end - time.time_ns()) / 1e9))


class FileEvents:
    """Events of a log file, which may be rotated while it is read.

    A rotation puts a new file in place that begins with a part of the old one; the last line that was read tells
    where the news begin.
    """

    def __init__(self, path: str, *, follow: bool, live: bool) -> None:
        self._path = path
        self._follow = follow
        self._fd = -1
        self._rest = b""
        self._last = b""
        if live:
            self._new_lines()

    def read(self, timeout: float) -> list[Event] | None:
        """What is new, waiting up to *timeout* seconds when there is nothing; None at the end."""
        lines = self._new_lines()
        if not lines:
            if not self._follow:
                return None
            time.sleep(timeout)
        events = []
        for line in lines:
            try:
                events.append(from_line(line))
            except (ValueError, TypeError):
                continue        # torn by a full disk or a power cut
        return events

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _new_lines(self) -> list[bytes]:
        try:
            lines = self._rest_of_file() if self._fd >= 0 else []
            if not lines and self._is_replaced():
                lines = self._reopen()
        except FileNotFoundError:       # no event yet
            return []
        except OSError as error:
            raise from_os_error(error, "reading events") from error
        if lines:
            self._last = lines[-1]
        return lines

    def _is_replaced(self) -> bool:
        """Is there another file at the path than the one we read, or none open yet?"""
        there = os.stat(self._path)
        if self._fd < 0:
            return True
        here = os.fstat(self._fd)
        # Cut short counts too: somebody emptied the file in place.
        return (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino) or here.st_size < os.lseek(self._fd, 0, 1)

    def _reopen(self) -> list[bytes]:
        fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        self.close()
        self._fd = fd
        self._rest = b""
        lines = self._rest_of_file()
        if self._last and self._last in lines:
            # The last of them: a line is unique through its time, except where somebody copied files around.
            at = len(lines) - lines[::-1].index(self._last)
            return lines[at:]
        return lines

    def _rest_of_file(self) -> list[bytes]:
        from wherry.sys.files import read_all

        *lines, self._rest = (self._rest + read_all(self._fd)).split(b"\n")
        return lines
