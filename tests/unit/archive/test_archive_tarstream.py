"""Reading and writing tar: formats, fields, raw bytes, and what is refused."""

from __future__ import annotations

import io
import tarfile

import pytest

from wherry.archive.tarentry import DIRECTORY, HARDLINK, PAX_GLOBAL, REGULAR, SYMLINK, TarEntry
from wherry.archive.tarheader import decode_block, decode_records, encode_records, format_pax_time, pax_time
from wherry.archive.tarstream import TarReader, TarWriter, encode_header
from wherry.errors import Corrupt

SECOND = 10**9
LONG = "/".join(["part" * 20] * 4)


def tar(*members: tuple[tarfile.TarInfo, bytes], format: int = tarfile.PAX_FORMAT, **options: object) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format, **options) as archive:     # type: ignore[call-overload]
        for info, data in members:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def info(name: str, type: bytes = REGULAR, **fields: object) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type = type
    for key, value in fields.items():
        setattr(made, key, value)
    return made


def entries(data: bytes) -> list[TarEntry]:
    return list(TarReader(io.BytesIO(data)))


def one(data: bytes) -> TarEntry:
    [entry] = entries(data)
    return entry


def block(**fields: bytes) -> bytes:
    """A header block with raw fields, its checksum right."""
    layout = {
        "name": (0, 100), "mode": (100, 8), "uid": (108, 8), "gid": (116, 8), "size": (124, 12), "mtime": (136, 12),
        "type": (156, 1), "linkname": (157, 100), "magic": (257, 8), "uname": (265, 32), "gname": (297, 32),
        "devmajor": (329, 8), "devminor": (337, 8), "prefix": (345, 155), "atime": (345, 12), "ctime": (357, 12),
        "end": (500, 12),
    }
    data = bytearray(512)
    for key, value in fields.items():
        start, size = layout[key]
        data[start:start + size] = value.ljust(size, b"\0")
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data)
    return bytes(data)


def with_checksum(data: bytes, value: int) -> bytes:
    return data[:148] + b"%06o\0 " % value + data[156:]


