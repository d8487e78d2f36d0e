"""Tar header blocks and extended header records: decoding and encoding.

Formats: POSIX ustar and pax (POSIX.1-2001, pax(1) "EXTENDED DESCRIPTION"), GNU tar (tar(5), "GNU tar archives") and the
original V7 layout.  Decoding accepts what Go's archive/tar accepts, because that decides which layers other engines
can read; encoding chooses what Go's writer chooses: ustar where every field fits, pax where one does not.
"""

from __future__ import annotations

from _struct import Struct
from zlib import adler32

from wherry.archive.tarentry import TarEntry
from wherry.errors import Corrupt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

BLOCK = 512
SECOND = 1_000_000_000      # in nanoseconds
ZERO_BLOCK = bytes(BLOCK)

#: Extended header key prefix under which extended attributes travel (star's, now everybody's).
XATTR_PREFIX = b"SCHILY.xattr."

#: Largest extended header or long name taken (Go's limit, and libarchive's).
MAX_EXTENDED = 1 << 20

_NAME_SIZE = 100
_PREFIX_SIZE = 155
_LAYOUT = Struct("100s8s8s8s12s12s8s1s100s8s32s32s8s8s155s12s")
_USTAR_MAGIC = b"ustar\x00"
_USTAR = _USTAR_MAGIC + b"00"
_GNU = b"ustar  \x00"
_STAR_TRAILER = b"tar\x00"
_MOST_KNOWN = 4096
_known: dict[bytes, int] = {}       # number fields met and their values; few differ within an archive
_MOST_DIGITS = 40       # of a decimal number; leading zeros are allowed


def decode_block(block: bytes) -> TarEntry:
    """Decode one 512-byte header block. Raises :class:`Corrupt` for a wrong checksum or a field that is no number."""
    (name, mode, uid, gid, size, mtime, checksum, kind, linkname, magic, uname, gname, devmajor, devminor, prefix, tail
     ) = _LAYOUT.unpack(block)
    found = _octal(checksum)
    if found != _sum(block) - sum(checksum) + 256 and found != _signed_sum(block):
        raise Corrupt("archive/tar: invalid tar header: checksum mismatch")
    entry = TarEntry(
        name.partition(b"\0")[0], kind, mode=_number(mode), uid=_number(uid), gid=_number(gid), size=_number(size),
        mtime_ns=_number(mtime) * SECOND, linkname=linkname.partition(b"\0")[0],
    )
    if magic == _GNU or magic.startswith(_USTAR_MAGIC):
        entry.uname = uname.partition(b"\0")[0]
        entry.gname = gname.partition(b"\0")[0]
        entry.devmajor = _number(devmajor)
        entry.devminor = _number(devminor)
        _decode_last_fields(entry, magic, prefix, tail)
    return entry


def _decode_last_fields(entry: TarEntry, magic: bytes, prefix: bytes, tail: bytes) -> None:
    """The last third of the block: a path prefix in ustar, times in GNU's format, both in star's."""
    if magic == _GNU:
        try:
            entry.atime_ns = _gnu_time(prefix[:12])
            _gnu_time(prefix[12:24])
        except Corrupt:
            # Some writers (Go before 1.9) put a ustar prefix into GNU headers.
            entry.atime_ns = None
            _join_prefix(entry, prefix if prefix.isascii() else b"")
    elif tail.endswith(_STAR_TRAILER):
        entry.atime_ns = _number((prefix + tail)[131:143]) * SECOND
        _join_prefix(entry, prefix[:131])
    else:
        _join_prefix(entry, prefix)


def _gnu_time(field: bytes) -> int | None:
    return _number(field) * SECOND if field[0] else None


def _join_prefix(entry: TarEntry, prefix: bytes) -> None:
    prefix = prefix.partition(b"\0")[0]
    if prefix:
        entry.name = prefix + b"/" + entry.name


def _sum(block: bytes) -> int:
    """The sum of all bytes of the block.

    The lower half of an Adler-32 checksum is one more than that sum modulo 65521, which 256 bytes do not reach; it
    takes a twentieth of the time ``sum`` does.
    """
    return (adler32(block[:256]) & 0xFFFF) + (adler32(block[256:]) & 0xFFFF) - 2


def _signed_sum(block: bytes) -> int:
    """The checksum as Sun's tar computed it, from signed bytes, its own field counted as eight spaces."""
    data = block[:148] + b" " * 8 + block[156:]
    return sum(data) - 256 * sum(1 for byte in data if byte > 127)


def _octal(field: bytes) -> int:
    text = field.strip(b" \0").partition(b"\0")[0]
    if not text:
        return 0
    if not text.isdigit():
        raise Corrupt(f"archive/tar: invalid tar header: {field!r} is not a number")
    try:
        return int(text, 8)
    except ValueError:
        raise Corrupt(f"archive/tar: invalid tar header: {field!r} is not an octal number") from None


def _number(field: bytes) -> int:
    """An octal number, or GNU's base-256 form: two's complement, marked by the top bit of the first byte."""
    known = _known.get(field)
    if known is not None:
        return known
    number = _base256(field) if field[0] >= 0x80 else _octal(field)
    if len(_known) < _MOST_KNOWN:
        _known[field] = number
    return number


def _base256(field: bytes) -> int:
    bits = 8 * len(field) - 1
    value = int.from_bytes(field, "big") & ((1 << bits) - 1)
    if field[0] & 0x40:
        value -= 1 << bits
    return _checked(value)


