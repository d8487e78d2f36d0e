"""One member of a tar archive, as a value."""

from __future__ import annotations

# Type flags (POSIX ustar, pax and GNU).
REGULAR = b"0"
HARDLINK = b"1"
SYMLINK = b"2"
CHARACTER = b"3"
BLOCK_DEVICE = b"4"
DIRECTORY = b"5"
FIFO = b"6"
REGULAR_OLD = b"\0"
PAX_NEXT = b"x"
PAX_GLOBAL = b"g"
GNU_LONG_NAME = b"L"
GNU_LONG_LINK = b"K"
GNU_SPARSE = b"S"

#: Types whose size field, if any, counts no data in the archive.
HEADER_ONLY = frozenset((HARDLINK, SYMLINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO))


class TarEntry:
    """What the headers of a member say.

    ``name`` and ``linkname`` are as stored, not cleaned; ``mode`` has whatever bits the archive had; times are
    nanoseconds since 1970, ``atime_ns`` None when the archive has none; ``size`` is the number of content bytes that
    follow in the archive, 0 for types without content; ``xattrs`` maps attribute names to values.  The reader also
    sets ``pax``, all extended header records, and ``raw``: every byte of the archive since the end of the content of
    the member before, that is its padding and this member's header blocks.
    """

    __slots__ = (
        "atime_ns", "devmajor", "devminor", "gid", "gname", "linkname", "mode", "mtime_ns", "name", "pax", "raw",
        "size", "type", "uid", "uname", "xattrs",
    )

    def __init__(
        self,
        name: bytes = b"",
        type: bytes = REGULAR,
        *,
        mode: int = 0,
        uid: int = 0,
        gid: int = 0,
        size: int = 0,
        mtime_ns: int = 0,
        atime_ns: int | None = None,
        linkname: bytes = b"",
        devmajor: int = 0,
        devminor: int = 0,
        uname: bytes = b"",
        gname: bytes = b"",
        xattrs: dict[bytes, bytes] | None = None,
    ) -> None:
        self.name = name
        self.type = type
        self.mode = mode
        self.uid = uid
        self.gid = gid
        self.size = size
        self.mtime_ns = mtime_ns
        self.atime_ns = atime_ns
        self.linkname = linkname
        self.devmajor = devmajor
        self.devminor = devminor
        self.uname = uname
        self.gname = gname
        self.xattrs: dict[bytes, bytes] = xattrs or {}
        self.pax: dict[bytes, bytes] = {}
        self.raw = b""

    def __repr__(self) -> str:
        return f"TarEntry({self.name!r}, {self.type!r}, mode={self.mode:#o}, size={self.size})"

    @property
    def is_sparse(self) -> bool:
        """Is the content stored with holes left out (GNU's own type, or GNU's records in a pax header)?"""
        return self.type == GNU_SPARSE or any(key.startswith(b"GNU.sparse.") for key in self.pax)
