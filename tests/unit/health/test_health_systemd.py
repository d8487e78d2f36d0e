"""Timers of systemd's, with a real message bus and a small service manager on it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.sys.fake_systemd import FakeManager, message_bus_daemon

from wherry.health.systemd import SystemdTimers
from wherry.health.timers import Job
from wherry.sys.systemd_bus import BusError, BusUnavailable

pytestmark = pytest.mark.skipif(not shutil.which("dbus-daemon"), reason="dbus-daemon is not installed")

ID = "0123456789abcdef" * 4
JOB = Job(
    container=ID, interval=2_500_000_000, words=["/usr/bin/wherry", "--root=/r", "healthcheck", "run"],
    environment={"PATH": "/bin", "HOME": "/root"},
)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[FakeManager]:
    with message_bus_daemon(tmp_path) as address:
        fake = FakeManager(address)
        fake.address = address  # type: ignore[attr-defined]
        yield fake
        fake.close()


@pytest.fixture
def timers(manager: FakeManager) -> SystemdTimers:
    return SystemdTimers(user=True, address=manager.address)  # type: ignore[attr-defined]


def started(manager: FakeManager) -> tuple[str, dict[str, Any], str, dict[str, Any]]:
    """The timer and the service of the last StartTransientUnit: names and properties."""
    body = [body for method, body in manager.calls if method == "StartTransientUnit"][-1]
    name, _mode, properties, [(service, more)] = body
    return name, {key: value[1] for key, value in properties}, service, {key: value[1] for key, value in more}


def test_one_timer_with_its_service(timers: SystemdTimers, manager: FakeManager) -> None:
    timers.start(JOB)
    name, timer, service, properties = started(manager)
    assert name.startswith(f"wherry-health-{ID}-")
    assert service == name.removesuffix(".timer") + ".service"
    assert timer["TimersMonotonic"] == [("OnActiveSec", 0), ("OnUnitInactiveSec", 2_500_000)]
    assert timer["AccuracyUSec"] <= 250_000
    assert properties["ExecStart"] == [("/usr/bin/wherry", [*JOB.words, ID], False)]
    assert properties["Environment"] == ["PATH=/bin", "HOME=/root"]
    # Nothing in the journal but what is wrong; no limit of starts; what it started outlives it.
    assert (properties["LogLevelMax"], properties["SyslogLevel"], properties["StartLimitIntervalUSec"]) == (5, 4, 0)
    assert properties["KillMode"] == "process"


def test_not_at_once(timers: SystemdTimers, manager: FakeManager) -> None:
    timers.start(JOB.replace(at_once=False))
    assert started(manager)[1]["TimersMonotonic"][0] == ("OnActiveSec", 2_500_000)


def test_starting_again_takes_the_old_timer_away(timers: SystemdTimers, manager: FakeManager) -> None:
    timers.start(JOB)
    first = started(manager)[0]
    timers.start(JOB)
    assert ("StopUnit", (first, "replace")) in manager.calls
    assert started(manager)[0] != first


def test_stop(timers: SystemdTimers, manager: FakeManager) -> None:
    timers.stop(ID)
    assert [body for method, body in manager.calls if method == "ListUnitsByPatterns"] == [
        ([], [f"wherry-health-{ID}-*.timer"])
    ]
    assert "StopUnit" not in [method for method, _ in manager.calls]
    timers.start(JOB)
    timers.stop(ID)
    assert [body[0] for method, body in manager.calls if method == "StopUnit"] == [started(manager)[0]]


def test_a_timer_that_does_not_start_is_an_error(timers: SystemdTimers, manager: FakeManager) -> None:
    class Failing(dict[str, str]):
        def get(self, key: str, default: Any = None) -> Any:
            return "failed"

    manager.results = Failing()
    with pytest.raises(BusError, match="failed"):
        timers.start(JOB)


def test_without_a_bus(tmp_path: Path) -> None:
    timers = SystemdTimers(user=True, runtime_dir=str(tmp_path))
    with pytest.raises(BusUnavailable):
        timers.start(JOB)
    with pytest.raises(BusUnavailable):
        timers.stop(ID)
