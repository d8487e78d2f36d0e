"""tar-split: what is needed, besides the extracted files, to give back the tar a layer came from, bit for bit.

A gzip file of JSON lines, one per *segment* (raw bytes: headers and padding) and one per *file* (a name and the CRC-64
of its content).  For an ordinary archive the lines are those tar-split 0.11 (podman 4.3) writes.
"""

from __future__ import annotations

import os
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64

from wherry.archive import compression
from wherry.archive.crc64 import crc64
from wherry.archive.tree import Tree, beneath, clean, named, shown
from wherry.errors import Corrupt, from_os_error
from wherry.model import jsontext
from wherry.sys.files import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

_FILE = 1
_SEGMENT = 2
_FILE_LINE = b'{"type":1,"name":"'
_SEGMENT_LINE = b'{"type":2,"payload":"'
_FLUSH = 256 << 10          # JSON text collected before it is compressed
_READ = 1 << 20
_LONGEST_LINE = 64 << 20    # of JSON; far above what an extended header of the largest size makes

#: The escapes of Go's JSON encoder: HTML's characters and line separators besides those JSON demands.
_GO_ESCAPES = {number: f"\\u{number:04x}" for number in (*range(32), *b"&<>", 0x2028, 0x2029)}
_GO_ESCAPES |= {ord(char): "\\" + escaped for char, escaped in zip('"\\\n\r\t', '"\\nrt', strict=True)}


class TarSplitWriter:
    """Writes the tar-split of one layer to *path* while its tar is read.

    Call :meth:`segment` and :meth:`file` in the order of the archive, then :meth:`close`; or :meth:`abort`, which
    removes the file.  Raises :class:`Corrupt` for a second member of the same name, in podman's words, and
    :class:`OSError`.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._names: set[bytes] = set()
        self._lines: list[str] = []
        self._held = 0
        self._position = 0
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        self._gzip = compression.writer(self, compression.GZIP, 1)

    def write(self, data: bytes) -> None:
        """Where the compressor puts its output."""
        write_all(self._fd, data)

    def segment(self, data: bytes) -> None:
        """Raw bytes of the archive."""
        payload = b2a_base64(data, newline=False).decode()
        self._line(f'{{"type":2,"payload":"{payload}","position":{self._position}}}\n')

    def file(self, name: bytes, size: int, crc: int) -> None:
        """A member, after the segment with its headers; content of *size* bytes is in the layer's file *name*.

        A size of 0 stands for no content too (directories, links) and for content given as a segment.
        """
        key = clean(name)
        if key in self._names:
            raise Corrupt(f"{shown(name)}: duplicates of file paths not supported")
        self._names.add(key)
        fields = _json_name(name)
        if size:
            payload = b2a_base64(crc.to_bytes(8, "big"), newline=False).decode()
            fields += f'"size":{size},"payload":"{payload}"'
        else:
            fields += '"payload":null'
        self._line(f'{{"type":1,{fields},"position":{self._position}}}\n')

    def close(self) -> None:
        """Write the rest and close the file.

        It is not brought to the disk: the layer's files, which it is worth nothing without, are not either, and after a
        power cut both are made anew from the image (``system check`` tells).  The empty segment at the end is a habit
        of tar-split 0.11, kept so that the content can be compared.
        """
        self.segment(b"")
        self._flush()
        self._gzip.close()
        os.close(self._fd)
        self._fd = -1

    def abort(self) -> None:
        """Close and remove the file, unless :meth:`close` has been there."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            os.unlink(self._path)

    def _line(self, text: str) -> None:
        self._position += 1
        self._lines.append(text)
        self._held += len(text)
        if self._held >= _FLUSH:
            self._flush()

    def _flush(self) -> None:
        self._gzip.write("".join(self._lines).encode())
        self._lines.clear()
        self._held = 0


def _json_name(name: bytes) -> str:
    """The name field as Go's encoder writes it, left out when empty."""
    if not name:
        return ""
    try:
        text = name.decode()
    except UnicodeDecodeError:
        return f'"name_raw":"{b2a_base64(name, newline=False).decode()}",'
    return f'"name":"{text.translate(_GO_ESCAPES)}",'


