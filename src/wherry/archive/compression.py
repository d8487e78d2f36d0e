"""Compression of layers and archives: recognised by content, read and written as streams.

gzip goes through ISA-L (``isal``) where that is installed and zlib otherwise; zstd through the standard library from
Python 3.14 and ``backports.zstd`` before; bzip2 and xz through the standard library.  All libraries are loaded when
first needed.  They release the interpreter lock while they work, so a reader may run beside other threads.
"""

from __future__ import annotations

from wherry.errors import Corrupt, InvalidArgument, Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    class Readable(Protocol):
        def read(self, size: int, /) -> bytes:
            """Up to *size* bytes; fewer are allowed, none only at the end."""

    class ClosableReadable(Readable, Protocol):
        def close(self) -> None: ...

    class Writable(Protocol):
        def write(self, data: bytes, /) -> object: ...

    class Decompressor(Protocol):
        """The interface the bz2, lzma, zstd and igzip decompressors share."""

        @property
        def eof(self) -> bool: ...

        @property
        def needs_input(self) -> bool: ...

        @property
        def unused_data(self) -> bytes: ...

        def decompress(self, data: bytes, max_length: int = -1, /) -> bytes: ...

    class Compressor(Protocol):
        def compress(self, data: bytes, /) -> bytes: ...

        def flush(self) -> bytes: ...


NONE = "none"
GZIP = "gzip"
BZIP2 = "bzip2"
XZ = "xz"
ZSTD = "zstd"

#: First bytes of each format (containers/storage compares the same ones).
_MAGIC = (
    (b"\x1f\x8b\x08", GZIP),
    (b"BZh", BZIP2),
    (b"\xfd7zXZ\x00", XZ),
    (b"\x28\xb5\x2f\xfd", ZSTD),
)
_LONGEST_MAGIC = 6
_INPUT = 256 << 10      # compressed bytes read at a time

#: What decompressors raise for bad data, besides a library's own error class: EOFError (lzma), ValueError.
_BAD_DATA = (OSError, EOFError, ValueError)


def detect(head: bytes) -> str:
    """The format a stream that begins with *head* (6 bytes are enough) is in: ``gzip bzip2 xz zstd`` or ``none``."""
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    return NONE


def reader(stream: Readable) -> tuple[Readable, str]:
    """A stream of the decompressed content of *stream*, and the name of the compression found.

    Several members one after the other (gzip, bzip2, xz, zstd frames) are read as one.  Reading raises
    :class:`Corrupt` for damaged or truncated data; this call :class:`Unavailable` when the library is missing.
    """
    head = b""
    while len(head) < _LONGEST_MAGIC:
        more = stream.read(_INPUT)
        if not more:
            break
        head += more
    name = detect(head)
    if name == NONE:
        return _Replay(head, stream), name
    new, error = _decompressor(name)
    return _Decompressed(head, stream, name, new, error), name


def writer(stream: Writable, name: str, level: int = -1) -> Compressed | Plain:
    """A stream that compresses what is written to it into *stream*; ``close()`` ends it and leaves *stream* open.

    *level* is the format's own scale (gzip 0-9, zstd 1-22), -1 the usual one.  Output is the same for the same input,
    level and library version: gzip headers carry neither time nor name.  Raises :class:`InvalidArgument` for another
    *name* than ``gzip``, ``zstd`` and ``none``.
    """
    if name == NONE:
        return Plain(stream)
    if name == GZIP:
        return Compressed(stream, _gzip_compressor(level))
    if name == ZSTD:
        return Compressed(stream, _zstd().ZstdCompressor(level=3 if level < 0 else level))
    raise InvalidArgument(f"cannot compress as {name!r}: want gzip, zstd or none")


class _Replay:
    """A stream whose first bytes have been looked at."""

    def __init__(self, head: bytes, stream: Readable) -> None:
        self._head = head
        self._stream = stream

    def read(self, size: int) -> bytes:
        if self._head:
            part, self._head = self._head[:size], self._head[size:]
            return part
        return self._stream.read(size)