class TestReading:
    @pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
    def test_plain_fields(self, format: int) -> None:
        made = info("a/b", mode=0o4755, uid=3, gid=4, mtime=1000, uname="u", gname="g")
        data = tar((made, b"content"), format=format)
        reader = TarReader(io.BytesIO(data))
        entry = next(reader)
        assert reader.read() == b"content"
        assert (entry.name, entry.type, entry.mode, entry.uid, entry.gid) == (b"a/b", REGULAR, 0o4755, 3, 4)
        assert (entry.size, entry.mtime_ns, entry.atime_ns) == (7, 1000 * SECOND, None)
        assert (entry.uname, entry.gname, entry.xattrs) == (b"u", b"g", {})

    @pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
    def test_long_names_and_large_numbers(self, format: int) -> None:
        made = info(LONG, SYMLINK, linkname="/" + LONG, uid=1 << 25, gid=1 << 31)
        entry = one(tar((made, b""), format=format))
        assert entry.name == LONG.encode()
        assert entry.linkname == b"/" + LONG.encode()
        assert (entry.uid, entry.gid) == (1 << 25, 1 << 31)

    def test_ustar_prefix(self) -> None:
        entry = one(tar((info("d" * 90 + "/" + "f" * 90), b""), format=tarfile.USTAR_FORMAT))
        assert entry.name == b"d" * 90 + b"/" + b"f" * 90

    def test_pax_records(self) -> None:
        records = {
            "mtime": "1234567890.1234567891", "atime": "-1.5", "uid": "5", "gid": "6", "path": "p\u00e4th",
            "SCHILY.xattr.user.a": "v\n=", "uname": "", "comment": "kept",
        }
        entry = one(tar((info("short", uname="from-block", pax_headers=records), b"x")))
        assert (entry.name, entry.uid, entry.gid) == ("p\u00e4th".encode(), 5, 6)
        assert entry.mtime_ns == 1234567890 * SECOND + 123456789
        assert entry.atime_ns == -3 * SECOND // 2
        assert entry.xattrs == {b"user.a": b"v\n="}
        assert entry.uname == b"from-block"     # an empty record leaves the block's value
        assert entry.pax[b"comment"] == b"kept"

    def test_pax_size(self) -> None:
        head = encode_records([(b"size", b"600")])
        data = block(name=b"x", type=b"x", size=b"%o" % len(head)) + head.ljust(512, b"\0")
        data += block(name=b"file") + b"y" * 600 + bytes(424) + bytes(1024)
        reader = TarReader(io.BytesIO(data))
        assert next(reader).size == 600
        assert reader.read() == b"y" * 600
        assert list(reader) == []

    def test_a_pax_global_header_is_a_member_and_changes_no_other(self) -> None:
        data = tar((info("file"), b"x"), pax_headers={"uid": "77", "comment": "global"})
        first, second = entries(data)
        assert (first.type, first.size, first.pax[b"comment"]) == (PAX_GLOBAL, 0, b"global")
        assert (second.name, second.uid) == (b"file", 0)

    def test_v7_types(self) -> None:
        data = block(name=b"file", type=b"\0") + block(name=b"directory/", type=b"\0", size=b"5")
        first, second = entries(data)
        assert (first.type, second.type, second.size) == (REGULAR, DIRECTORY, 0)

    def test_a_link_with_a_size_has_no_content(self) -> None:
        first, second = entries(block(name=b"link", type=b"1", size=b"1000", linkname=b"x") + block(name=b"next"))
        assert (first.type, first.size, second.name) == (HARDLINK, 0, b"next")

    def test_base_256_numbers(self) -> None:
        entry = one(block(name=b"x", uid=b"\x80" + (1 << 40).to_bytes(7, "big"), mtime=b"\xff" * 11 + b"\xfb"))
        assert (entry.uid, entry.mtime_ns) == (1 << 40, -5 * SECOND)

    def test_gnu_access_time(self) -> None:
        entry = one(block(name=b"x", magic=b"ustar  \0", atime=b"00000000012\0"))
        assert entry.atime_ns == 10 * SECOND

    def test_a_ustar_prefix_in_a_gnu_header(self) -> None:
        assert one(block(name=b"x", magic=b"ustar  \0", prefix=b"some/directory")).name == b"some/directory/x"

    def test_star_times(self) -> None:
        data = bytearray(block(name=b"x", magic=b"ustar\x0000", prefix=b"dir"))
        data[476:488] = b"00000000012\0"
        data[508:512] = b"tar\0"
        data[148:156] = b" " * 8
        entry = one(with_checksum(bytes(data), sum(data)))
        assert (entry.name, entry.atime_ns) == (b"dir/x", 10 * SECOND)

    def test_signed_checksums(self) -> None:
        data = block(name=b"\xff\xfe")
        plain = data[:148] + b" " * 8 + data[156:]
        assert one(with_checksum(data, sum(plain) - 512)).name == b"\xff\xfe"

    def test_spaces_in_number_fields(self) -> None:
        entry = one(block(name=b"x", uid=b"     5 \0", gid=b"\0\0\0 6\0\0\0"))
        assert (entry.uid, entry.gid) == (5, 6)

    @pytest.mark.parametrize("data", [
        b"", bytes(512), bytes(1024), bytes(10240), bytes(1024) + b"rubbish",
        block(name=b"x") + bytes(1024), block(name=b"x"), block(name=b"x", size=b"5") + b"12345",
        block(name=b"x", size=b"5") + b"12345" + bytes(7),
        tar((info("a"), b"1" * 700), (info(LONG), b"2" * 512), (info("b", b"5"), b""), pax_headers={"comment": "x"}),
        tar((info("\udcff" + LONG), b"1" * 513), format=tarfile.GNU_FORMAT) + b"\1" * 3_000_000,
    ])
    def test_raw_bytes_and_content_are_the_archive(self, data: bytes) -> None:
        for step in (1 << 20, 1000, 7):
            reader = TarReader(Trickle(data[:100_000] if step == 7 else data, step))
            pieces = []
            for entry in reader:
                pieces += [entry.raw, reader.read()]
            pieces += reader.trailing()
            assert b"".join(pieces) == (data[:100_000] if step == 7 else data)

    def test_unread_content_is_skipped(self) -> None:
        data = tar((info("a"), b"1" * 5000), (info("b"), b"2"))
        reader = TarReader(io.BytesIO(data))
        next(reader)
        assert bytes(next(reader.content()))[:1] == b"1"
        assert next(reader).name == b"b"
        assert reader.read() == b"2"


