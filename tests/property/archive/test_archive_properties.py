"""Properties of the tar, tar-split and checksum code over random input."""

from __future__ import annotations

import io
import os
import tempfile

from hypothesis import given, settings
from hypothesis import strategies as st

from wherry.archive.crc64 import crc64, crc64_folded
from wherry.archive.extract import PLAIN, REMOVE, ExtractOptions, apply
from wherry.archive.tarentry import BLOCK_DEVICE, CHARACTER, DIRECTORY, FIFO, HARDLINK, REGULAR, SYMLINK, TarEntry
from wherry.archive.tarheader import decode_records, encode_records
from wherry.archive.tarsplit import TarSplitWriter, reassemble
from wherry.archive.tarstream import TarReader, TarWriter
from wherry.archive.tree import beneath, clean
from wherry.errors import WherryError

FEW = settings(max_examples=60, deadline=None)

texts = st.binary(min_size=1, max_size=300).map(lambda text: text.replace(b"\0", b"-"))
ids = st.one_of(st.integers(0, 0o7777777), st.integers(0, (1 << 32) - 2))
times = st.one_of(st.integers(0, 1 << 34).map(lambda second: second * 10**9), st.integers(-(1 << 62), 1 << 62))
keys = texts.map(lambda key: key.replace(b"=", b"-"))
attributes = st.dictionaries(keys.map(lambda key: b"user." + key), st.binary(max_size=100), max_size=3)
contents = st.one_of(st.binary(max_size=2000), st.sampled_from([b"", b"x" * 511, b"x" * 512, b"x" * 513]))
entries = st.builds(
    TarEntry, texts, st.sampled_from([REGULAR, DIRECTORY, SYMLINK, HARDLINK, CHARACTER, BLOCK_DEVICE, FIFO]),
    mode=st.integers(0, 0o7777), uid=ids, gid=ids, mtime_ns=times, atime_ns=st.one_of(st.none(), times), linkname=texts,
    devmajor=st.integers(0, 0o7777777), devminor=st.integers(0, 0o7777777), uname=texts, gname=texts, xattrs=attributes,
)
members = st.lists(st.tuples(entries, contents), max_size=6)


class Trickle:
    """A stream in pieces of a given size."""

    def __init__(self, data: bytes, step: int) -> None:
        self.file = io.BytesIO(data)
        self.step = step

    def read(self, size: int) -> bytes:
        return self.file.read(min(size, self.step))


def written(entries: list[tuple[TarEntry, bytes]]) -> bytes:
    out = io.BytesIO()
    writer = TarWriter(out)
    for entry, data in entries:
        entry.size = len(data) if entry.type == REGULAR else 0
        writer.add(entry)
        if entry.size:
            writer.write(data)
    writer.close()
    return out.getvalue()


def fields(entry: TarEntry) -> tuple[object, ...]:
    return tuple(getattr(entry, name) for name in TarEntry.__slots__ if name not in ("pax", "raw"))


@FEW
@given(members, st.integers(1, 5000))
def test_what_is_written_is_read(entries: list[tuple[TarEntry, bytes]], step: int) -> None:
    tar = written(entries)
    reader = TarReader(Trickle(tar, step))
    raw = []
    found = []
    for entry in reader:
        content = reader.read()
        raw += [entry.raw, content]
        found.append((fields(entry), content))
    assert found == [(fields(entry), data if entry.type == REGULAR else b"") for entry, data in entries]
    assert b"".join([*raw, *reader.trailing()]) == tar


@FEW
@given(st.binary(max_size=3000), st.integers(1, 5000))
def test_any_bytes_are_an_archive_or_a_wherry_error(data: bytes, step: int) -> None:
    assert_archive_or_error(data, step)


def assert_archive_or_error(data: bytes, step: int) -> None:
    reader = TarReader(Trickle(data, step))
    try:
        raw = b"".join(entry.raw + reader.read() for entry in reader) + b"".join(reader.trailing())
    except WherryError:
        return
    assert raw == data


