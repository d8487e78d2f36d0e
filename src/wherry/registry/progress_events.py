"""Progress for programs: typed events for a callback, and the JSON lines of the Docker and libpod APIs.

The lines are those Podman's service sends (Docker API ``POST /images/create`` and ``/images/NAME/push``, libpod's
``/images/pull`` and ``/images/NAME/push``), one JSON object a line.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from wherry.model import jsontext
from wherry.model.record import Record
from wherry.registry.progress import Reporter

STARTED = "started"
ADVANCED = "advanced"
FINISHED = "finished"
SKIPPED = "skipped"
MESSAGE = "message"

#: Seconds between two reports of one blob's bytes.
_INTERVAL = 0.1
_SHORT = 12
_BAR = 50
_ALREADY = "skipped"
_UNITS = ("B", "kB", "MB", "GB", "TB")


class ProgressEvent(Record):
    """Something that happened to a transfer. ``id`` is the digest of a blob, empty for messages."""

    kind: str = ""              # started, advanced, finished, skipped (it was there already) or message
    id: str = ""
    text: str = ""              # of a message; what is done to the blob (``Copying blob``)
    done: int = 0               # bytes so far
    total: int = -1             # bytes in all, -1 when not known
    seconds: float = 0.0        # since the blob was begun


class _Item:
    def __init__(self, text: str, total: int, now: float) -> None:
        self.text = text
        self.total = total
        self.begun = now
        self.done = 0
        self.next = 0.0


class ProgressEvents(Reporter):
    """Calls *callback* with each :class:`ProgressEvent`, one call at a time; ten a second and blob at most."""

    def __init__(
        self, callback: Callable[[ProgressEvent], object], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._callback = callback
        self._clock = clock
        self._lock = threading.Lock()
        self._items: dict[str, _Item] = {}

    def start(self, id: str, text: str, total: int) -> None:
        with self._lock:
            item = self._items[id] = _Item(text, total, self._clock())
            self._tell(STARTED, id, item)

    def update(self, id: str, done: int) -> None:
        with self._lock:
            item = self._items.get(id)
            if item is None:
                return
            item.done = done
            now = self._clock()
            if now >= item.next:
                item.next = now + _INTERVAL
                self._tell(ADVANCED, id, item)

    def finish(self, id: str, text: str) -> None:
        with self._lock:
            item = self._items.pop(id, None)
            if item is None:
                return
            skipped = text.startswith(_ALREADY)
            if not skipped and item.total >= 0:
                item.done = item.total
            self._tell(SKIPPED if skipped else FINISHED, id, item)

    def message(self, text: str) -> None:
        with self._lock:
            self._callback(ProgressEvent(kind=MESSAGE, text=text))

    def _tell(self, kind: str, id: str, item: _Item) -> None:
        self._callback(ProgressEvent(
            kind=kind, id=id, text=item.text, done=item.done, total=item.total, seconds=self._clock() - item.begun,
        ))


class DockerLines(ProgressEvents):
    """The lines of Docker's API, passed to *write* as bytes with their newline; *push* says which way it goes."""

    def __init__(
        self, write: Callable[[bytes], object], *, push: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(self._event, clock=clock)
        self._write = write
        self._words = _PUSH_WORDS if push else _PULL_WORDS

    def _event(self, event: ProgressEvent) -> None:
        if event.kind == MESSAGE:
            return                          # Docker's clients know nothing of Podman's lines
        line: dict[str, Any] = {"status": self._words[event.kind], "progressDetail": {}}
        if event.kind == ADVANCED:
            line["progressDetail"] = {"current": event.done}
            if event.total > 0:
                line["progressDetail"]["total"] = event.total
            line["progress"] = bar(event.done, event.total)
        self._line({**line, "id": event.id.rpartition(":")[2][:_SHORT]})

    def pulled(self, name: str, digest: str, *, newer: bool) -> None:
        """The last lines of a pull: *name* as it was asked for, the manifest's digest, whether anything was new."""
        self._line({"status": f"Digest: {digest}"})
        how = "Downloaded newer image for" if newer else "Image is up to date for"
        self._line({"status": f"Status: {how} {name}"})

    def pushing(self, repository: str) -> None:
        """The first line of a push."""
        self._line({"status": f"The push refers to repository [{repository}]"})

    def pushed(self, tag: str, digest: str, size: int) -> None:
        """The last lines of a push: the manifest's digest and size."""
        self._line({"status": f"{tag}: digest: {digest} size: {size}"})
        self._line({"progressDetail": {}, "aux": {"Tag": tag, "Digest": digest, "Size": size}})

    def failed(self, message: str) -> None:
        """The only way to say so once an answer has begun."""
        self._line({"progressDetail": {}, "errorDetail": {"message": message}, "error": message})

    def _line(self, document: dict[str, Any]) -> None:
        self._write(jsontext.dumps(document).encode() + b"\n")


_PULL_WORDS = {
    STARTED: "Pulling fs layer", ADVANCED: "Downloading", FINISHED: "Download complete", SKIPPED: "Already exists",
}
_PUSH_WORDS = {STARTED: "Preparing", ADVANCED: "Pushing", FINISHED: "Pushed", SKIPPED: "Layer already exists"}


class LibpodLines(Reporter):
    """The lines of libpod's API: Podman's progress lines as ``stream``, then the result or an ``error``."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._lock = threading.Lock()

    def start(self, id: str, text: str, total: int) -> None:
        self.message(f"{text} {id}")

    def message(self, text: str) -> None:
        self._line({"stream": text + "\n"})

    def pulled(self, ids: Sequence[str]) -> None:
        """The last line of a pull."""
        self._line({"images": list(ids), "id": ids[-1] if ids else ""})

    def failed(self, message: str) -> None:
        """The last line of what did not succeed."""
        self._line({"error": message})

    def _line(self, document: dict[str, Any]) -> None:
        with self._lock:
            self._write(jsontext.dumps(document).encode() + b"\n")


def bar(done: int, total: int) -> str:
    """``[=====>     ]  1.379MB/4.335MB`` as Docker's clients draw it; bytes only when *total* is not known."""
    if total <= 0:
        return f"{_size(done):>8}"
    filled = min(done * _BAR // total, _BAR)
    drawn = "=" * filled + ">" * (filled < _BAR)
    return f"[{drawn:<{_BAR}}] {_size(min(done, total)):>8}/{_size(total)}"


def _size(count: int) -> str:
    """Four significant digits, decimal units: ``1.379MB``."""
    value = float(count)
    for unit in _UNITS:
        if value < 1000 or unit == _UNITS[-1]:
            break
        value /= 1000
    return f"{value:.4g}{unit}"