class Trickle:
    def __init__(self, data: bytes, step: int) -> None:
        self.file = io.BytesIO(data)
        self.step = step

    def read(self, size: int) -> bytes:
        return self.file.read(min(size, self.step))


def pax_block(data: bytes, size: int = -1, type: bytes = b"x") -> bytes:
    return block(name=b"x", type=type, size=b"%o" % (len(data) if size < 0 else size)) + data + bytes(-len(data) % 512)


@pytest.mark.parametrize(("data", "message"), [
    (b"not a tar archive at all".ljust(512, b"."), "not a number"),
    (with_checksum(block(name=b"x"), 5), "checksum"),
    (block(name=b"x", uid=b"0009"), "octal"),
    (block(name=b"x", uid=b"0x7"), "not a number"),
    (block(name=b"x", uid=b"1_0"), "not a number"),
    (block(name=b"x", size=b"\xff" * 12), "negative size"),
    (block(name=b"x", size=b"\x80" + b"\xff" * 11), "out of range"),
    (block(name=b"x")[:300], "unexpected EOF"),
    (block(name=b"x", size=b"1000"), "unexpected EOF"),
    (bytes(512) + block(name=b"x"), "zero block"),
    (bytes(512) + b"x" * 100, "unexpected EOF"),
    (pax_block(b"12 path=abc") + block(name=b"y"), "malformed"),
    (pax_block(b"11 path=abc") + block(name=b"y"), "malformed"),
    (pax_block(b"5 a=b\n") + block(name=b"y"), "malformed"),
    (pax_block(b"9 pathabc\n") + block(name=b"y"), "malformed"),
    (pax_block(b"x path=abc\n") + block(name=b"y"), "malformed"),
    (pax_block(b"-12 path=abc\n") + block(name=b"y"), "malformed"),
    (pax_block(b"12 path=a\0c\n") + block(name=b"y"), "malformed"),
    (pax_block(b"10 uid=abc\n".replace(b"10", b"11")) + block(name=b"y"), "not a number"),
    (pax_block(encode_records([(b"uid", b"9" * 30)])) + block(name=b"y"), "out of range"),
    (pax_block(encode_records([(b"mtime", b"1.5.5")])) + block(name=b"y"), "not a time"),
    (pax_block(encode_records([(b"size", b"-5")])) + block(name=b"y"), "negative size"),
])
def test_what_is_no_archive_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(Corrupt, match=message):
        entries(data)


@pytest.mark.parametrize("type", [b"x", b"g", b"L", b"K"])
def test_an_extended_header_of_unbounded_size_is_refused(type: bytes) -> None:
    """CVE-2022-2879 (Go's archive/tar): the size of a header must not decide how much memory is used."""
    with pytest.raises(Corrupt, match="limit 1048576"):
        entries(pax_block(b"", size=(1 << 33) - 1, type=type))