def reassemble(tar_split_path: str, roots: Sequence[str]) -> Iterator[bytes]:
    """The uncompressed tar of a layer, in pieces.

    Content is looked up by name in each of *roots*: the layer's own ``diff``, then its lower layers' in order (they
    matter for id-mapped copies, whose own is empty).  Names are resolved inside the root, symbolic links included.
    Raises :class:`NotFound` when there is no tar-split; :class:`Corrupt` when it is damaged, or a file is missing or
    not what it was (size or CRC-64 differ).
    """
    trees: list[Tree] = []
    try:
        trees.extend(Tree(root) for root in roots)
        for kind, name, size, payload in _entries(tar_split_path):
            if kind == _SEGMENT:
                if payload:
                    yield payload
            elif kind == _FILE and size:
                yield from _file_content(trees, name, size, int.from_bytes(payload, "big"))
    except OSError as error:
        raise from_os_error(named(error), "reading layer") from error
    finally:
        for tree in trees:
            tree.close()


def _entries(path: str) -> Iterator[tuple[int, bytes, int, bytes]]:
    """The lines of a tar-split file as (type, name, size, payload)."""
    with open(path, "rb") as file:
        stream, _ = compression.reader(file)
        rest = b""
        while data := stream.read(_READ):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                yield _scan(line) or _decode(line)
            if len(rest) > _LONGEST_LINE:
                raise Corrupt(f"{path}: not tar-split data: line too long")
        if rest:
            yield _decode(rest)


def _scan(line: bytes) -> tuple[int, bytes, int, bytes] | None:
    """A line in the very form tar-split writes and without escapes, read without a JSON parser; None for others."""
    if b"\\" in line:
        return None
    try:
        if line.startswith(_SEGMENT_LINE):
            end = line.index(b'","position":', len(_SEGMENT_LINE))
            return _SEGMENT, b"", 0, a2b_base64(line[len(_SEGMENT_LINE):end], strict_mode=True)
        if line.startswith(_FILE_LINE):
            end = line.index(b'"', len(_FILE_LINE))
            name, fields = line[len(_FILE_LINE):end], line[end:]
            if fields.startswith(b'","payload":null,'):
                return _FILE, name, 0, b""
            if fields.startswith(b'","size":'):
                size, found, payload = fields[9:].partition(b',"payload":"')
                if found and size.isdigit():
                    return _FILE, name, int(size), a2b_base64(payload[:payload.index(b'"')], strict_mode=True)
    except ValueError:
        return None
    return None


def _decode(line: bytes) -> tuple[int, bytes, int, bytes]:
    try:
        value = jsontext.loads(line)
    except jsontext.JSONError as error:
        raise Corrupt(f"not tar-split data: {error}") from None
    if not isinstance(value, dict):
        raise Corrupt("not tar-split data: not an object")
    kind = value.get("type")
    return kind if isinstance(kind, int) else 0, _name(value), _size(value), _payload(value)


def _payload(entry: dict[str, Any]) -> bytes:
    try:
        return a2b_base64(entry.get("payload") or b"", strict_mode=True)
    except (Base64Error, ValueError, TypeError) as error:
        raise Corrupt(f"not tar-split data: {error}") from None


def _name(entry: dict[str, Any]) -> bytes:
    try:
        if entry.get("name_raw"):
            return a2b_base64(entry["name_raw"])
        name: str = entry.get("name", "")
        return name.encode()
    except (Base64Error, ValueError, TypeError, AttributeError) as error:
        raise Corrupt(f"not tar-split data: {error}") from None


def _size(entry: dict[str, Any]) -> int:
    size = entry.get("size", 0)
    if not isinstance(size, int) or size < 0:
        raise Corrupt("not tar-split data: wrong size")
    return size


def _file_content(trees: Sequence[Tree], name: bytes, size: int, crc: int) -> Iterator[bytes]:
    fd = _open_first(trees, name)
    if fd < 0:
        raise Corrupt(f"{shown(name)}: file of the layer is missing")
    found = 0
    left = size
    try:
        # One byte more than expected is asked for, so that a file that has grown is noticed.
        while piece := os.read(fd, min(left + 1, _READ)):
            if len(piece) > left:
                break
            found = crc64(piece, found)
            left -= len(piece)
            yield piece
            if not left and found == crc and size < _READ:
                return      # a read that brought less than it might have has met the end
    finally:
        os.close(fd)
    if left or piece or found != crc:
        raise Corrupt(f"file integrity checksum failed for {jsontext.dumps(shown(name))}")


def _open_first(trees: Sequence[Tree], name: bytes) -> int:
    """A descriptor of the regular file *name* in the first tree that has it, or -1."""
    for tree in trees:
        try:
            return tree.open_regular(beneath(clean(name)))
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            continue
    return -1
