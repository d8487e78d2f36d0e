"""Reading k8s-file logs: records as conmon 2.1.6 writes them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry import errors
from wherry.logs import k8sfile
from wherry.logs.line import LogLine, LogOptions, LogStream
from wherry.logs.reader import NotLogging, read
from wherry.model.timestamps import SECOND, format_ns

START = 1795306204 * SECOND     # 2026-11-22T00:10:04Z

#: What conmon 2.1.6 wrote for: echo hi; echo err >&2; echo; printf part; sleep 0.2; echo rest; a long line; printf end
CONMON = b"""\
2026-11-22T00:10:04.980282547+00:00 stdout F hi
2026-11-22T00:10:04.980282547+00:00 stdout F \n\
2026-11-22T00:10:04.980282547+00:00 stdout P part
2026-11-22T00:10:04.980403290+00:00 stderr F err
2026-11-22T00:10:05.181927048+00:00 stdout F rest
2026-11-22T00:10:05.183414480+00:00 stdout P xxxx
2026-11-22T00:10:05.183465998+00:00 stdout P yyyy
2026-11-22T00:10:05.183563810+00:00 stdout F \n\
2026-11-22T00:10:05.183563810+00:00 stdout P end without newline
"""
LINES = [
    LogLine(START + 980282547, "stdout", False, b"hi"),
    LogLine(START + 980282547, "stdout", False, b""),
    LogLine(START + 980403290, "stderr", False, b"err"),
    LogLine(START + 980282547, "stdout", False, b"partrest"),
    LogLine(START + SECOND + 183414480, "stdout", False, b"xxxxyyyy"),
    LogLine(START + SECOND + 183563810, "stdout", True, b"end without newline"),
]


def record(text: str, seconds: float = 0, stream: str = "stdout", flag: str = "F") -> bytes:
    stamp = format_ns(START + int(seconds * SECOND), digits=9)[:-1] + "+00:00"
    return f"{stamp} {stream} {flag} {text}\n".encode()


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "ctr.log")


def write(path: str, *records: bytes, how: str = "ab") -> None:
    with open(path, how, buffering=0) as file:
        file.write(b"".join(records))


def texts(lines: list[LogLine] | LogStream) -> list[bytes]:
    return [line.text for line in lines]


class TestParsing:
    @pytest.mark.parametrize(
        ("stamp", "moment"),
        [
            (b"2026-11-22T00:10:04.980282547+00:00", START + 980282547),
            (b"2026-11-22T00:10:04.980282547Z", START + 980282547),
            (b"2026-11-22T05:40:04.980282547+05:30", START + 980282547),
            (b"2026-11-22T00:10:59.000000001+00:00", START + 55 * SECOND + 1),
            (b"2026-11-22T00:11:00.000000000+00:00", START + 56 * SECOND),
            (b"2026-11-22T00:10:04Z", START),
            (b"2026-11-22T00:10:04.5Z", START + SECOND // 2),
        ],
    )
    def test_times(self, stamp: bytes, moment: int) -> None:
        parser = k8sfile.RecordParser()
        for _ in range(2):      # the second time from the remembered minute
            line = parser.parse(stamp + b" stderr F a b  c ")
            assert line == LogLine(moment, "stderr", False, b"a b  c ")

    @given(st.lists(st.tuples(st.integers(0, 4_000_000_000 * SECOND), st.booleans()), max_size=5))
    def test_any_time(self, moments: list[tuple[int, bool]]) -> None:
        parser = k8sfile.RecordParser()
        for moment, local in moments:
            stamp = format_ns(moment, digits=9, local=local).encode()
            line = parser.parse(stamp + b" stdout P x")
            assert line is not None and line.time_ns == moment

    @pytest.mark.parametrize(
        "text", [b"", b"hello", b"2026-11-22T00:10:04Z stdout F", b"yesterday stdout F x", b"\xff\xfe a b c"]
    )
    def test_what_is_no_record(
        self, text: bytes, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("wherry.sys.log._said", set())
        for _ in range(2):
            assert k8sfile.RecordParser().parse(text) is None
        assert capfd.readouterr().err.count("is not a valid container log line") == 1


class TestReading:
    def test_what_conmon_writes(self, path: str) -> None:
        write(path, CONMON)
        assert list(read("k8s-file", path)) == LINES
        assert list(read("json-file", path)) == LINES

    def test_no_file_is_an_empty_log(self, path: str) -> None:
        assert list(read("k8s-file", path)) == []

    def test_bad_records_are_passed_over(self, path: str) -> None:
        write(path, record("a"), b"garbage\n\n\0\0\0\n", record("b"))
        assert texts(read("k8s-file", path)) == [b"a", b"b"]

    def test_a_record_without_an_end(self, path: str) -> None:
        write(path, record("a"), record("half a li")[:-1])
        assert [(line.text, line.partial) for line in read("k8s-file", path)] == [(b"a", False), (b"half a li", True)]

    def test_bounds(self, path: str) -> None:
        write(path, *(record(f"l{number}", number) for number in range(5)))
        options = LogOptions(since_ns=START + SECOND, until_ns=START + 4 * SECOND)
        assert texts(read("k8s-file", path, options=options)) == [b"l2", b"l3"]

    def test_a_line_that_never_ends_comes_in_pieces(self, path: str) -> None:
        piece = "x" * 8000
        write(path, *(record(piece, flag="P") for _ in range(200)), record("end"))
        lines = list(read("k8s-file", path))
        assert len(lines) == 2 and lines[0].partial and not lines[1].partial
        assert b"".join(texts(lines)) == piece.encode() * 200 + b"end"

    def test_rotated_files(self, path: str) -> None:
        write(path + ".2", record("a"))
        write(path + ".1", record("b"), record("c", flag="P"))
        write(path, record("d"))
        assert texts(read("k8s-file", path)) == [b"a", b"b", b"cd"]
        os.unlink(path)         # conmon between its two renames
        assert texts(read("k8s-file", path)) == [b"a", b"b", b"c"]

    def test_closing_ends_it(self, path: str) -> None:
        write(path, record("a"), record("b"))
        before = len(os.listdir("/proc/self/fd"))
        with read("k8s-file", path) as stream:
            assert next(stream).text == b"a"
            stream.close()
            assert list(stream) == []
        assert len(os.listdir("/proc/self/fd")) == before

    def test_a_directory_in_the_way(self, path: str) -> None:
        os.mkdir(path)
        with pytest.raises(errors.WherryError, match="unable to read log file"):
            list(read("k8s-file", path))

    @pytest.mark.parametrize("driver", ["none", "passthrough", "passthrough-tty"])
    def test_drivers_that_keep_nothing(self, driver: str) -> None:
        with pytest.raises(NotLogging) as caught:
            read(driver)
        assert str(caught.value) == (
            f"this container is using the '{driver}' log driver, cannot read logs: "
            "this container is not logging output"
        )

    def test_a_driver_nobody_knows(self) -> None:
        with pytest.raises(errors.InternalError, match='unrecognized log driver "syslog", cannot read logs'):
            read("syslog")


class TestTail:
    @pytest.mark.parametrize(
        ("wanted", "lines"),
        [
            (0, []),
            (1, [b"end without newline"]),
            (2, [b"xxxxyyyy", b"end without newline"]),
            (3, [b"rest", b"xxxxyyyy", b"end without newline"]),        # its first part stands before "err"
            (4, [b"err", b"partrest", b"xxxxyyyy", b"end without newline"]),
            (5, [b"", b"err", b"partrest", b"xxxxyyyy", b"end without newline"]),
            (6, [b"hi", b"", b"err", b"partrest", b"xxxxyyyy", b"end without newline"]),
            (7, [b"hi", b"", b"err", b"partrest", b"xxxxyyyy", b"end without newline"]),
        ],
    )
    def test_lines_are_counted_not_records(self, path: str, wanted: int, lines: list[bytes]) -> None:
        write(path, CONMON)
        assert texts(read("k8s-file", path, options=LogOptions(tail=wanted))) == lines

    @given(
        st.lists(st.tuples(st.integers(0, 60), st.booleans()), max_size=40), st.integers(0, 45), st.integers(50, 200)
    )
    def test_any_log_and_block_size(self, shape: list[tuple[int, bool]], wanted: int, block: int) -> None:
        """The tail is what the last lines of the whole are, wherever a block ends."""
        import tempfile

        with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
            patch.setattr(k8sfile, "_BLOCK", block)
            path = directory + "/ctr.log"
            write(path, *(record(f"{n}" + "x" * size, flag="P" if partial else "F")
                          for n, (size, partial) in enumerate(shape)))
            whole = texts(read("k8s-file", path))
            assert texts(read("k8s-file", path, options=LogOptions(tail=wanted))) == whole[max(0, len(whole) - wanted):]

    def test_over_rotated_files(self, path: str) -> None:
        write(path + ".2", *(record(f"a{number}") for number in range(3)), record("b0-", flag="P"))
        write(path + ".1", record("b0"), record("b1"))
        write(path, record("c0"))
        everything = [b"a0", b"a1", b"a2", b"b0-b0", b"b1", b"c0"]
        for wanted in range(8):
            got = texts(read("k8s-file", path, options=LogOptions(tail=wanted)))
            assert got == everything[max(0, len(everything) - wanted):]

    def test_an_empty_log(self, path: str) -> None:
        write(path)
        assert texts(read("k8s-file", path, options=LogOptions(tail=5))) == []


class Collector(threading.Thread):
    def __init__(self, stream: LogStream) -> None:
        super().__init__(daemon=True)
        self.stream = stream
        self.lines: list[LogLine] = []
        self.start()

    def run(self) -> None:
        for line in self.stream:
            self.lines.append(line)

    def until(self, condition: Callable[[list[bytes]], bool]) -> None:
        deadline = time.monotonic() + 10
        while not condition(texts(self.lines)):
            assert time.monotonic() < deadline, self.lines
            time.sleep(0.005)

    def ends(self) -> bool:
        self.join(10)
        return not self.is_alive()


class TestFollowing:
    FOLLOW = LogOptions(follow=True)

    def test_until_the_container_has_stopped(self, path: str) -> None:
        stopped = threading.Event()
        write(path, record("a"))
        collector = Collector(read("k8s-file", path, options=self.FOLLOW, finished=stopped.is_set))
        collector.until(lambda got: got == [b"a"])
        write(path, record("b"))
        collector.until(lambda got: got == [b"a", b"b"])
        write(path, record("c"))
        stopped.set()
        assert collector.ends()
        assert texts(collector.lines) == [b"a", b"b", b"c"]

    def test_a_container_that_has_stopped_long_ago(self, path: str) -> None:
        write(path, CONMON)
        assert texts(read("k8s-file", path, options=self.FOLLOW, finished=lambda: True)) == texts(LINES)

    def test_the_end_of_conmon_is_the_end(self, path: str) -> None:
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.read(reader, 1)
            write(path, record("last words"))
            os._exit(0)
        write(path, record("a"))
        collector = Collector(read("k8s-file", path, options=self.FOLLOW, pid=pid))
        collector.until(lambda got: got == [b"a"])
        os.write(writer, b"x")
        assert collector.ends()
        assert texts(collector.lines) == [b"a", b"last words"]
        os.waitpid(pid, 0)

    def test_a_restarted_container_is_followed_on(self, path: str) -> None:
        """Its conmon is gone, but it has not stopped for good."""
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        stopped = threading.Event()
        write(path, record("a"))
        collector = Collector(read("k8s-file", path, options=self.FOLLOW, pid=pid, finished=stopped.is_set))
        collector.until(lambda got: got == [b"a"])
        write(path, record("b"))
        collector.until(lambda got: got == [b"a", b"b"])
        stopped.set()
        assert collector.ends()

    def test_a_pid_that_is_somebody_elses_now(self, path: str) -> None:
        write(path, record("a"))
        stream = read("k8s-file", path, options=self.FOLLOW, pid=os.getpid(), finished=lambda: True)
        assert texts(stream) == [b"a"]

    def test_a_prompt_is_shown_at_once(self, path: str) -> None:
        stopped = threading.Event()
        write(path, record("password: ", flag="P"))
        collector = Collector(read("k8s-file", path, options=self.FOLLOW, finished=stopped.is_set))
        collector.until(lambda got: got == [b"password: "])
        write(path, record("thanks"))
        collector.until(lambda got: len(got) == 2)
        assert [(line.text, line.partial) for line in collector.lines] == [(b"password: ", True), (b"thanks", False)]
        stopped.set()
        assert collector.ends()

    def test_a_new_file(self, path: str) -> None:
        stopped = threading.Event()
        write(path, record("a"))
        collector = Collector(read("k8s-file", path, options=self.FOLLOW, finished=stopped.is_set))
        collector.until(lambda got: got == [b"a"])
        write(path, record("b"))
        write(path + ".tmp", record("c"))
        os.rename(path + ".tmp", path)      # conmon at its size limit
        write(path, record("d"))
        collector.until(lambda got: got == [b"a", b"b", b"c", b"d"])
        stopped.set()
        assert collector.ends()

    def test_two_rotations_between_looks(self, path: str) -> None:
        stopped = threading.Event()
        write(path, record("a"))
        collector = Collector(read("k8s-file", path, options=self.FOLLOW, finished=stopped.is_set))
        collector.until(lambda got: got == [b"a"])
        os.rename(path, path + ".2")
        write(path + ".1", record("b"))
        write(path, record("c"))
        collector.until(lambda got: got == [b"a", b"b", b"c"])
        stopped.set()
        assert collector.ends()

    def test_a_file_emptied_in_place(self, path: str) -> None:
        stopped = threading.Event()
        write(path, record("a" * 100))
        collector = Collector(read("k8s-file", path, options=self.FOLLOW, finished=stopped.is_set))
        collector.until(lambda got: len(got) == 1)
        write(path, record("b"), how="wb")
        collector.until(lambda got: got[1:] == [b"b"])
        stopped.set()
        assert collector.ends()

    def test_only_the_tail_and_then_what_comes(self, path: str) -> None:
        stopped = threading.Event()
        write(path, *(record(f"l{number}") for number in range(5)))
        options = LogOptions(follow=True, tail=1)
        collector = Collector(read("k8s-file", path, options=options, finished=stopped.is_set))
        collector.until(lambda got: got == [b"l4"])
        write(path, record("new"))
        collector.until(lambda got: got == [b"l4", b"new"])
        stopped.set()
        assert collector.ends()

    def test_a_log_that_begins_later(self, path: str) -> None:
        stopped = threading.Event()
        collector = Collector(read("k8s-file", path, options=self.FOLLOW, finished=stopped.is_set))
        time.sleep(0.01)
        write(path, record("a"))
        collector.until(lambda got: got == [b"a"])
        stopped.set()
        assert collector.ends()

    def test_a_moment_to_end_at(self, path: str) -> None:
        write(path, record("a"))
        options = LogOptions(follow=True, until_ns=time.time_ns() + SECOND // 5)
        collector = Collector(read("k8s-file", path, options=options, finished=lambda: False))
        assert collector.ends()
        assert time.time_ns() >= options.until_ns

    def test_closing_from_another_thread(self, path: str) -> None:
        write(path, record("a"))
        collector = Collector(read("k8s-file", path, options=self.FOLLOW, finished=lambda: False))
        collector.until(lambda got: got == [b"a"])
        collector.stream.close()
        assert collector.ends()
