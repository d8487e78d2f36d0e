"""Reading, decompression and hashing in a thread of their own, beside whoever consumes the data."""

from __future__ import annotations

import threading
from queue import Empty, Queue

from wherry.archive import compression
from wherry.errors import Corrupt, from_os_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from wherry.archive.compression import ClosableReadable, Readable

_CHUNK = 1 << 20
_AHEAD = 8              # chunks waiting at most
_POLL = 0.02            # seconds between looks whether the thread has ended, when closing early


class SizeLimitExceeded(Corrupt):
    """The content is larger, decompressed, than the caller allowed."""


class Ahead:
    """Data a thread reads ahead (:meth:`_pump`); for one consumer."""

    def __init__(self) -> None:
        self._closing = False       # set by the consumer
        self._ended = False         # the consumer has seen the end
        self._queue: Queue[bytes | BaseException] = Queue(_AHEAD)
        self._thread = threading.Thread(target=self._run, name="layer-reader", daemon=True)
        self._thread.start()

    def read(self, size: int) -> bytes:
        """The next piece, whatever *size* says; nothing at the end. Raises what reading raised."""
        if self._ended:
            return b""
        item = self._queue.get()
        if isinstance(item, BaseException):
            raise item
        self._ended = not item
        return item

    def close(self) -> None:
        """End the thread, at the latest when the read of the stream that is under way returns."""
        self._closing = True
        while self._thread.is_alive():
            try:
                self._queue.get(timeout=_POLL)
            except Empty:
                pass
        self._thread.join()

    def _run(self) -> None:
        try:
            self._pump()
        except OSError as error:
            self._queue.put(from_os_error(error, "reading layer"))
        except BaseException as error:
            self._queue.put(error)

    def _pump(self) -> None:
        """Put data into the queue, nothing as the last piece, until done or closing."""
        raise NotImplementedError


class ReadAhead(Ahead):
    """The decompressed content of a stream.

    *limit* is the largest size of the content in bytes, 0 for none; :class:`SizeLimitExceeded` beyond it.  Once
    :meth:`read` has returned nothing, ``digest`` is the ``sha256:...`` of everything read, ``size`` its length and
    ``compression`` the format found.
    """

    def __init__(self, stream: Readable, limit: int = 0) -> None:
        self.digest = ""
        self.size = 0
        self.compression = ""
        self._stream = stream
        self._limit = limit
        super().__init__()

    def __enter__(self) -> ReadAhead:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _pump(self) -> None:
        import hashlib

        stream, self.compression = compression.reader(self._stream)
        digest = hashlib.sha256()
        while not self._closing:
            data = stream.read(_CHUNK)
            if not data:
                self.digest = f"sha256:{digest.hexdigest()}"
                self._queue.put(b"")
                return
            self.size += len(data)
            if 0 < self._limit < self.size:
                raise SizeLimitExceeded(f"layer is larger than the limit of {self._limit} bytes when decompressed")
            self._queue.put(data)
            digest.update(data)


class OpenedAhead(Ahead):
    """A stream as it is; opened, read and closed by the thread, for the locks it may hold."""

    def __init__(self, open: Callable[[], ClosableReadable]) -> None:
        self._open = open
        super().__init__()

    def _pump(self) -> None:
        stream = self._open()
        try:
            while not self._closing:
                data = stream.read(_CHUNK)
                self._queue.put(data)
                if not data:
                    return
        finally:
            stream.close()
