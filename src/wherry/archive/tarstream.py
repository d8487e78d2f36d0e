"""Tar archives as streams: a reader that keeps every raw byte, a writer whose output is Go's.

The reader goes forward only and never seeks.  For tar-split it hands out, besides each member's fields and content,
exactly the bytes that are neither: headers, padding and whatever follows the end marker.
"""

from __future__ import annotations

from wherry.archive.tarentry import (
    DIRECTORY,
    GNU_LONG_LINK,
    GNU_LONG_NAME,
    HEADER_ONLY,
    PAX_GLOBAL,
    PAX_NEXT,
    REGULAR,
    REGULAR_OLD,
    TarEntry,
)
from wherry.archive.tarheader import (
    BLOCK,
    MAX_EXTENDED,
    SECOND,
    XATTR_PREFIX,
    ZERO_BLOCK,
    decode_block,
    decode_records,
    encode_block,
    encode_records,
    fits_octal,
    format_pax_time,
    is_plain,
    octal_field,
    pax_integer,
    pax_time,
    split_ustar,
    to_plain,
)
from wherry.errors import Corrupt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from wherry.archive.compression import Readable, Writable

__all__ = ["TarEntry", "TarReader", "TarWriter", "encode_header"]

_READ = 1 << 20         # bytes asked of the stream at a time


class TarReader:
    """Iterates over the members of an uncompressed archive.

    Content is read with :meth:`content` before the next member is asked for; what is left unread is skipped.  After
    the last member :meth:`trailing` gives the rest of the stream.  A pax global header is a member of its own (type
    ``g``, its records in ``pax``); its records are not applied to other members, as in Go.  Raises :class:`Corrupt`
    for anything that is not a tar archive, and whatever the stream raises.
    """

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self._data = b""            # read from the stream; used up to _at
        self._at = 0
        self._remaining = 0         # content bytes of the current member not read yet
        self._padding = 0           # bytes after them up to the next block
        self._raw: list[bytes] = []
        self._ended = False

    def __iter__(self) -> Iterator[TarEntry]:
        return self

    def __next__(self) -> TarEntry:
        if self._remaining:
            for _ in self.content():
                pass
        if self._ended:
            raise StopIteration
        long_name = long_link = b""
        records: dict[bytes, bytes] = {}
        while True:
            entry = self._next_block()
            if entry is None:
                self._ended = True
                raise StopIteration
            kind = entry.type
            if kind in (PAX_NEXT, PAX_GLOBAL):
                records = decode_records(self._extended(entry.size))
                if kind == PAX_GLOBAL:
                    return self._finish_global(entry, records)
            elif kind == GNU_LONG_NAME:
                long_name = self._extended(entry.size).partition(b"\0")[0]
            elif kind == GNU_LONG_LINK:
                long_link = self._extended(entry.size).partition(b"\0")[0]
            else:
                return self._finish(entry, records, long_name, long_link)

    def content(self) -> Iterator[memoryview]:
        """The content of the current member in pieces, each valid until the next is asked for."""
        while self._remaining:
            if self._at == len(self._data):
                self._fill()
            piece = memoryview(self._data)[self._at:self._at + self._remaining]
            self._at += len(piece)
            self._remaining -= len(piece)
            yield piece

    def read(self) -> bytes:
        """The content of the current member, all of it."""
        return b"".join(self.content())

    def trailing(self) -> Iterator[bytes]:
        """After the last member: its padding and the end marker, if any, as one piece, then the rest of the stream."""
        raw = self._take_raw()
        if raw:
            yield raw
        while self._at < len(self._data) or self._fill(at_end=True):
            piece = self._data[self._at:]
            self._at = len(self._data)
            yield piece

    def _fill(self, *, at_end: bool = False) -> bool:
        """Read on; False at the end of the stream, which is an error unless *at_end* allows it."""
        self._data = self._stream.read(_READ)
        self._at = 0
        if not self._data and not at_end:
            raise Corrupt("reading tar stream: unexpected EOF")
        return bool(self._data)

    def _take(self, size: int, *, at_end: bool = False) -> bytes:
        """Exactly *size* bytes; fewer only at the end of the stream, and if *at_end* allows it."""
        data = self._data[self._at:self._at + size]
        self._at += len(data)
        while len(data) < size and self._fill(at_end=at_end):
            piece = self._data[:size - len(data)]
            self._at = len(piece)
            data += piece
        return data

    def _block(self) -> bytes:
        """The next block, or nothing at the end of the stream."""
        block = self._take(BLOCK, at_end=True)
        if 0 < len(block) < BLOCK:
            raise Corrupt("reading tar stream: unexpected EOF")
        self._raw.append(block)
        return block

    def _next_block(self) -> TarEntry | None:
        """Skip the padding and decode the next header block; None at the end of the archive.

        The end is two blocks of zeros, one followed by the end of the stream, or the end of the stream; some writers
        leave out even the padding before it.
        """
        if self._padding:
            self._raw.append(self._take(self._padding, at_end=True))
            self._padding = 0
        block = self._block()
        if not block:
            return None
        if block == ZERO_BLOCK:
            if self._block() not in (b"", ZERO_BLOCK):
                raise Corrupt("archive/tar: invalid tar header: a single zero block amid the archive")
            return None
        entry = decode_block(block)
        if entry.size < 0 and entry.type not in HEADER_ONLY:
            raise Corrupt("archive/tar: invalid tar header: negative size")
        return entry

    def _extended(self, size: int) -> bytes:
        """The content of an extended header or long name."""
        if size > MAX_EXTENDED:
            raise Corrupt(f"archive/tar: header field too long: extended header of {size} bytes, limit {MAX_EXTENDED}")
        data = self._take(size)
        self._raw.append(data)
        self._padding = -size % BLOCK
        return data

    def _finish_global(self, entry: TarEntry, records: dict[bytes, bytes]) -> TarEntry:
        entry = TarEntry(records.get(b"path") or entry.name, PAX_GLOBAL)
        entry.pax = records
        entry.raw = self._take_raw()
        return entry

    def _finish(self, entry: TarEntry, records: dict[bytes, bytes], long_name: bytes, long_link: bytes) -> TarEntry:
        if records:
            _merge(entry, records)
        if long_name:
            entry.name = long_name
        if long_link:
            entry.linkname = long_link
        if entry.type == REGULAR_OLD:
            entry.type = DIRECTORY if entry.name.endswith(b"/") else REGULAR
        if entry.type in HEADER_ONLY:
            entry.size = 0
        elif entry.size < 0:
            raise Corrupt("archive/tar: invalid tar header: negative size")
        self._remaining = entry.size
        self._padding = -entry.size % BLOCK
        entry.raw = self._take_raw()
        return entry

    def _take_raw(self) -> bytes:
        raw, self._raw = self._raw, []
        return raw[0] if len(raw) == 1 else b"".join(raw)


