"""Progress for programs: typed events, Docker's and libpod's JSON lines."""

from __future__ import annotations

import json
from typing import Any

import pytest

import wherry
from wherry.registry.progress import Reporter, as_reporter
from wherry.registry.progress_events import DockerLines, LibpodLines, ProgressEvent, ProgressEvents, bar

BLOB = "sha256:" + "ab" * 32


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def transfer(reporter: Reporter, clock: Clock) -> None:
    """A blob in three steps, of which the second comes too soon to be told, and one that was there."""
    reporter.message("Getting image source signatures")
    reporter.start(BLOB, "Copying blob", 4_335_400)
    for done in (49_152, 60_000, 1_378_626):
        reporter.update(BLOB, done)
        clock.now += 0.06
    reporter.finish(BLOB, "done")
    reporter.start("sha256:cd", "Copying blob", 7)
    reporter.finish("sha256:cd", "skipped: already exists")
    reporter.update("sha256:unknown", 1)
    reporter.finish("sha256:unknown", "done")


def test_events() -> None:
    clock, seen = Clock(), list[ProgressEvent]()
    reporter = wherry.ProgressEvents(seen.append, clock=clock)
    assert as_reporter(reporter) is reporter
    transfer(reporter, clock)
    assert [(event.kind, event.id, event.done, event.total) for event in seen] == [
        ("message", "", 0, -1), ("started", BLOB, 0, 4_335_400), ("advanced", BLOB, 49_152, 4_335_400),
        ("advanced", BLOB, 1_378_626, 4_335_400), ("finished", BLOB, 4_335_400, 4_335_400),
        ("started", "sha256:cd", 0, 7), ("skipped", "sha256:cd", 0, 7),
    ]
    assert seen[0].text == "Getting image source signatures" and seen[1].text == "Copying blob"
    assert seen[4].seconds == pytest.approx(0.18)
    assert isinstance(seen[0], wherry.ProgressEvent) and isinstance(reporter, ProgressEvents)


def lines(written: list[bytes]) -> list[dict[str, Any]]:
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in written)
    return [json.loads(line) for line in written]


def test_docker_pull() -> None:
    clock, written = Clock(), list[bytes]()
    reporter = DockerLines(written.append, clock=clock)
    transfer(reporter, clock)
    reporter.pulled("app:1", BLOB, newer=True)
    reporter.pulled("app:1", BLOB, newer=False)
    reporter.failed("no space left")
    assert written[0] == b'{"status":"Pulling fs layer","progressDetail":{},"id":"abababababab"}\n'
    found = lines(written)
    assert [line.get("status") for line in found[:6]] == [
        "Pulling fs layer", "Downloading", "Downloading", "Download complete", "Pulling fs layer", "Already exists",
    ]
    assert found[2]["progressDetail"] == {"current": 1_378_626, "total": 4_335_400}
    assert found[2]["progress"] == "[===============>                                  ]  1.379MB/4.335MB"
    assert [line["status"] for line in found[6:-1]] == [
        f"Digest: {BLOB}", "Status: Downloaded newer image for app:1",
        f"Digest: {BLOB}", "Status: Image is up to date for app:1",
    ]
    assert found[-1] == {"progressDetail": {}, "errorDetail": {"message": "no space left"}, "error": "no space left"}


def test_docker_push() -> None:
    clock, written = Clock(), list[bytes]()
    reporter = DockerLines(written.append, push=True, clock=clock)
    reporter.pushing("localhost:5000/app")
    transfer(reporter, clock)
    reporter.pushed("1", BLOB, 1248)
    found = lines(written)
    assert [line.get("status") for line in found] == [
        "The push refers to repository [localhost:5000/app]", "Preparing", "Pushing", "Pushing", "Pushed", "Preparing",
        "Layer already exists", f"1: digest: {BLOB} size: 1248", None,
    ]
    assert found[-1]["aux"] == {"Tag": "1", "Digest": BLOB, "Size": 1248}


def test_libpod() -> None:
    clock, written = Clock(), list[bytes]()
    reporter = LibpodLines(written.append)
    transfer(reporter, clock)
    reporter.pulled(["1234"])
    reporter.failed("manifest unknown")
    assert lines(written) == [
        {"stream": "Getting image source signatures\n"}, {"stream": f"Copying blob {BLOB}\n"},
        {"stream": "Copying blob sha256:cd\n"}, {"images": ["1234"], "id": "1234"}, {"error": "manifest unknown"},
    ]


@pytest.mark.parametrize(("done", "total", "drawn"), [
    (0, 100, "[>" + " " * 49 + "]       0B/100B"),
    (100, 100, "[" + "=" * 50 + "]     100B/100B"),
    (150, 100, "[" + "=" * 50 + "]     100B/100B"),
    (719, -1, "    719B"),
    (11_107_850, 0, " 11.11MB"),
])
def test_bars(done: int, total: int, drawn: str) -> None:
    assert bar(done, total) == drawn
