"""Copying logs in bulk gives what reading them line by line gives."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry import errors
from wherry.logs import k8sfile
from wherry.logs.copy import Copier, copy
from wherry.logs.line import LogLine, LogOptions
from wherry.logs.reader import read
from wherry.logs.writer import LineWriter, shown_time
from wherry.model.timestamps import SECOND, format_ns


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


class Output:
    """Two files to write to, or one."""

    def __init__(self, directory: Path, *, one: bool = False) -> None:
        self.out = os.open(directory / "out", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        self.err = os.dup(self.out) if one else os.open(directory / "err", os.O_RDWR | os.O_CREAT | os.O_TRUNC)

    def read(self) -> tuple[bytes, bytes]:
        found = tuple(os.pread(fd, os.fstat(fd).st_size, 0) for fd in (self.out, self.err))
        os.close(self.out)
        os.close(self.err)
        return found[0], found[1]


def by_copy(path: str, directory: Path, options: LogOptions, *, one: bool = False) -> tuple[bytes, bytes]:
    output = Output(directory, one=one)
    copy(path, output.out, output.err, options)
    return output.read()


def by_line(path: str, directory: Path, options: LogOptions, *, one: bool = False) -> tuple[bytes, bytes]:
    output = Output(directory, one=one)
    writer = LineWriter(output.out, output.err, timestamps=options.timestamps)
    for line in read("k8s-file", path, options=options):
        writer.write(line)
    return output.read()


RECORDS = {
    "one stream": b"".join(b"2026-11-22T00:10:04.98028%04d+00:00 stdout F line %d\n" % (n, n) for n in range(9000)),
    "two streams": b"".join(
        b"2026-11-22T00:10:04.98028%04d+00:00 std%s F line %d\n" % (n, (b"out", b"err")[n % 3 == 0], n)
        for n in range(9000)
    ),
    "times of two widths": (
        b"2026-11-22T00:10:04.980282547Z stdout F a\n2026-11-22T00:10:04.980282547+00:00 stdout F b\n"
    ),
    "a tag in the text": b"2026-11-22T00:10:04.980282547+00:00 stdout F a stdout F b stderr F c\n" * 3,
    "empty lines": b"2026-11-22T00:10:04.980282547+00:00 stdout F \n" * 3,
    "parts": b"2026-11-22T00:10:04.980282547+00:00 stdout P a\n2026-11-22T00:10:04.980282547+00:00 stdout F b\n" * 2,
    "an open end": b"2026-11-22T00:10:04.980282547+00:00 stdout P a\n",
    "a torn end": b"2026-11-22T00:10:04.980282547+00:00 stdout F a\n2026-11-22T00:10:04.980282547+00:00 stdout F b",
    "garbage": b"\n\nnonsense\n2026-11-22T00:10:04.980282547+00:00 stdout F a\n\xff\xff",
    "another tag": b"2026-11-22T00:10:04.980282547+00:00 stdout F:x a\n",
    "nothing": b"",
}


@pytest.mark.parametrize("timestamps", [False, True])
@pytest.mark.parametrize("tail", [-1, 0, 2])
@pytest.mark.parametrize("content", RECORDS.values(), ids=list(RECORDS))
def test_both_ways_agree(tmp_path: Path, content: bytes, timestamps: bool, tail: int) -> None:
    path = str(tmp_path / "ctr.log")
    Path(path).write_bytes(content)
    options = LogOptions(timestamps=timestamps, tail=tail)
    assert by_copy(path, tmp_path, options) == by_line(path, tmp_path, options)


@pytest.mark.parametrize("chunk", [64, 1000, 1 << 18])
def test_the_order_is_kept_in_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(k8sfile, "_CHUNK", chunk)
    path = str(tmp_path / "ctr.log")
    Path(path).write_bytes(RECORDS["two streams"])
    expected = b"".join(b"line %d\n" % n for n in range(9000))
    assert by_copy(path, tmp_path, LogOptions(), one=True)[0] == expected


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["stdout", "stderr"]),
            st.sampled_from("FFFP"),
            st.sampled_from(["Z", "+00:00", "+00:00"]),
            st.binary(max_size=12).filter(lambda data: b"\n" not in data),
        ),
        max_size=30,
    ),
    st.booleans(),
    st.integers(40, 300),
)
def test_any_log(records: list[tuple[str, str, str, bytes]], timestamps: bool, chunk: int) -> None:
    """What each stream gets does not depend on the way, however records fall on chunks."""
    import tempfile

    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(k8sfile, "_CHUNK", chunk)
        path = name + "/ctr.log"
        Path(path).write_bytes(
            b"".join(
                f"{format_ns(SECOND + n, digits=9)[:-1]}{zone} {stream} {flag} ".encode() + text + b"\n"
                for n, (stream, flag, zone, text) in enumerate(records)
            )
        )
        options = LogOptions(timestamps=timestamps)
        assert by_copy(path, Path(name), options) == by_line(path, Path(name), options)


def test_bounds(tmp_path: Path) -> None:
    path = str(tmp_path / "ctr.log")
    Path(path).write_bytes(b"".join(b"1970-01-01T00:00:0%d.000000000Z stdout F l%d\n" % (n, n) for n in range(5)))
    options = LogOptions(since_ns=SECOND, until_ns=4 * SECOND, timestamps=True)
    assert by_copy(path, tmp_path, options)[0] == (
        b"1970-01-01T00:00:02.000000000Z l2\n1970-01-01T00:00:03.000000000Z l3\n"
    )


def test_one_stream_can_be_left_out(tmp_path: Path) -> None:
    path = str(tmp_path / "ctr.log")
    Path(path).write_bytes(RECORDS["two streams"])
    output = Output(tmp_path)
    copy(path, -1, output.err)
    out, err = output.read()
    assert out == b"" and err.count(b"\n") == 3000


def test_no_log(tmp_path: Path) -> None:
    assert by_copy(str(tmp_path / "none"), tmp_path, LogOptions()) == (b"", b"")


def test_a_log_that_cannot_be_read(tmp_path: Path) -> None:
    os.symlink("loop", tmp_path / "loop")
    with pytest.raises(errors.WherryError, match="unable to read log file"):
        copy(str(tmp_path / "loop"), 1, 2)


def test_nobody_reads(tmp_path: Path) -> None:
    path = str(tmp_path / "ctr.log")
    Path(path).write_bytes(RECORDS["one stream"])
    reader, writer = os.pipe()
    os.close(reader)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(BrokenPipeError):
        copy(path, writer, writer)
    assert len(os.listdir("/proc/self/fd")) == before
    os.close(writer)


def test_following(tmp_path: Path) -> None:
    path = str(tmp_path / "ctr.log")
    Path(path).write_bytes(RECORDS["parts"])
    stopped = threading.Event()
    output = Output(tmp_path)
    thread = threading.Thread(
        target=copy, args=(path, output.out, output.err, LogOptions(follow=True)), kwargs={"finished": stopped.is_set}
    )
    thread.start()
    with open(path, "ab") as file:
        file.write(RECORDS["an open end"])
    stopped.set()
    thread.join(10)
    assert not thread.is_alive()
    assert output.read()[0] == b"ab\nab\na"


def test_the_quick_way_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def slow(*_: object) -> None:
        raise AssertionError("one by one")

    monkeypatch.setattr(Copier, "_one_by_one", slow)
    path = str(tmp_path / "ctr.log")
    for content in ("one stream", "two streams", "a tag in the text", "empty lines"):
        Path(path).write_bytes(RECORDS[content])
        by_copy(path, tmp_path, LogOptions(timestamps=True))
    Path(path).write_bytes(RECORDS["parts"])
    by_copy(path, tmp_path, LogOptions())


class TestLineWriter:
    def lines(self, tmp_path: Path, lines: list[LogLine], **options: object) -> tuple[bytes, bytes]:
        output = Output(tmp_path)
        writer = LineWriter(output.out, output.err, **options)  # type: ignore[arg-type]
        for line in lines:
            writer.write(line)
        return output.read()

    def test_what_stands_before_a_line(self, tmp_path: Path) -> None:
        lines = [LogLine(SECOND, "stdout", False, b"a"), LogLine(SECOND, "stderr", False, b"b")]
        assert self.lines(tmp_path, lines, prefix="web", timestamps=True) == (
            b"web 1970-01-01T00:00:01.000000000Z a\n", b"web 1970-01-01T00:00:01.000000000Z b\n"
        )

    def test_nothing_stands_before_a_continuation(self, tmp_path: Path) -> None:
        lines = [
            LogLine(0, "stdout", True, b"pass"),
            LogLine(0, "stderr", False, b"e"),
            LogLine(0, "stdout", False, b"word"),
            LogLine(0, "stdout", False, b"next"),
        ]
        assert self.lines(tmp_path, lines, prefix="web") == (b"web password\nweb next\n", b"web e\n")

    def test_colours(self, tmp_path: Path) -> None:
        line = [LogLine(0, "stdout", False, b"a")]
        assert self.lines(tmp_path, line, prefix="web", color=0)[0] == b"\033[37mweb a\033[0m\n"
        assert self.lines(tmp_path, line, color=8)[0] == b"\033[31ma\033[0m\n"

    def test_times_are_local(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert shown_time(SECOND) == "1970-01-01T00:00:01.000000000Z"
        monkeypatch.setenv("TZ", "Asia/Kolkata")
        time.tzset()
        assert shown_time(SECOND) == "1970-01-01T05:30:01.000000000+05:30"