@FEW
@given(members, st.data())
def test_a_damaged_archive_is_an_archive_or_a_wherry_error(
    entries: list[tuple[TarEntry, bytes]], data: st.DataObject
) -> None:
    tar = bytearray(written(entries))
    for _ in range(data.draw(st.integers(1, 5))):
        tar[data.draw(st.integers(0, len(tar) - 1))] = data.draw(st.integers(0, 255))
    assert_archive_or_error(bytes(tar), 700)


@FEW
@given(st.dictionaries(keys, texts))
def test_extended_header_records(records: dict[bytes, bytes]) -> None:
    assert decode_records(encode_records(records.items())) == records


@FEW
@given(members, st.binary(max_size=3000), st.integers(1, 5000))
def test_a_tar_split_gives_back_the_tar(entries: list[tuple[TarEntry, bytes]], trailing: bytes, step: int) -> None:
    """With content kept by number, so that names may be anything, the same one twice excepted."""
    unique = {clean(entry.name): (entry, data) for entry, data in entries if beneath(clean(entry.name))}
    tar = written(list(unique.values())) + trailing
    with tempfile.TemporaryDirectory() as base:
        split = TarSplitWriter(f"{base}/split.gz")
        reader = TarReader(Trickle(tar, step))
        kept: list[bytes] = []
        for entry in reader:
            split.segment(entry.raw)
            data = reader.read()
            with open(f"{base}/{len(kept)}", "wb") as file:
                file.write(data)
            split.file(b"%d" % len(kept), len(data), crc64(data, 0))
            kept.append(data)
        for piece in reader.trailing():
            split.segment(piece)
        split.close()
        assert b"".join(reassemble(f"{base}/split.gz", [base])) == tar


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(
        st.sampled_from([REGULAR, DIRECTORY, SYMLINK, HARDLINK, FIFO]),
        st.sampled_from([
            b"a", b"b", b"a/b", b"a/b/c", b"b/../a", b"/a", b"../b", b".wh.a", b"a/.wh.b", b"a/.wh..wh..opq", b".",
        ]),
        st.sampled_from([b"a", b"b", b"a/b", b"/", b"..", b"../../outside", b"/a/b", b"."]),
        st.binary(max_size=20),
    ), max_size=8),
    st.sampled_from(["overlay", PLAIN, REMOVE]),
)
def test_whatever_is_extracted_stays_inside_and_can_be_given_back(
    made: list[tuple[bytes, bytes, bytes, bytes]], whiteouts: str
) -> None:
    """Names and links that cross each other in all ways. Either an error, or the same tar again unless overwritten."""
    tar = written([
        (TarEntry(name, kind, mode=0o755 if kind == DIRECTORY else 0o644, linkname=target), data)
        for kind, name, target, data in made
    ])
    with tempfile.TemporaryDirectory() as base:
        os.mkdir(f"{base}/root")
        with open(f"{base}/outside", "w") as file:
            file.write("untouched")
        options = ExtractOptions(
            whiteouts=whiteouts, userxattr=True, ignore_chown_errors=True, tar_split_path=f"{base}/split.gz"
        )
        try:
            result = apply(io.BytesIO(tar), f"{base}/root", options)
            assert result.size == len(tar)
            assert b"".join(reassemble(f"{base}/split.gz", [f"{base}/root"])) == tar
        except WherryError:
            pass
        assert sorted(os.listdir(base)) in (["outside", "root"], ["outside", "root", "split.gz"])
        with open(f"{base}/outside") as file:
            assert file.read() == "untouched"


@given(st.binary(max_size=3000), st.binary(max_size=100), st.integers(0, (1 << 64) - 1))
def test_both_checksums_agree(data: bytes, more: bytes, start: int) -> None:
    assert crc64_folded(data, start) == crc64(data, start)
    assert crc64_folded(data + more, start) == crc64(more, crc64_folded(data, start))


@given(st.lists(st.sampled_from([b"a", b"b", b"..", b".", b"", b"...", b".a"]), max_size=8))
def test_cleaned_names_stay_cleaned_and_beneath(parts: list[bytes]) -> None:
    cleaned = clean(b"/".join(parts))
    assert clean(cleaned) == cleaned
    path = beneath(cleaned)
    assert not path.startswith(b"/")
    assert b".." not in path.split(b"/")
    assert path == b"" or clean(path) == path
