"""The tar-split format: what is written for each member, and giving the tar back."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path

import pytest

from wherry.archive.crc64 import crc64
from wherry.archive.tarsplit import TarSplitWriter, reassemble
from wherry.errors import Corrupt, NotFound


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "layer.tar-split.gz")


def lines(path: str) -> list[bytes]:
    with gzip.open(path) as file:
        return file.read().splitlines()


def write_lines(path: str, *values: object) -> None:
    with gzip.open(path, "wb") as file:
        for value in values:
            file.write(value if isinstance(value, bytes) else json.dumps(value).encode() + b"\n")


def segment(data: bytes) -> dict[str, object]:
    return {"type": 2, "payload": base64.b64encode(data).decode(), "position": 0}


def file_entry(name: str, data: bytes, **changes: object) -> dict[str, object]:
    crc = base64.b64encode(crc64(data, 0).to_bytes(8, "big")).decode()
    return {"type": 1, "name": name, "size": len(data), "payload": crc, "position": 1, **changes}


def test_lines(path: str) -> None:
    writer = TarSplitWriter(path)
    writer.segment(b"\0header")
    writer.file(b"etc/passwd", 9, crc64(b"123456789", 0))
    writer.segment(b"")
    writer.file(b"./dir/", 0, 0)
    writer.file(b"", 0, 0)
    writer.close()
    assert lines(path) == [
        b'{"type":2,"payload":"AGhlYWRlcg==","position":0}',
        b'{"type":1,"name":"etc/passwd","size":9,"payload":"uQlWx3WkEAE=","position":1}',
        b'{"type":2,"payload":"","position":2}',
        b'{"type":1,"name":"./dir/","payload":null,"position":3}',
        b'{"type":1,"payload":null,"position":4}',
        b'{"type":2,"payload":"","position":5}',
    ]


@pytest.mark.parametrize(("name", "written"), [
    (b"plain", b'"name":"plain"'),
    (b'quo"te\\b', b'"name":"quo\\"te\\\\b"'),
    (b"&<>", b'"name":"\\u0026\\u003c\\u003e"'),
    (b"\b\f\n\r\t\x00\x1f\x7f", b'"name":"\\u0008\\u000c\\n\\r\\t\\u0000\\u001f\x7f"'),
    ("\u2028\u2029\u00fc\U0001f600".encode(), '"name":"\\u2028\\u2029\u00fc\U0001f600"'.encode()),
    (b"latin-\xe9", b'"name_raw":"bGF0aW4t6Q=="'),
    (b"\xed\xa0\x80", b'"name_raw":"7aCA"'),        # a surrogate is not UTF-8
])
def test_names_are_escaped_as_by_go(path: str, name: bytes, written: bytes) -> None:
    writer = TarSplitWriter(path)
    writer.file(name, 0, 0)
    writer.close()
    assert lines(path)[0] == b'{"type":1,' + written + b',"payload":null,"position":0}'


@pytest.mark.parametrize("again", [b"dir/file", b"./dir//file", b"dir/x/../file", b"dir/file/"])
def test_two_members_of_one_name_are_refused(path: str, again: bytes) -> None:
    writer = TarSplitWriter(path)
    writer.file(b"dir/file", 0, 0)
    writer.file(b"/dir/file", 0, 0)     # another name, to podman
    with pytest.raises(Corrupt, match="duplicates of file paths not supported"):
        writer.file(again, 0, 0)
    writer.abort()


def test_aborting_removes_the_file(path: str) -> None:
    writer = TarSplitWriter(path)
    writer.segment(b"x" * 1_000_000)
    writer.abort()
    assert not Path(path).exists()


def test_aborting_after_closing_does_not(path: str) -> None:
    writer = TarSplitWriter(path)
    writer.close()
    writer.abort()
    assert Path(path).stat().st_mode & 0o7777 == 0o600


def test_content_is_looked_up_in_one_root_after_the_other(path: str, tmp_path: Path) -> None:
    for name in ("upper", "lower"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_bytes(name.encode())
    (tmp_path / "upper/link").symlink_to("/dir")
    (tmp_path / "upper/dir").mkdir()
    (tmp_path / "upper/dir/file").write_bytes(b"inside")
    write_lines(
        path, segment(b"<"), file_entry("upper", b"upper"), segment(b"|"), file_entry("/../lower", b"lower"),
        file_entry("link/file", b"inside"), {"type": 1, "name": "nothing", "payload": None}, segment(b">"),
    )
    roots = [str(tmp_path / "upper"), str(tmp_path / "lower")]
    assert b"".join(reassemble(path, roots)) == b"<upper|lowerinside>"


@pytest.mark.parametrize("change", [
    lambda file: file.write_bytes(b"contenT"), lambda file: file.write_bytes(b"conten"),
    lambda file: file.write_bytes(b"content+"), lambda file: file.write_bytes(b""),
])
def test_changed_content_is_noticed(path: str, tmp_path: Path, change: object) -> None:
    file = tmp_path / "file"
    change(file)        # type: ignore[operator]
    write_lines(path, file_entry("file", b"content"))
    with pytest.raises(Corrupt, match='file integrity checksum failed for "file"'):
        list(reassemble(path, [str(tmp_path)]))


def test_a_missing_file_is_noticed(path: str, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    for name in ("missing", "link", "dir/missing"):
        write_lines(path, file_entry(name, b"content"))
        with pytest.raises(Corrupt, match=f"{name}: file of the layer is missing"):
            list(reassemble(path, [str(tmp_path)]))


def test_no_tar_split(path: str, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        list(reassemble(path, [str(tmp_path)]))


@pytest.mark.parametrize("line", [
    b"not JSON\n", b"[]\n", b'"text"\n', b'{"type":2,"payload":"***"}\n', b'{"type":2,"payload":5}\n',
    b'{"type":1,"name":"x","size":"5","payload":null}\n', b'{"type":1,"name":"x","size":-5,"payload":null}\n',
    b'{"type":1,"name":7,"size":5,"payload":null}\n', b'{"type":1,"name_raw":"*","size":5,"payload":null}\n',
    b'{"type":2,"pay',
])
def test_damaged_data(path: str, tmp_path: Path, line: bytes) -> None:
    write_lines(path, line)
    with pytest.raises(Corrupt):
        list(reassemble(path, [str(tmp_path)]))


def test_a_truncated_file(path: str, tmp_path: Path) -> None:
    writer = TarSplitWriter(path)
    writer.segment(bytes(range(256)) * 1000)
    writer.close()
    data = Path(path).read_bytes()
    Path(path).write_bytes(data[:-20])
    with pytest.raises(Corrupt):
        list(reassemble(path, [str(tmp_path)]))


def test_the_last_line_may_lack_its_end(path: str, tmp_path: Path) -> None:
    write_lines(path, json.dumps(segment(b"all")).encode())
    assert list(reassemble(path, [str(tmp_path)])) == [b"all"]