def _checked(number: int) -> int:
    if not -(1 << 63) <= number < 1 << 63:
        raise Corrupt("archive/tar: invalid tar header: number out of range")
    return number


def decode_records(data: bytes) -> dict[bytes, bytes]:
    """The records of a pax extended header, ``LENGTH KEY=VALUE\\n`` each; a later record of a key wins.

    Raises :class:`Corrupt` for anything else.
    """
    records: dict[bytes, bytes] = {}
    start = 0
    while start < len(data):
        space = data.find(b" ", start, start + 20)
        digits = data[start:space] if space > 0 else b""
        if not digits.isdigit():
            raise Corrupt("archive/tar: invalid tar header: malformed extended header")
        end = start + int(digits)
        key, equals, value = data[space + 1:end - 1].partition(b"=")
        if end > len(data) or end <= space + 1 or data[end - 1] != 0x0A or not equals or not _is_valid(key, value):
            raise Corrupt("archive/tar: invalid tar header: malformed extended header")
        records[key] = value
        start = end
    return records


def encode_records(records: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The inverse of :func:`decode_records`, in the order given."""
    out = []
    for key, value in records:
        if not _is_valid(key, value):
            raise Corrupt(f"archive/tar: cannot encode header: invalid extended header record {key!r}")
        rest = len(key) + len(value) + 3        # the space, the equals sign and the newline
        size = rest + len(str(rest))
        size = rest + len(str(size))
        out.append(b"%d %s=%s\n" % (size, key, value))
    return b"".join(out)


def _is_valid(key: bytes, value: bytes) -> bool:
    if not key or b"=" in key:
        return False
    if key in (b"path", b"linkpath", b"uname", b"gname"):
        return b"\0" not in value
    return b"\0" not in key


def pax_integer(value: bytes) -> int:
    """A decimal integer of an extended header. Raises :class:`Corrupt`."""
    digits = value[1:] if value.startswith((b"+", b"-")) else value
    if not digits.isdigit() or len(digits) > _MOST_DIGITS:
        raise Corrupt(f"archive/tar: invalid tar header: {value[:_MOST_DIGITS]!r} is not a number")
    return _checked(int(value))


def pax_time(value: bytes) -> int:
    """A time of an extended header, decimal seconds since 1970, in nanoseconds; further digits are cut off."""
    whole, _, digits = value.partition(b".")
    if digits and not digits.isdigit():
        raise Corrupt(f"archive/tar: invalid tar header: {value[:_MOST_DIGITS]!r} is not a time")
    seconds = pax_integer(whole) * SECOND
    fraction = int(digits[:9].ljust(9, b"0"))
    return seconds - fraction if whole.startswith(b"-") else seconds + fraction


def format_pax_time(time_ns: int) -> bytes:
    """The shortest decimal form of a time in nanoseconds."""
    seconds, fraction = divmod(abs(time_ns), SECOND)
    text = b"%d" % seconds
    if fraction:
        text += (b".%09d" % fraction).rstrip(b"0")
    return b"-" + text if time_ns < 0 else text


def encode_block(
    *, name: bytes, type: bytes, mode: int = 0, uid: int = 0, gid: int = 0, size: int = 0, mtime: int = 0,
    linkname: bytes = b"", uname: bytes = b"", gname: bytes = b"", devmajor: bytes = b"", devminor: bytes = b"",
    prefix: bytes = b"",
) -> bytes:
    """A ustar header block. Strings are cut to their fields; numbers that do not fit are written as 0."""
    block = bytearray(_LAYOUT.pack(
        _string(name, _NAME_SIZE), octal_field(mode, 8), octal_field(uid, 8), octal_field(gid, 8),
        octal_field(size, 12), octal_field(mtime, 12), b" " * 8, type, _string(linkname, _NAME_SIZE),
        _USTAR, uname[:32], gname[:32], devmajor, devminor, prefix, b"",
    ))
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def _string(text: bytes, size: int) -> bytes:
    """*text* cut to *size*; a cut that ends in a slash loses it, or old readers would take a file for a directory."""
    return text if len(text) <= size else text[:size].rstrip(b"/")


def octal_field(value: int, size: int) -> bytes:
    """*value* in octal with leading zeros and a closing NUL, or 0 if it does not fit."""
    if not fits_octal(value, size):
        value = 0
    return b"%0*o\0" % (size - 1, value)


def fits_octal(value: int, size: int) -> bool:
    """Can *value* be written in an octal field of *size* bytes?"""
    return 0 <= value < 1 << 3 * (size - 1)


def split_ustar(name: bytes) -> tuple[bytes, bytes] | None:
    """Split a name of more than 100 bytes into ustar's prefix and name fields; None if it cannot be."""
    length = len(name)
    if length <= _NAME_SIZE or not is_plain(name):
        return None
    if length > _PREFIX_SIZE + 1:
        length = _PREFIX_SIZE + 1
    elif name.endswith(b"/"):
        length -= 1
    slash = name.rfind(b"/", 0, length)
    rest = len(name) - slash - 1
    if slash <= 0 or slash > _PREFIX_SIZE or not 0 < rest <= _NAME_SIZE:
        return None
    return name[:slash], name[slash + 1:]


def is_plain(text: bytes) -> bool:
    """ASCII without NUL: what a ustar field may hold."""
    return text.isascii() and b"\0" not in text


def to_plain(text: bytes) -> bytes:
    """*text* without the characters a ustar field may not hold; the extended header has the true name."""
    return text if is_plain(text) else bytes(byte for byte in text if 0 < byte < 128)
