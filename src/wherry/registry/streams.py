"""Readable streams of blobs: parts of files, verified, reported.

Reads may return fewer bytes than asked for, and none only at the end.
"""

from __future__ import annotations

import io
import os
from typing import Any, Protocol

from wherry.errors import from_os_error
from wherry.registry.progress import Reporter
from wherry.registry.verify import Verifier


class Readable(Protocol):
    """What can be read from: the streams here, files, decompressors."""

    def read(self, size: int, /) -> bytes: ...


class Stream(io.RawIOBase):
    """A raw stream that subclasses feed with :meth:`next`; ``io`` provides the rest."""

    def next(self, size: int) -> bytes:
        """Up to *size* (> 0) bytes, none at the end."""
        raise NotImplementedError

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        if self.closed:
            raise ValueError("I/O operation on closed file.")
        if size is None or size < 0:
            return self.readall()
        return self.next(size) if size else b""

    def readinto(self, buffer: Any, /) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class FileRange(Stream):
    """*size* bytes of the open file *fd* from *offset* on. The descriptor stays the caller's."""

    def __init__(self, fd: int, offset: int, size: int) -> None:
        super().__init__()
        self._fd = fd
        self._at = offset
        self._end = offset + size

    def next(self, size: int) -> bytes:
        try:
            data = os.pread(self._fd, min(size, self._end - self._at), self._at)
        except OSError as error:
            raise from_os_error(error, "reading blob") from error
        self._at += len(data)
        return data


class _Over(Stream):
    """A stream over another, which is closed with it."""

    def __init__(self, raw: Readable) -> None:
        super().__init__()
        self._raw = raw

    def close(self) -> None:
        if isinstance(self._raw, io.IOBase):
            self._raw.close()
        super().close()


class Verified(_Over):
    """Reads *raw* and checks it: the last read raises :class:`Corrupt` instead of ending when the digest is wrong."""

    def __init__(self, raw: Readable, digest: str, size: int = -1) -> None:
        super().__init__(raw)
        self._verifier = Verifier(digest, size)

    def next(self, size: int) -> bytes:
        data = self._raw.read(size)
        if data:
            self._verifier.update(data)
        else:
            self._verifier.finish()
        return data


class Reported(_Over):
    """Passes *raw* on and tells *reporter* how far it is. *total* is -1 when the size is not known."""

    def __init__(self, raw: Readable, digest: str, total: int, reporter: Reporter) -> None:
        super().__init__(raw)
        self._digest = digest
        self._reporter = reporter
        self._done = 0
        reporter.start(digest, "Copying blob", total)

    def next(self, size: int) -> bytes:
        data = self._raw.read(size)
        self._done += len(data)
        if data:
            self._reporter.update(self._digest, self._done)
        else:
            self._reporter.finish(self._digest, "done")
        return data
