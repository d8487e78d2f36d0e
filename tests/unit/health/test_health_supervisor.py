"""The supervisor with a shell script for a probe and sleeping processes for containers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wherry.health.timers import Job, SupervisorTimers, fifo_of, schedule_of
from wherry.sys import processes

REPOSITORY = Path(__file__).resolve().parents[3]
MILLISECOND = 1_000_000
#: A supervisor without the command line around it. The first argument keeps it apart from other tests' processes.
PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1]); from wherry.health.supervisor import supervise; "
    "supervise(sys.argv[2], sys.argv[3:])"
)
#: What it runs as a probe: notes when it began and ended, and takes as long as a file of the container's name says.
PROBE = 'echo "$1 begin" >>"$0/log"; sleep "$(cat "$0/$1" 2>/dev/null || echo 0)"; echo "$1 end" >>"$0/log"'


class World:
    """A schedule directory, the timers on it, and processes that stand for containers."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.health = directory / "health"
        words = [
            sys.executable, "-IS", "-c", PROGRAM, str(REPOSITORY / "src"), str(self.health), "/bin/sh", "-c", PROBE,
            str(directory),
        ]
        self.timers = SupervisorTimers(str(self.health), words, {"PATH": os.environ["PATH"]})
        self.containers: dict[str, subprocess.Popen[bytes]] = {}

    def job(self, name: str, *, interval: float = 0.05, at_once: bool = True) -> Job:
        if name not in self.containers:
            self.containers[name] = subprocess.Popen(["sleep", "1000"])
        pid = self.containers[name].pid
        return Job(
            container=name, interval=int(interval * 1e9), at_once=at_once, pid=pid, pid_start=processes.start_time(pid)
        )

    def start(self, name: str, **how: float | bool) -> None:
        self.timers.start(self.job(name, **how))  # type: ignore[arg-type]

    def lines(self) -> list[str]:
        try:
            return (self.directory / "log").read_text().splitlines()
        except FileNotFoundError:
            return []

    def runs(self, name: str) -> int:
        return self.lines().count(f"{name} end")

    def supervisors(self) -> list[int]:
        return [
            pid for pid, words in processes.with_argument(str(self.health)).items()
            if "-IS" in words and processes.is_alive(pid)
        ]

    def supervisor(self) -> int:
        wait_for(lambda: len(self.supervisors()) == 1)
        return self.supervisors()[0]

    def end(self, name: str) -> None:
        child = self.containers.pop(name)
        child.kill()
        child.wait()

    def assert_nothing_left(self) -> None:
        wait_for(lambda: not self.supervisors() and not Path(fifo_of(str(self.health))).exists())
        assert os.listdir(schedule_of(str(self.health))) == []


def wait_for(condition: Callable[[], bool], timeout: float = 10) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.01)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    try:
        yield made
    finally:
        for name in list(made.containers):
            made.timers.stop(name)
            made.end(name)
        for pid in made.supervisors():
            os.kill(pid, signal.SIGKILL)


def test_probes_run_until_the_last_container_is_gone(world: World) -> None:
    world.start("a")
    world.start("b", interval=1000)
    wait_for(lambda: world.runs("a") >= 3 and world.runs("b") == 1)
    pid = world.supervisor()
    world.timers.stop("a")
    assert world.supervisor() == pid
    world.timers.stop("b")
    world.assert_nothing_left()
    world.timers.stop("b")      # again: fine


def test_it_sees_the_end_of_a_container_by_itself(world: World) -> None:
    world.start("a", interval=1000)
    wait_for(lambda: world.runs("a") == 1)
    world.end("a")
    world.assert_nothing_left()


def test_a_slow_probe_delays_nobody_and_is_never_run_twice(world: World) -> None:
    (world.directory / "slow").write_text("0.5")
    world.start("slow", interval=0.01)
    world.start("fast", interval=0.05)
    wait_for(lambda: world.runs("slow") == 2)
    lines = world.lines()
    slow = [line for line in lines if line.startswith("slow")]
    assert slow[:4] == ["slow begin", "slow end"] * 2
    assert lines[:lines.index("slow end")].count("fast end") >= 3


def test_one_that_was_killed_is_replaced(world: World) -> None:
    world.start("a", interval=1000)
    wait_for(lambda: world.runs("a") == 1)
    first = world.supervisor()
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: not world.supervisors())
    world.timers.revive()
    assert world.supervisor() != first
    wait_for(lambda: world.runs("a") == 2)
    world.timers.revive()
    world.timers.stop("a")
    world.assert_nothing_left()


def test_what_a_killed_starter_left_is_found(world: World) -> None:
    """The fifo is made before the entry, so a starter killed anywhere leaves work for ``revive`` or nothing."""
    schedule = Path(schedule_of(str(world.health)))
    schedule.mkdir(parents=True)
    os.mkfifo(fifo_of(str(world.health)))
    world.timers.revive()
    assert not Path(fifo_of(str(world.health))).exists()
    os.mkfifo(fifo_of(str(world.health)))
    (schedule / "torn").write_text('{"interval"')
    (schedule / "old").write_text('{"interval": 5, "at_once": true, "pid": 1, "pid_start": 1, "boot": "another"}')
    world.timers.revive()
    world.assert_nothing_left()
    assert world.lines() == []


def test_two_at_once_leave_one(world: World) -> None:
    world.start("a", interval=1000)
    pid = world.supervisor()
    world.timers._spawn()
    world.timers._spawn()
    time.sleep(0.3)
    assert world.supervisor() == pid


def test_another_pace_counts_at_once(world: World) -> None:
    world.start("a", interval=1000)
    wait_for(lambda: world.runs("a") == 1)
    world.start("a", interval=0.02)
    wait_for(lambda: world.runs("a") >= 4)


def test_starting_again_in_the_middle_of_the_end(world: World) -> None:
    """Entries come and go while the supervisor is about to leave: each start is answered by a probe."""
    for number in range(20):
        name = f"c{number}"
        world.start(name, interval=1000)
        wait_for(lambda name=name: world.runs(name) == 1)  # type: ignore[misc]
        world.timers.stop(name)
    world.assert_nothing_left()


def test_many_started_together(world: World) -> None:
    for number in range(30):
        world.start(f"c{number}", interval=1000)
    wait_for(lambda: all(world.runs(f"c{number}") == 1 for number in range(30)))


def test_it_is_small_and_idle(world: World) -> None:
    for number in range(5):
        world.start(f"c{number}", interval=1000)
    wait_for(lambda: all(world.runs(f"c{number}") == 1 for number in range(5)))
    pid = world.supervisor()

    def used() -> list[str]:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]

    def switches() -> int:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)

    time.sleep(0.1)
    before = (used(), switches())
    time.sleep(0.5)
    assert (used(), switches()) == before
    status = Path(f"/proc/{pid}/status").read_text()
    resident = int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])
    assert resident < 20_000
