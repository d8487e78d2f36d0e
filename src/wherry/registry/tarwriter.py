"""Files written as members of a tar archive, to a file or a pipe."""

from __future__ import annotations

import os
import threading

from wherry.archive.tarentry import TarEntry
from wherry.archive.tarheader import BLOCK
from wherry.archive.tarstream import encode_header
from wherry.errors import Corrupt, from_os_error
from wherry.registry.streams import Readable

_PIECE = 1 << 20


class ArchiveWriter:
    """Appends regular files to the archive on the descriptor *fd*, which stays the caller's. Times are 0.

    May be used by several threads; each member is written whole.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._names: set[str] = set()
        self.lock = threading.RLock()

    def has(self, name: str) -> bool:
        """Was this member written already?"""
        return name in self._names

    def add_bytes(self, name: str, data: bytes) -> None:
        """A small file."""
        with self.lock:
            self._header(name, len(data))
            self._write(data + bytes(-len(data) % BLOCK))

    def add_stream(self, name: str, stream: Readable, size: int) -> None:
        """*size* bytes from *stream*. Raises :class:`Corrupt` when it has more or fewer."""
        with self.lock:
            self._header(name, size)
            left = size
            while data := stream.read(_PIECE):
                left -= len(data)
                if left < 0:
                    break
                self._write(data)
            if left:
                raise Corrupt(f"writing {name}: the content does not have the {size} bytes it should")
            self._write(bytes(-size % BLOCK))

    def add_file(self, name: str, fd: int, size: int) -> None:
        """The first *size* bytes of the file *fd*."""
        with self.lock:
            self._header(name, size)
            at = 0
            while at < size:
                data = os.pread(fd, min(_PIECE, size - at), at)
                if not data:
                    raise Corrupt(f"writing {name}: unexpected EOF")
                self._write(data)
                at += len(data)
            self._write(bytes(-size % BLOCK))

    def end(self) -> None:
        """The end-of-archive mark."""
        self._write(bytes(2 * BLOCK))

    def _header(self, name: str, size: int) -> None:
        self._names.add(name)
        self._write(encode_header(TarEntry(os.fsencode(name), mode=0o444, size=size)))

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view):]
        except OSError as error:
            raise from_os_error(error, "writing archive") from error
