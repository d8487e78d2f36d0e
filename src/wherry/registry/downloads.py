"""Blobs fetched in parallel into a spool, readable while they arrive.

A spooled blob only ever grows: a broken transfer is continued where it stopped, with a Range request or, where the
registry does not know those, by skipping what is there already.  So what a reader has seen is what the digest at the
end is computed over.  The first blob that fails fails them all; nobody waits for the rest of an image that cannot be.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence

from wherry.errors import Cancelled, Corrupt, InternalError, WherryError, from_os_error
from wherry.registry.failures import ConnectionFailed, Context, is_transient
from wherry.registry.http import Response
from wherry.registry.partial import PartialBlobs, hash_existing
from wherry.registry.progress import Reporter
from wherry.registry.retry import RetryPolicy
from wherry.registry.source import LayerBlob
from wherry.registry.spool import Spool, write_all
from wherry.registry.streams import Stream
from wherry.registry.verify import Verifier

#: Gives the blob from the wanted offset on, and the offset the answer really begins at.
Fetch = Callable[[LayerBlob, int], tuple[Response, int]]

_CHUNK = 128 << 10
#: A transfer that brought this many bytes before it broke has earned a fresh set of attempts.
_PROGRESS = 1 << 20
#: Seconds to wait for a worker that is told to stop; one that is still connecting ends by itself.
_JOIN = 5.0


class _Blob:
    """One download. ``received`` bytes can be read; ``complete`` once they are all there and verified."""

    def __init__(self, layer: LayerBlob, fd: int) -> None:
        self.layer = layer
        self.fd = fd
        self.received = 0
        self.complete = False


class Downloads:
    """Fetches *layers* with up to *workers* threads, in order, once the first of them is opened."""

    def __init__(
        self,
        fetch: Fetch,
        layers: Sequence[LayerBlob],
        spool: Spool,
        *,
        workers: int,
        retry: RetryPolicy,
        reporter: Reporter,
        cancelled: threading.Event,
        kept: PartialBlobs | None = None,
    ) -> None:
        self._fetch = fetch
        self._spool = spool
        self._kept = kept
        self._workers = max(workers, 1)
        self._retry = retry
        self._reporter = reporter
        self._cancelled = cancelled
        self._changed = threading.Condition()
        self._waiting: deque[_Blob] = deque()
        self._blobs: dict[str, _Blob] = {}
        self._threads: list[threading.Thread] = []
        self._error: WherryError | None = None
        self._pending = {layer.digest: layer for layer in layers}

    def open(self, layer: LayerBlob) -> Stream:
        """A stream of *layer*'s blob; its reads wait for the bytes. A layer not asked for at first is fetched now."""
        with self._changed:
            if self._cancelled.is_set():
                raise Cancelled("pull cancelled")
            for digest, pending in self._pending.items():
                self._enqueue(digest, pending)
            self._pending = {}
            if layer.digest not in self._blobs:
                self._enqueue(layer.digest, layer)
            blob = self._blobs[layer.digest]
        return _BlobStream(self, blob)

    def close(self, abort: Callable[[], None]) -> None:
        """Stop all transfers; *abort* is called to end those that wait for the network.

        Streams that are still open raise :class:`Cancelled`.
        """
        self._cancelled.set()
        with self._changed:
            self._waiting.clear()
            self._changed.notify_all()
        abort()
        for thread in list(self._threads):
            thread.join(_JOIN)

    def wait(self, blob: _Blob, offset: int) -> int:
        """Wait until *blob* has more than *offset* bytes or is complete; how many it has."""
        with self._changed:
            while True:
                if self._error is not None:
                    raise self._error
                if self._cancelled.is_set():
                    raise Cancelled("pull cancelled")
                if blob.complete or blob.received > offset:
                    return blob.received
                self._changed.wait()

    def _enqueue(self, digest: str, layer: LayerBlob) -> None:
        blob = self._blobs[digest] = _Blob(layer, -1 if self._kept is not None else self._spool.create())
        self._waiting.append(blob)
        if len(self._threads) < self._workers:
            thread = threading.Thread(target=self._work, name=f"wherry-blob-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _work(self) -> None:
        while True:
            with self._changed:
                if not self._waiting or self._error is not None:
                    # Gone from the list, so that a blob queued later gets a thread of its own.
                    self._threads.remove(threading.current_thread())
                    return
                blob = self._waiting.popleft()
            try:
                with Context(f"reading blob {blob.layer.digest}"):
                    self._download(blob)
            except WherryError as error:
                if self._kept is not None and isinstance(error, Corrupt):
                    self._kept.forget(blob.layer.digest)
                self._fail(error)
            except OSError as error:
                self._fail(from_os_error(error, f"reading blob {blob.layer.digest}"))
            except Exception as error:      # the reader must hear of a bug here, not wait for ever
                self._fail(InternalError(f"reading blob {blob.layer.digest}: {error!r}"))

    def _fail(self, error: WherryError) -> None:
        with self._changed:
            if self._error is None:
                self._error = error
            self._changed.notify_all()

    def _download(self, blob: _Blob) -> None:
        layer = blob.layer
        verifier = Verifier(layer.digest, layer.size)
        self._reporter.start(layer.digest, "Copying blob", layer.size)
        if self._kept is not None:
            self._take_up(blob, verifier, self._kept)
        # A descriptor of its own: whatever this thread does late, it cannot write to a number used again by then.
        fd = os.dup(blob.fd)
        try:
            if not blob.received or blob.received != layer.size:
                self._transfer(blob, fd, verifier)
        finally:
            os.close(fd)
        verifier.finish()
        if self._kept is not None:
            self._kept.downloaded(layer.digest)
        with self._changed:
            blob.complete = True
            self._changed.notify_all()
        self._reporter.finish(layer.digest, "done")

    def _take_up(self, blob: _Blob, verifier: Verifier, kept: PartialBlobs) -> None:
        """Begin with what an earlier pull left, or another one has just fetched."""
        blob.fd = kept.open(blob.layer.digest, blob.layer.size, self._cancelled)
        held = hash_existing(blob.fd, verifier)
        if held:
            kept.continued(blob.layer.digest)
            with self._changed:
                blob.received = held
                self._changed.notify_all()
            self._reporter.update(blob.layer.digest, held)

    def _transfer(self, blob: _Blob, fd: int, verifier: Verifier) -> None:
        """Receive all of *blob*, in as many attempts as the policy allows."""
        attempt = 0
        while True:
            before = blob.received
            try:
                self._receive(blob, fd, verifier)
                return
            except WherryError as error:
                if self._cancelled.is_set():
                    raise Cancelled("pull cancelled") from None
                if blob.received - before >= _PROGRESS:
                    attempt = 0
                if attempt >= self._retry.attempts or not is_transient(error):
                    raise
                self._retry.wait(attempt, error, self._cancelled)
                attempt += 1

    def _receive(self, blob: _Blob, fd: int, verifier: Verifier) -> None:
        """One transfer, appended to what earlier ones brought."""
        response, start = self._fetch(blob.layer, blob.received)
        try:
            size = blob.layer.size
            if size >= 0 and 0 <= response.length != size - start:
                raise Corrupt(f"registry sends {start + response.length} bytes, the manifest says {size}")
            skip = blob.received - start
            while not self._cancelled.is_set():
                data = response.read(_CHUNK)
                if not data:
                    if blob.received < size:
                        raise ConnectionFailed(f"unexpected EOF after {blob.received} of {size} bytes")
                    return
                if skip:
                    skip, data = max(skip - len(data), 0), data[skip:]
                self._append(blob, fd, verifier, data)
            raise Cancelled("pull cancelled")
        finally:
            response.close()

    def _append(self, blob: _Blob, fd: int, verifier: Verifier, data: bytes) -> None:
        verifier.update(data)
        write_all(fd, data, blob.received)
        with self._changed:
            blob.received += len(data)
            self._changed.notify_all()
        self._reporter.update(blob.layer.digest, blob.received)


class _BlobStream(Stream):
    """Reads a blob from its beginning, following it as it grows."""

    def __init__(self, downloads: Downloads, blob: _Blob) -> None:
        super().__init__()
        self._downloads = downloads
        self._blob = blob
        self._position = 0

    def next(self, size: int) -> bytes:
        available = self._downloads.wait(self._blob, self._position) - self._position
        try:
            data = os.pread(self._blob.fd, min(size, available), self._position)
        except OSError as error:
            raise from_os_error(error, f"reading blob {self._blob.layer.digest}") from error
        self._position += len(data)
        return data