class TestWriting:
    def write(self, *members: tuple[TarEntry, bytes]) -> bytes:
        out = io.BytesIO()
        writer = TarWriter(out)
        for entry, data in members:
            entry.size = len(data)
            writer.add(entry)
            if data:
                writer.write(data[:3])
                writer.write(data[3:])
        writer.close()
        return out.getvalue()

    def test_tarfile_reads_it(self) -> None:
        data = self.write(
            (TarEntry(b"dir/", DIRECTORY, mode=0o755, uid=1, gid=2, mtime_ns=5 * SECOND), b""),
            (TarEntry(b"dir/file", mode=0o644, mtime_ns=SECOND * 3 // 2, xattrs={b"user.a": b"b"}), b"content"),
            (TarEntry(LONG.encode() * 2, SYMLINK, linkname=LONG.encode()), b""),
            (TarEntry("\u00fc".encode(), uid=1 << 30, uname="\u00fc".encode()), b"x" * 512),
        )
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            first, second, third, fourth = archive.getmembers()
            assert archive.extractfile(second).read() == b"content"    # type: ignore[union-attr]
        assert (first.name, first.mode, first.uid, first.mtime) == ("dir", 0o755, 1, 5)
        assert (second.mtime, second.pax_headers["SCHILY.xattr.user.a"]) == (1.5, "b")
        assert (third.name, third.linkname) == (LONG * 2, LONG)
        assert (fourth.name, fourth.uid, fourth.uname) == ("\u00fc", 1 << 30, "\u00fc")

    def test_ustar_is_used_where_it_will_do(self) -> None:
        name = b"d" * 100 + b"/" + b"f" * 99
        header = encode_header(TarEntry(name, mode=0o644, mtime_ns=7 * SECOND))
        assert len(header) == 512
        assert header[257:265] == b"ustar\x0000"
        assert header[345:445] == b"d" * 100
        assert header[:100] == b"f" * 99 + b"\0"
        assert header[329:345] == b"0000000\x000000000\0"

    def test_the_extended_header_is_named_as_in_go(self) -> None:
        header = encode_header(TarEntry(b"some/file", mtime_ns=1))
        assert len(header) == 1536
        assert header[:100].rstrip(b"\0") == b"some/PaxHeaders.0/file"
        assert header[100:108] == b"0000000\0"
        assert header[512:532].rstrip(b"\0") == b"21 mtime=0.000000001"

    def test_a_name_cut_short_does_not_end_in_a_slash(self) -> None:
        header = encode_header(TarEntry(b"d" * 99 + b"/" + b"e" * 200))
        assert header[1024:1124] == b"d" * 99 + b"\0"
        assert one(header).name == b"d" * 99 + b"/" + b"e" * 200

    @pytest.mark.parametrize("entry", [
        TarEntry(b"a\0b"), TarEntry(b"x", SYMLINK, linkname=b"a\0b"), TarEntry(b"x", mode=1 << 21),
        TarEntry(b"x", devmajor=-1), TarEntry(b"x", xattrs={b"user.a=b": b""}),
        TarEntry(b"x", xattrs={b"user.a\0": b""}),
        TarEntry(b"x", xattrs={b"user.a": bytes(1 << 20)}),
    ])
    def test_what_cannot_be_encoded(self, entry: TarEntry) -> None:
        with pytest.raises(Corrupt, match="header"):
            encode_header(entry)

    def test_content_must_be_as_long_as_announced(self) -> None:
        writer = TarWriter(io.BytesIO())
        writer.add(TarEntry(b"x", size=5))
        with pytest.raises(Corrupt, match="write too long"):
            writer.write(b"123456")
        writer.write(b"123")
        with pytest.raises(Corrupt, match="missed writing 2 bytes"):
            writer.add(TarEntry(b"y"))
        with pytest.raises(Corrupt, match="missed writing 2 bytes"):
            writer.close()


@pytest.mark.parametrize(("text", "value"), [
    (b"0", 0), (b"-0.5", -SECOND // 2), (b"1.", SECOND), (b"+7.25", 7 * SECOND + SECOND // 4), (b"-2", -2 * SECOND),
])
def test_pax_times(text: bytes, value: int) -> None:
    assert pax_time(text) == value
    assert pax_time(format_pax_time(value)) == value


def test_record_lengths_count_their_own_digits() -> None:
    for size in (1, 3, 89, 90, 91, 92, 988, 989, 990, 991):
        records = {b"key": b"v" * size}
        data = encode_records(records.items())
        assert int(data.partition(b" ")[0]) == len(data)
        assert decode_records(data) == records


def test_the_reader_does_not_trust_a_block_sum_modulo_anything() -> None:
    """A checksum off by 65521, which the quick way of summing up could overlook."""
    data = block(name=b"\xff" * 100, linkname=b"\xff" * 100, uname=b"\xff" * 32, prefix=b"\xff" * 155)
    plain = sum(data[:148] + b" " * 8 + data[156:])
    assert decode_block(data).name == b"\xff" * 100
    for wrong in (plain - 65521, plain + 1, plain - 256):
        with pytest.raises(Corrupt, match="checksum"):
            decode_block(with_checksum(data, wrong))
