"""Writing an event log file and reading it while it grows and is rotated."""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from wherry import errors
from wherry.events import publisher as publisher_module
from wherry.events.codec import from_line
from wherry.events.publisher import ROTATE_ATTRIBUTE, Publisher
from wherry.events.reader import EventReader, EventStream
from wherry.model.event import Event
from wherry.model.timestamps import SECOND, format_ns


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "events" / "events.log")


def event(name: str, when: int = 0) -> Event:
    return Event(type="volume", status="create", name=name, time_ns=when)


def names(events: list[Event] | EventStream) -> list[str]:
    return [one.name for one in events]


def in_file(path: str) -> list[Event]:
    return [from_line(line) for line in Path(path).read_text().splitlines()]


class Collector(threading.Thread):
    """Reads a stream in a thread."""

    def __init__(self, stream: EventStream) -> None:
        super().__init__(daemon=True)
        self.stream = stream
        self.names: list[str] = []
        self.start()

    def run(self) -> None:
        for one in self.stream:
            self.names.append(one.name)

    def until(self, condition: Callable[[list[str]], bool]) -> list[str]:
        deadline = time.monotonic() + 10
        while not condition(self.names):
            assert time.monotonic() < deadline, self.names
            time.sleep(0.005)
        return self.names


class TestPublishing:
    def test_lines_are_appended(self, path: str) -> None:
        publisher = Publisher("file", path)
        publisher.publish([event("a", 5), event("b", 6)])
        publisher.publish([event("c", 7)])
        publisher.publish([])
        assert in_file(path) == [event("a", 5), event("b", 6), event("c", 7)]
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600

    def test_an_event_without_a_time_happens_now(self, path: str) -> None:
        before = time.time_ns()
        Publisher("file", path).publish([event("a")])
        assert before <= in_file(path)[0].time_ns <= time.time_ns()

    def test_nothing_is_published_with_none(self, path: str) -> None:
        Publisher("none", path).publish([event("a")])
        assert not os.path.exists(os.path.dirname(path))

    def test_an_unknown_backend(self) -> None:
        with pytest.raises(errors.InvalidArgument, match='unknown event logger type "syslog"'):
            Publisher("syslog")

    def test_a_file_that_reaches_its_limit_is_halved(self, path: str) -> None:
        publisher = Publisher("file", path, max_size=4000)
        for number in range(100):
            publisher.publish([event(f"e{number}", number + 1)])
            assert os.stat(path).st_size < 4000
        found = in_file(path)
        markers = [one.attributes[ROTATE_ATTRIBUTE] for one in found if one.status == "log-rotation"]
        assert found[0].attributes == {ROTATE_ATTRIBUTE: "begin"}
        assert (found[0].type, found[0].name) == ("system", path)
        assert markers.count("end") >= 1
        kept = [one.name for one in found if one.type == "volume"]
        assert kept == [f"e{number}" for number in range(100 - len(kept), 100)]
        assert sorted(os.listdir(os.path.dirname(path))) == ["events.log", "events.log.lock"]

    def test_a_limit_of_zero_is_none(self, path: str) -> None:
        publisher = Publisher("file", path, max_size=0)
        publisher.publish([event("x" * 1000)])
        publisher.publish([event("y" * 1000)])
        assert len(in_file(path)) == 2

    def test_no_line_is_half_written(self, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
        publisher = Publisher("file", path)
        publisher.publish([event("a")])

        def no_space(fd: int, data: bytes) -> None:
            os.write(fd, data[:20])
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("wherry.sys.files.write_all", no_space)
        with pytest.raises(errors.NoSpace, match="writing event to file"):
            publisher.publish([event("b")])
        assert names(in_file(path)) == ["a"]

    def test_a_place_that_cannot_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(errors.WherryError, match="writing event to file"):
            Publisher("file", str(tmp_path / "file" / "events.log")).publish([event("a")])

    def test_many_processes(self, path: str) -> None:
        pids = []
        for number in range(4):
            pid = os.fork()
            if pid == 0:
                for turn in range(50):
                    Publisher("file", path, max_size=0).publish([event(f"{number}-{turn}")])
                os._exit(0)
            pids.append(pid)
        assert [os.waitpid(pid, 0)[1] for pid in pids] == [0] * 4
        found = names(in_file(path))
        for number in range(4):
            assert [name for name in found if name.startswith(f"{number}-")] == [f"{number}-{t}" for t in range(50)]

    def test_the_marker_has_podmans_attribute(self) -> None:
        assert publisher_module.ROTATE_ATTRIBUTE == "io.podman.event.rotate"


class TestReading:
    def test_the_past(self, path: str) -> None:
        Publisher("file", path).publish([event("a", 5), event("b", 6), event("c", 7)])
        assert names(EventReader("file", path).read(follow=False)) == ["a", "b", "c"]

    def test_filters_and_bounds(self, path: str) -> None:
        Publisher("file", path).publish([event("a", SECOND), event("b", 2 * SECOND), event("c", 3 * SECOND)])
        reader = EventReader("file", path)
        assert names(reader.read(follow=False, filters=["volume=b"])) == ["b"]
        assert names(reader.read(follow=False, since="1")) == ["b", "c"]
        assert names(reader.read(follow=False, since="1970-01-01T00:00:01Z", until="3")) == ["b"]

    def test_an_end_in_the_past_ends_at_once(self, path: str) -> None:
        Publisher("file", path).publish([event("a", SECOND), event("b", time.time_ns() + 60 * SECOND)])
        assert names(EventReader("file", path).read(until="2")) == ["a"]

    def test_no_log_yet(self, path: str) -> None:
        assert names(EventReader("file", path).read(follow=False)) == []

    def test_a_backend_that_keeps_nothing(self) -> None:
        with pytest.raises(errors.Unsupported) as caught:
            EventReader("none").read()
        assert str(caught.value) == 'cannot read events with the "none" backend'

    def test_bad_lines_are_passed_over(self, path: str) -> None:
        publisher = Publisher("file", path)
        publisher.publish([event("a")])
        with open(path, "ab") as file:
            file.write(b'{"Status":"cre\n\xff\xfe\n5\n\n{"Time":5}\n')
        publisher.publish([event("b")])
        assert names(EventReader("file", path).read(follow=False)) == ["a", "b"]


class TestFollowing:
    @pytest.fixture(autouse=True)
    def impatient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("wherry.events.reader.POLL", 0.01)

    def test_only_what_is_new(self, path: str) -> None:
        publisher = Publisher("file", path)
        publisher.publish([event("old")])
        collector = Collector(EventReader("file", path).read())
        publisher.publish([event("a")])
        collector.until(lambda got: got == ["a"])
        publisher.publish([event("b"), event("c")])
        collector.until(lambda got: got == ["a", "b", "c"])
        collector.stream.close()
        collector.join(5)
        assert not collector.is_alive()

    def test_since_gives_the_past_too(self, path: str) -> None:
        publisher = Publisher("file", path)
        publisher.publish([event("old")])
        collector = Collector(EventReader("file", path).read(since="1h"))
        collector.until(lambda got: got == ["old"])
        publisher.publish([event("new")])
        collector.until(lambda got: got == ["old", "new"])
        collector.stream.close()

    def test_a_log_that_begins_later(self, path: str) -> None:
        collector = Collector(EventReader("file", path).read())
        time.sleep(0.02)
        Publisher("file", path).publish([event("first")])
        collector.until(lambda got: got == ["first"])
        collector.stream.close()

    def test_an_end_in_the_future(self, path: str) -> None:
        publisher = Publisher("file", path)
        end = time.time_ns() + SECOND // 2
        collector = Collector(EventReader("file", path).read(until=format_ns(end)))
        publisher.publish([event("before"), event("after", end + 1)])
        collector.join(5)
        assert not collector.is_alive() and time.time_ns() >= end
        assert collector.names == ["before"]

    @pytest.mark.parametrize("quiet", [True, False])
    def test_rotation_loses_and_repeats_nothing(self, path: str, quiet: bool) -> None:
        """*quiet* leaves the follower time to see each line, otherwise several rotations go by unseen."""
        publisher = Publisher("file", path, max_size=6000)
        publisher.publish([event(f"old{number}", number + 1) for number in range(20)])
        collector = Collector(EventReader("file", path).read())
        for number in range(60):
            publisher.publish([event(f"n{number}", 1000 + number)])
            if quiet:
                collector.until(lambda got, number=number: f"n{number}" in got)
        collector.until(lambda got: "n59" in got)
        seen = [name for name in collector.names if name != path]       # without the rotation markers
        assert seen == [f"n{number}" for number in range(60 - len(seen), 60)]
        if quiet:
            assert len(seen) == 60
        assert path in collector.names
        collector.stream.close()

    def test_a_file_emptied_in_place(self, path: str) -> None:
        publisher = Publisher("file", path)
        publisher.publish([event("old")])
        collector = Collector(EventReader("file", path).read())
        publisher.publish([event("a" * 200)])
        collector.until(lambda got: len(got) == 1)
        os.truncate(path, 0)
        time.sleep(0.1)
        publisher.publish([event("b")])
        collector.until(lambda got: got[-1] == "b")
        collector.stream.close()

    def test_closing_before_the_first_event(self, path: str) -> None:
        Publisher("file", path).publish([event("old")])
        before = len(os.listdir("/proc/self/fd"))
        stream = EventReader("file", path).read()
        assert len(os.listdir("/proc/self/fd")) == before + 1
        stream.close()
        stream.close()
        assert len(os.listdir("/proc/self/fd")) == before
        assert list(stream) == []

    def test_leaving_the_block_closes(self, path: str) -> None:
        Publisher("file", path).publish([event("a"), event("b")])
        before = len(os.listdir("/proc/self/fd"))
        with EventReader("file", path).read(since="1h") as stream:
            assert next(stream).name == "a"
        assert len(os.listdir("/proc/self/fd")) == before
