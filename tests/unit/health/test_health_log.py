"""The log of probes: form, caps, damage, destinations."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from wherry.errors import InvalidArgument
from wherry.health import log
from wherry.health.log import Result


def result(number: int) -> Result:
    return Result(start="2026-01-02T03:04:05Z", end="2026-01-02T03:04:06Z", exit_code=number % 2, output=f"no {number}")


def test_the_file_is_what_inspect_shows(tmp_path: Path) -> None:
    file = tmp_path / "healthcheck.log"
    log.add(str(file), result(1), status="starting", streak=1, count=5)
    assert json.loads(file.read_text()) == {
        "Status": "starting",
        "FailingStreak": 1,
        "Log": [{"Start": "2026-01-02T03:04:05Z", "End": "2026-01-02T03:04:06Z", "ExitCode": 1, "Output": "no 1"}],
    }
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("count", "kept"), [(5, 5), (1, 1), (0, 9)])
def test_the_last_ones_are_kept(tmp_path: Path, count: int, kept: int) -> None:
    file = str(tmp_path / "log")
    for number in range(9):
        log.add(file, result(number), status="healthy", streak=0, count=count)
    assert [entry["Output"] for entry in log.read(file)] == [f"no {number}" for number in range(9)][-kept:]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log"]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"Log": null}', '{"Log": [1, "x"]}'])
def test_damage_harms_nothing(tmp_path: Path, text: str) -> None:
    file = tmp_path / "log"
    file.write_text(text)
    assert log.read(str(file)) == []
    log.add(str(file), result(0), status="healthy", streak=0, count=5)
    assert len(log.read(str(file))) == 1


def test_output_is_cut_by_characters() -> None:
    assert log.cut("äöü", 2) == "äö"
    assert log.cut("abc", 0) == "abc"


def test_where_it_is(tmp_path: Path) -> None:
    assert log.path("local", "/run/x", "id") == log.path("events_logger", "/run/x", "id") == "/run/x/healthcheck.log"
    assert log.path("local", "", "id") == ""
    assert log.path("/var/log/h", "/run/x", "id") == "/var/log/h/id-healthcheck.log"


def test_destinations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [log.destination(text) for text in ("", "local", "events_logger")] == ["local", "local", "events_logger"]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "logs").mkdir()
    (tmp_path / "file").touch()
    assert log.destination("logs") == str(tmp_path / "logs")
    with pytest.raises(InvalidArgument, match="HealthCheck Log 'nope' destination error: stat nope: no such file or"):
        log.destination("nope")
    with pytest.raises(InvalidArgument, match="HealthCheck Log 'file' destination must be directory"):
        log.destination("file")
