"""Compression formats: detection, multi-member streams, damage, and the libraries that may be missing."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from wherry.archive import compression
from wherry.errors import Corrupt, InvalidArgument, Unavailable

if TYPE_CHECKING:
    from wherry.archive.compression import Readable

DATA = b"".join(b"%d and more\n" % number for number in range(30_000)) + os.urandom(1000)


def compress_zstd(data: bytes) -> bytes:
    out = io.BytesIO()
    writer = compression.writer(out, "zstd")
    writer.write(data)
    writer.close()
    return out.getvalue()


COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress, "zstd": compress_zstd,
}


@pytest.fixture(params=["isal", "zlib"])
def gzip_library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the test with ISA-L and without."""
    if request.param == "zlib":
        monkeypatch.setitem(sys.modules, "isal", None)


class Trickle:
    """A stream that gives a few bytes at a time."""

    def __init__(self, data: bytes, step: int) -> None:
        self.file = io.BytesIO(data)
        self.step = step

    def read(self, size: int) -> bytes:
        return self.file.read(min(size, self.step))


def read_all(stream: Readable, step: int = 65536) -> bytes:
    pieces = []
    while piece := stream.read(step):
        assert len(piece) <= step
        pieces.append(piece)
    return b"".join(pieces)


def decompressed(data: bytes, step: int = 65536) -> bytes:
    return read_all(compression.reader(io.BytesIO(data))[0], step)


@pytest.mark.usefixtures("gzip_library")
@pytest.mark.parametrize("name", COMPRESSORS)
class TestReading:
    def test_content_and_name(self, name: str) -> None:
        stream, found = compression.reader(io.BytesIO(COMPRESSORS[name](DATA)))
        assert found == name
        assert read_all(stream) == DATA

    def test_little_by_little(self, name: str) -> None:
        data = DATA[:5000]
        stream, found = compression.reader(Trickle(COMPRESSORS[name](data) * 2, 3))
        assert found == name
        assert read_all(stream, 11) == data * 2

    def test_nothing_inside(self, name: str) -> None:
        assert decompressed(COMPRESSORS[name](b"")) == b""

    def test_members_one_after_another(self, name: str) -> None:
        whole = COMPRESSORS[name](DATA) + COMPRESSORS[name](b"") + COMPRESSORS[name](b"end")
        assert decompressed(whole) == DATA + b"end"

    def test_zero_bytes_after_the_end(self, name: str) -> None:
        assert decompressed(COMPRESSORS[name](DATA) + bytes(1024)) == DATA

    @pytest.mark.parametrize("cut", [1, 4, 9, 1000])
    def test_truncated(self, name: str, cut: int) -> None:
        with pytest.raises(Corrupt, match=f"reading {name} data: "):
            decompressed(COMPRESSORS[name](DATA)[:-cut])

    def test_garbage_after_the_end(self, name: str) -> None:
        with pytest.raises(Corrupt, match=f"reading {name} data: "):
            decompressed(COMPRESSORS[name](DATA) + b"garbage that is no further member")


@pytest.mark.usefixtures("gzip_library")
def test_a_wrong_gzip_checksum_is_noticed() -> None:
    data = bytearray(gzip.compress(DATA))
    data[-6] ^= 1
    with pytest.raises(Corrupt, match="reading gzip data: "):
        decompressed(bytes(data))


def test_skippable_zstd_frames_are_skipped() -> None:
    frame = b"\x50\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"chunk"
    assert decompressed(compress_zstd(DATA) + frame + compress_zstd(b"end") + frame) == DATA + b"end"


@pytest.mark.parametrize("data", [b"", b"x", b"ustar", DATA, b"\x1f\x8b"])
def test_anything_else_is_not_compressed(data: bytes) -> None:
    stream, name = compression.reader(Trickle(data, 7))
    assert name == "none"
    assert read_all(stream, 5) == data


def test_detection_needs_the_whole_magic() -> None:
    for name, compress in COMPRESSORS.items():
        head = compress(b"x")[:6]
        assert compression.detect(head) == name
        assert compression.detect(head[:2]) == "none"


@pytest.mark.usefixtures("gzip_library")
@pytest.mark.parametrize("level", [-1, 0, 1, 3, 4, 9])
def test_gzip_written_is_read_and_repeatable(level: int) -> None:
    written = []
    for _ in range(2):
        out = io.BytesIO()
        writer = compression.writer(out, "gzip", level)
        for start in range(0, len(DATA), 50_000):
            writer.write(DATA[start:start + 50_000])
        writer.close()
        written.append(out.getvalue())
    assert written[0] == written[1]
    assert gzip.decompress(written[0]) == DATA
    assert written[0][3:8] == bytes(5)      # no name, no time


@pytest.mark.parametrize("level", [-1, 1, 19])
def test_zstd_written_is_read(level: int) -> None:
    out = io.BytesIO()
    writer = compression.writer(out, "zstd", level)
    writer.write(DATA)
    writer.close()
    assert len(out.getvalue()) < len(DATA)
    assert decompressed(out.getvalue()) == DATA


def test_writing_without_compression() -> None:
    out = io.BytesIO()
    writer = compression.writer(out, "none")
    writer.write(DATA)
    writer.close()
    assert out.getvalue() == DATA


def test_an_unknown_format_cannot_be_written() -> None:
    with pytest.raises(InvalidArgument, match="cannot compress as 'xz'"):
        compression.writer(io.BytesIO(), "xz")


def test_zstd_without_a_library(monkeypatch: pytest.MonkeyPatch) -> None:
    data = compress_zstd(b"x")
    for name in ("compression", "compression.zstd", "backports", "backports.zstd"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(Unavailable, match="zstd compression is not available") as failure:
        compression.reader(io.BytesIO(data))
    assert "backports.zstd" in failure.value.hint