def _merge(entry: TarEntry, records: dict[bytes, bytes]) -> None:
    """Let the records of a pax extended header override the fields of the header block; an empty value does not.

    An attribute whose value is empty is one, though.
    """
    entry.pax = records
    for key, value in records.items():
        if key.startswith(XATTR_PREFIX):
            entry.xattrs[key[len(XATTR_PREFIX):]] = value
        elif not value:
            continue
        elif key == b"path":
            entry.name = value
        elif key == b"linkpath":
            entry.linkname = value
        elif key == b"mtime":
            entry.mtime_ns = pax_time(value)
        elif key == b"atime":
            entry.atime_ns = pax_time(value)
        elif key == b"size":
            entry.size = pax_integer(value)
        elif key == b"uid":
            entry.uid = pax_integer(value)
        elif key == b"gid":
            entry.gid = pax_integer(value)
        elif key == b"uname":
            entry.uname = value
        elif key == b"gname":
            entry.gname = value


class TarWriter:
    """Writes an archive to a stream, byte for byte as Go's archive/tar would."""

    def __init__(self, stream: Writable) -> None:
        self._stream = stream
        self._remaining = 0
        self._padding = 0

    def add(self, entry: TarEntry) -> None:
        """Write the headers of *entry*; its ``size`` bytes of content follow with :meth:`write`.

        Raises :class:`Corrupt` when the content of the member before is incomplete or *entry* cannot be encoded.
        """
        if self._remaining:
            raise Corrupt(f"archive/tar: missed writing {self._remaining} bytes")
        self._stream.write(bytes(self._padding) + encode_header(entry))
        self._remaining = 0 if entry.type in HEADER_ONLY else entry.size
        self._padding = -self._remaining % BLOCK

    def write(self, data: bytes) -> None:
        """Write content. Raises :class:`Corrupt` when it is more than was announced."""
        if len(data) > self._remaining:
            raise Corrupt("archive/tar: write too long")
        self._remaining -= len(data)
        self._stream.write(data)

    def close(self) -> None:
        """Write the end marker. The stream stays open."""
        if self._remaining:
            raise Corrupt(f"archive/tar: missed writing {self._remaining} bytes")
        self._stream.write(bytes(self._padding) + ZERO_BLOCK * 2)


