"""Writing events to the event log.

File: one JSON object per line (:mod:`wherry.events.codec`), appended under a lock on ``<path>.lock``, the lock Podman
takes too.  When a write would make the file reach its size limit, the older half is dropped: a new file with the
newer half between two ``log-rotation`` events takes its place, so that a reader always has a complete file.
"""

from __future__ import annotations

import os

from wherry.errors import InvalidArgument, from_os_error
from wherry.events.codec import to_line
from wherry.model.event import Event
from wherry.model.timestamps import now_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

BACKENDS = ("file", "journald", "none")

#: Attribute that tells the two markers around what a rotation kept from each other.
ROTATE_ATTRIBUTE = "io.podman.event.rotate"


class Publisher:
    """Writes to one event log.

    *backend* is one of :data:`BACKENDS`, *path* the log file, *max_size* its limit in bytes (0: none).  With journald
    *root* (the graph root) goes along in every entry and tells engines that share a journal apart.
    """

    def __init__(self, backend: str, path: str = "", *, max_size: int = 1_000_000, root: str = "") -> None:
        if backend not in BACKENDS:
            raise InvalidArgument(f'unknown event logger type "{backend}": must be one of {", ".join(BACKENDS)}')
        self.backend = backend
        self.path = path
        self.max_size = max_size
        self.root = root

    def publish(self, events: Sequence[Event]) -> None:
        """Append *events*; those without a time get the present one.

        Raises a :class:`WherryError` when the log cannot be written; then no line of a file is half written.
        """
        stamped = [event if event.time_ns else event.replace(time_ns=now_ns()) for event in events]
        if not stamped or self.backend == "none":
            return
        if self.backend == "journald":
            from wherry.events.journal import send

            for event in stamped:
                send(event, self.root)
            return
        try:
            self._append("".join(to_line(event) + "\n" for event in stamped).encode("utf-8", "replace"))
        except OSError as error:
            raise from_os_error(error, "writing event to file") from error

    def _append(self, content: bytes) -> None:
        from wherry.sys.files import make_dirs, write_all
        from wherry.sys.locks import FileLock

        make_dirs(os.path.dirname(self.path))
        with FileLock(self.path + ".lock").exclusive():
            size = self._size()
            if self.max_size and size and size + len(content) >= self.max_size:
                self._rotate()
            fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                before = os.fstat(fd).st_size
                try:
                    write_all(fd, content)
                except OSError:
                    os.ftruncate(fd, before)
                    raise
            finally:
                os.close(fd)

    def _size(self) -> int:
        try:
            return os.stat(self.path).st_size
        except FileNotFoundError:
            return 0

    def _rotate(self) -> None:
        from wherry.sys.files import atomic_write, read_bytes

        content = read_bytes(self.path)
        kept = content[len(content) // 2:].partition(b"\n")[2]
        atomic_write(self.path, self._marker("begin") + kept + self._marker("end"), sync=False)

    def _marker(self, which: str) -> bytes:
        event = Event(
            type="system", status="log-rotation", name=self.path, time_ns=now_ns(), attributes={ROTATE_ATTRIBUTE: which}
        )
        return (to_line(event) + "\n").encode("utf-8", "replace")