class _Decompressed:
    def __init__(
        self, head: bytes, stream: Readable, name: str, new: Callable[[], Decompressor], error: type[Exception]
    ) -> None:
        self._pending = head
        self._stream = stream
        self._name = name
        self._new = new
        self._errors = (error, *_BAD_DATA)
        self._member: Decompressor | None = new()

    def read(self, size: int) -> bytes:
        """Up to *size* decompressed bytes, at least one before the end."""
        while self._member is not None:
            member = self._member
            if member.eof:
                self._member = self._next_member(member.unused_data)
                continue
            data = b""
            if member.needs_input:
                data = self._take_input()
                if not data:
                    raise Corrupt(f"reading {self._name} data: unexpected EOF")
            try:
                out = member.decompress(data, size)
            except self._errors as error:
                raise Corrupt(f"reading {self._name} data: {error}") from None
            if out:
                return out
        return b""

    def _take_input(self) -> bytes:
        data, self._pending = self._pending, b""
        return data or self._stream.read(_INPUT)

    def _next_member(self, rest: bytes) -> Decompressor | None:
        """What follows a member: another one, zero bytes that pad the last block of a tape or stream, or the end."""
        self._pending = rest
        while True:
            data = self._take_input()
            if not data:
                return None
            data = data.lstrip(b"\0")
            if data:
                self._pending = data
                return self._new()


class Plain:
    """The writer for no compression."""

    def __init__(self, stream: Writable) -> None:
        self._stream = stream

    def write(self, data: bytes) -> None:
        self._stream.write(data)

    def close(self) -> None:
        """Nothing to end."""


class Compressed:
    """A writer that compresses."""

    def __init__(self, stream: Writable, compressor: Compressor) -> None:
        self._stream = stream
        self._compressor = compressor

    def write(self, data: bytes) -> None:
        out = self._compressor.compress(data)
        if out:
            self._stream.write(out)

    def close(self) -> None:
        """Write what is still held back and the trailer."""
        self._stream.write(self._compressor.flush())


def _decompressor(name: str) -> tuple[Callable[[], Decompressor], type[Exception]]:
    """The maker of decompressors of one member and the error class they raise."""
    if name == GZIP:
        return _gzip_decompressor()
    if name == BZIP2:
        from bz2 import BZ2Decompressor

        return BZ2Decompressor, OSError
    if name == XZ:
        from lzma import FORMAT_XZ, LZMADecompressor, LZMAError

        return lambda: LZMADecompressor(FORMAT_XZ), LZMAError
    zstd = _zstd()
    return zstd.ZstdDecompressor, zstd.ZstdError


def _gzip_decompressor() -> tuple[Callable[[], Decompressor], type[Exception]]:
    try:
        from isal import igzip_lib
    except ImportError:
        import zlib

        return _ZlibMember, zlib.error
    bad: Any = igzip_lib.IsalError
    return lambda: igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP), bad


class _ZlibMember:
    """zlib's gzip decompressor behind the interface the others share."""

    def __init__(self) -> None:
        import zlib

        self._zlib = zlib.decompressobj(wbits=31)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        held = self._zlib.unconsumed_tail
        out = self._zlib.decompress(held + data if held else data, max(max_length, 0))
        # A full output buffer says nothing about what zlib still holds: ask again before reading on.
        self.needs_input = not self._zlib.unconsumed_tail and (max_length < 0 or len(out) < max_length)
        return out


def _gzip_compressor(level: int) -> Compressor:
    """ISA-L's levels end at 3, which compresses about as zlib's do; from 4 on zlib is what was asked for."""
    if level <= 3:
        try:
            from isal import isal_zlib
        except ImportError:
            pass
        else:
            fast: Compressor = isal_zlib.compressobj(2 if level < 0 else level, wbits=31)
            return fast
    import zlib

    return zlib.compressobj(level, wbits=31)


def _zstd() -> Any:
    """The zstd module of the standard library or its backport."""
    try:
        from compression import zstd  # type: ignore[import-not-found]
    except ImportError:
        try:
            from backports import zstd
        except ImportError:
            raise Unavailable(
                "zstd compression is not available", hint="install the Python package backports.zstd"
            ) from None
    return zstd