def encode_header(entry: TarEntry) -> bytes:
    """The header blocks of *entry*: one ustar block, after a pax extended header where ustar cannot say it all.

    ``pax`` and ``raw`` are not consulted; ``atime_ns`` is written when set.  Raises :class:`Corrupt` when the entry
    cannot be encoded: a mode or device number too large, a NUL in a name.
    """
    for what, value in (("mode", entry.mode), ("devmajor", entry.devmajor), ("devminor", entry.devminor)):
        if not fits_octal(value, 8):
            raise Corrupt(f"archive/tar: cannot encode header: {what}={value}")
    records = _records(entry)
    seconds = entry.mtime_ns // SECOND
    size = 0 if entry.type in HEADER_ONLY else entry.size
    name = entry.name
    prefix = b""
    head = b""
    if records:
        head = _extended_header(name, encode_records(sorted(records.items())))
    else:
        split = split_ustar(name)
        if split:
            prefix, name = split
    return head + encode_block(
        name=to_plain(name), type=entry.type, mode=entry.mode, uid=entry.uid, gid=entry.gid, size=size, mtime=seconds,
        linkname=to_plain(entry.linkname), uname=to_plain(entry.uname), gname=to_plain(entry.gname),
        devmajor=octal_field(entry.devmajor, 8), devminor=octal_field(entry.devminor, 8), prefix=prefix,
    )


def _records(entry: TarEntry) -> dict[bytes, bytes]:
    """The extended header records *entry* needs; none when a ustar block holds everything.

    As in Go, a long name that ustar could split is recorded too once another field has made a record necessary.
    """
    records: dict[bytes, bytes] = {}
    splittable = b""
    if not is_plain(entry.name) or len(entry.name) > 100:
        if split_ustar(entry.name):
            splittable = entry.name
        else:
            records[b"path"] = entry.name
    names = ((b"linkpath", entry.linkname, 100), (b"uname", entry.uname, 32), (b"gname", entry.gname, 32))
    for key, text, limit in names:
        if not is_plain(text) or len(text) > limit:
            records[key] = text
    for key, number, width in ((b"uid", entry.uid, 8), (b"gid", entry.gid, 8), (b"size", entry.size, 12)):
        if not fits_octal(number, width):
            records[key] = b"%d" % number
    if entry.mtime_ns % SECOND or not fits_octal(entry.mtime_ns // SECOND, 12):
        records[b"mtime"] = format_pax_time(entry.mtime_ns)
    if entry.atime_ns is not None:
        records[b"atime"] = format_pax_time(entry.atime_ns)
    for name, value in entry.xattrs.items():
        records[XATTR_PREFIX + name] = value
    if records and splittable:
        records[b"path"] = splittable
    return records


def _extended_header(name: bytes, data: bytes) -> bytes:
    if len(data) > MAX_EXTENDED:
        raise Corrupt(f"archive/tar: header field too long: extended header of {len(data)} bytes, limit {MAX_EXTENDED}")
    directory, _, base = name.rpartition(b"/")
    parts = [part for part in (*directory.split(b"/"), b"PaxHeaders.0", base) if part]
    path = b"/" * name.startswith(b"/") + b"/".join(parts)
    block = encode_block(name=to_plain(path)[:100].rstrip(b"/"), type=PAX_NEXT, size=len(data))
    return block + data + bytes(-len(data) % BLOCK)
