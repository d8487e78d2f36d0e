"""Reporters: Podman's lines, and bars on a terminal."""

from __future__ import annotations

import io
import threading

import pytest

from wherry.registry.progress import BarReporter, LinesReporter, Reporter, as_reporter

FIRST = "sha256:" + "1" * 64
SECOND = "sha256:" + "2" * 64


def test_nothing_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = Reporter()
    reporter.start(FIRST, "Copying blob", 10)
    reporter.update(FIRST, 5)
    reporter.finish(FIRST, "done")
    reporter.message("hello")
    assert capsys.readouterr() == ("", "")


def test_podmans_lines(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = LinesReporter()
    reporter.message("Trying to pull quay.io/a/b:latest...")
    reporter.message("Getting image source signatures")
    reporter.start(FIRST, "Copying blob", 10)
    reporter.update(FIRST, 10)
    reporter.finish(FIRST, "done")
    reporter.start(SECOND, "Copying config", 5)
    reporter.finish(SECOND, "done")
    reporter.message("Writing manifest to image destination")
    assert capsys.readouterr().err.splitlines() == [
        "Trying to pull quay.io/a/b:latest...",
        "Getting image source signatures",
        f"Copying blob {FIRST}",
        f"Copying config {SECOND}",
        "Writing manifest to image destination",
    ]


def test_as_reporter() -> None:
    lines: list[str] = []
    made = as_reporter(lines.append)
    made.message("hello")
    made.start(FIRST, "Copying blob", 1)
    assert lines == ["hello", f"Copying blob {FIRST}"]
    assert as_reporter(made) is made
    assert type(as_reporter(None)) is Reporter


class Screen:
    """What a terminal shows: the few escapes the bars use."""

    def __init__(self) -> None:
        self.lines = [""]
        self.row = 0

    def write(self, text: str) -> None:
        while text:
            if text.startswith("\x1b["):
                count, _, rest = text[2:].partition("A")
                if count.isdigit():
                    self.row -= int(count)
                    text = rest
                else:
                    assert text.startswith("\x1b[J")
                    del self.lines[self.row + 1:]
                    self.lines[self.row] = ""
                    text = text[3:]
            elif text[0] == "\n":
                self.row += 1
                if self.row == len(self.lines):
                    self.lines.append("")
                text = text[1:]
            else:
                if text[0] != "\r":
                    self.lines[self.row] += text[0]
                text = text[1:]

    def flush(self) -> None:
        pass

    def fileno(self) -> int:
        raise io.UnsupportedOperation


class TestBars:
    def reporter(self, columns: int = 100) -> tuple[BarReporter, Screen, list[float]]:
        screen, now = Screen(), [100.0]
        return BarReporter(screen, columns=columns, clock=lambda: now[0]), screen, now      # type: ignore[arg-type]

    def test_a_pull(self) -> None:
        reporter, screen, now = self.reporter()
        reporter.message("Trying to pull x...")
        reporter.start(FIRST, "Copying blob", 4096)
        reporter.start(SECOND, "Copying blob", 0)
        assert screen.lines == [
            "Trying to pull x...",
            "Copying blob 111111111111 [------------------------] 0.0b / 4.0KiB",
            "Copying blob 222222222222 0.0b",
            "",
        ]
        now[0] += 2
        reporter.update(FIRST, 2048)
        assert screen.lines[1] == (
            "Copying blob 111111111111 [===========>------------] 2.0KiB / 4.0KiB | 1.0KiB/s"
        )
        reporter.finish(SECOND, "done")
        assert screen.lines[2] == "Copying blob 222222222222 done"
        reporter.message("still going")
        assert screen.lines[:2] == ["Trying to pull x...", "still going"]
        reporter.finish(FIRST, "skipped: already exists")
        reporter.message("Writing manifest to image destination")
        assert screen.lines == [
            "Trying to pull x...",
            "still going",
            "Copying blob 111111111111 skipped: already exists",
            "Copying blob 222222222222 done",
            "Writing manifest to image destination",
            "",
        ]

    def test_updates_are_not_drawn_more_often_than_anybody_sees(self) -> None:
        reporter, screen, now = self.reporter()
        reporter.start(FIRST, "Copying blob", 100)
        before = list(screen.lines)
        reporter.update(FIRST, 50)
        assert screen.lines == before
        now[0] += 1
        reporter.update(FIRST, 51)
        assert screen.lines != before

    def test_unknown_ids_and_overlong_blobs(self) -> None:
        reporter, screen, now = self.reporter()
        reporter.update(FIRST, 5)
        reporter.finish(FIRST, "done")
        reporter.start(FIRST, "Copying blob", 10)
        now[0] += 1
        reporter.update(FIRST, 99 << 40)
        assert "[=======================>] 99.0TiB / 10.0b" in screen.lines[0]

    def test_lines_never_wrap(self) -> None:
        reporter, screen, _ = self.reporter(columns=30)
        reporter.start(FIRST, "Copying blob", 4096)
        assert screen.lines[0] == "Copying blob 111111111111 [--"

    def test_from_several_threads(self) -> None:
        reporter, screen, now = self.reporter()

        def one(number: int) -> None:
            name = f"sha256:{number:064}"
            reporter.start(name, "Copying blob", 100)
            for done in range(100):
                now[0] += 1
                reporter.update(name, done)
            reporter.finish(name, "done")

        threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [line.rpartition(" ")[2] for line in screen.lines] == ["done"] * 8 + [""]
