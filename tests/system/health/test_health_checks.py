"""Health checks of real containers: what a probe finds, and what follows from it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.system.fixtures.engine import IMAGE, open_runtime

from wherry.engine.container import Container
from wherry.engine.runtime import Runtime
from wherry.errors import InvalidArgument, StateError, TimedOut

pytestmark = pytest.mark.system

Make = Callable[..., Container]
#: Healthy while the file is there.
CHECK = "cat /tmp/ok"


@pytest.fixture
def box(rt: Runtime) -> Iterator[Make]:
    """Starts containers with a health check that only the test runs, and removes them."""
    made: list[Container] = []

    def make(command: str | list[str] = CHECK, **options: Any) -> Container:
        main = ["sh", "-c", "trap 'exit 3' TERM; touch /tmp/ok; while :; do sleep 0.05; done"]
        options = {"health_interval": "disable", "network": "none", "stop_timeout": 5, **options}
        container = rt.containers.create(IMAGE, main, health_command=command, **options)
        made.append(container)
        container.start()
        wait_for(lambda: not options.get("health_retries") or container.exec(["cat", "/tmp/ok"]).exit_code == 0)
        return container

    yield make
    for container in made:
        container.remove(force=True, timeout=0)


def wait_for(condition: Callable[[], bool], timeout: float = 20) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.02)


def health(container: Container) -> dict[str, Any]:
    found: dict[str, Any] = container.inspect()["State"]["Health"]
    return found


def events(rt: Runtime, container: Container) -> list[str]:
    """Kinds of the container's events, health events with the status."""
    with rt.events(filters=[f"container={container.id}"]) as stream:
        return [f"{event.status} {event.health_status}".strip() for event in stream]


def spoil(container: Container) -> None:
    assert container.exec(["rm", "/tmp/ok"]).exit_code == 0


# -- one probe -------------------------------------------------------------------------------------------------------


def test_from_starting_to_healthy_to_unhealthy_and_back(rt: Runtime, box: Make) -> None:
    container = box(health_retries=2)
    assert health(container) == {"Status": "starting", "FailingStreak": 0, "Log": None}
    result = container.healthcheck()
    assert (result.status, result.health, result.exit_code) == ("healthy", "healthy", 0)
    spoil(container)
    first = container.healthcheck()
    assert (first.status, first.health, first.exit_code) == ("unhealthy", "healthy", 1)
    assert (health(container)["Status"], health(container)["FailingStreak"]) == ("healthy", 1)
    assert container.healthcheck().health == "unhealthy"
    entry = health(container)["Log"][-1]
    assert entry["ExitCode"] == 1
    assert entry["Output"] == "cat: can't open '/tmp/ok': No such file or directory\n"
    assert entry["Start"] < entry["End"]
    assert [row.health for row in rt.containers.list(filters={"health": ["unhealthy"]})] == ["unhealthy"]
    container.healthcheck()
    container.exec(["touch", "/tmp/ok"])
    assert container.healthcheck().health == "healthy"
    assert (health(container)["FailingStreak"], len(health(container)["Log"])) == (0, 5)
    told = [line for line in events(rt, container) if line.startswith("health")]
    assert told == ["health_status healthy", "health_status unhealthy", "health_status healthy"]
    assert events(rt, container).count("exec") == 3, "a probe is no exec session"


@pytest.mark.parametrize(
    ("command", "test", "output"),
    [
        ("echo one two", ["CMD-SHELL", "echo one two"], "one two\n"),
        ('["echo", "one  two"]', ["CMD", "echo", "one  two"], "one  two\n"),
        ("CMD echo one   two", ["CMD", "echo", "one", "two"], "one two\n"),
        ('["CMD-SHELL", "echo $((1+1))"]', ["CMD-SHELL", "echo $((1+1))"], "2\n"),
        ("echo out; echo err >&2", ["CMD-SHELL", "echo out; echo err >&2"], "out\nerr\n"),
    ],
)
def test_forms_of_the_command(box: Make, command: str, test: list[str], output: str) -> None:
    container = box(command)
    assert container.inspect()["Config"]["Healthcheck"]["Test"] == test
    assert container.healthcheck().output == output


def test_the_probe_runs_as_the_container_does(box: Make) -> None:
    container = box("id -u; echo $GREETING; pwd", user="1000", environment={"GREETING": "hello"}, workdir="/tmp")
    assert container.healthcheck().output == "1000\nhello\n/tmp\n"


def test_a_command_that_is_not_there_is_a_failure(box: Make) -> None:
    result = box('["/nope", "x"]').healthcheck()
    assert (result.status, result.exit_code) == ("unhealthy", 1)
    assert "/nope" in result.output


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_a_probe_that_hangs_is_killed_with_what_it_started(base: Path, runtime: str) -> None:
    with open_runtime(base, runtime=runtime) as rt, rt.containers.create(
        IMAGE, ["sleep", "1000"], network="none", health_command="sleep 333; true", health_timeout="300ms",
        health_interval="disable",
    ) as container:
        container.start()
        begun = time.monotonic()
        with pytest.raises(TimedOut, match="^healthcheck command exceeded timeout of 300ms$"):
            container.healthcheck()
        assert time.monotonic() - begun < 5
        wait_for(lambda: not [row for row in container.top("args").rows if row == ["sleep 333"]])
        assert (health(container)["FailingStreak"], health(container)["Log"][0]["ExitCode"]) == (1, -1)


def test_what_cannot_be_probed(rt: Runtime, box: Make) -> None:
    container = box()
    container.pause()
    with pytest.raises(StateError, match=f"^container {container.id} is not running$"):
        container.healthcheck()
    container.unpause()
    container.stop(timeout=0)
    with pytest.raises(StateError, match=f"^container {container.id} is not running$"):
        container.healthcheck()
    with rt.containers.create(IMAGE, ["sleep", "1000"], network="none") as plain:
        plain.start()
        with pytest.raises(StateError, match=f"^container {plain.id} has no defined healthcheck$"):
            plain.healthcheck()
        assert "Health" not in plain.inspect()["State"]
        with pytest.raises(InvalidArgument, match=f'cannot use condition "healthy": container {plain.id} has no hea'):
            plain.wait("healthy")


def test_stopped_while_it_is_probed(box: Make) -> None:
    from threading import Thread

    container = box("echo before; sleep 30")
    results = []
    thread = Thread(target=lambda: results.append(_own(container).healthcheck()))
    thread.start()
    wait_for(lambda: any("sleep 30" in row[0] for row in container.top("args").rows))
    container.stop(timeout=0)
    thread.join(10)
    assert [result.status for result in results] == ["stopped"]
    assert (health(container)["Status"], health(container)["FailingStreak"]) == ("starting", 0)


def _own(container: Container) -> Container:
    """The same container through a runtime of one's own, for another thread."""
    return Runtime(container._runtime.settings.options).containers.get(container.id)


# -- log and events --------------------------------------------------------------------------------------------------


def test_caps_of_the_log(box: Make) -> None:
    container = box("printf '%01000d' 7")
    for _ in range(7):
        container.healthcheck()
    log = health(container)["Log"]
    assert (len(log), {len(entry["Output"]) for entry in log}) == (5, {500})
    small = box("printf '%01000d' 7", health_max_log_count=2, health_max_log_size=10)
    for _ in range(3):
        small.healthcheck()
    assert [entry["Output"] for entry in health(small)["Log"]] == ["0" * 10] * 2
    whole = box("printf '%01000d' 7", health_max_log_count=0, health_max_log_size=0)
    for _ in range(7):
        whole.healthcheck()
    assert (len(health(whole)["Log"]), len(health(whole)["Log"][0]["Output"])) == (7, 1000)


def test_a_directory_for_the_log(box: Make, tmp_path: Path) -> None:
    container = box("echo here", health_log_destination=str(tmp_path))
    container.healthcheck()
    file = tmp_path / f"{container.id}-healthcheck.log"
    assert json.loads(file.read_text()) == health(container)
    file.unlink()
    tmp_path.rmdir()
    assert container.healthcheck().health == "healthy", "a log that cannot be written harms nothing"


def test_results_in_the_events(rt: Runtime, box: Make) -> None:
    container = box("echo to the log", health_log_destination="events_logger")
    container.healthcheck()
    container.healthcheck()
    with rt.events(filters=[f"container={container.id}", "event=health_status"]) as stream:
        found = list(stream)
    assert [json.loads(event.health_log)["Output"] for event in found] == ["to the log\n"] * 2


@pytest.mark.parametrize(("setting", "count"), [("true", 3), ("false", 0), (None, 1)])
def test_how_many_events(base: Path, tmp_path: Path, setting: str | None, count: int) -> None:
    conf = tmp_path / "containers.conf"
    conf.write_text(f"[engine]\nhealthcheck_events = {setting}\n" if setting else "")
    with Runtime(
        root=f"{base}/root", runroot=f"{base}/run", storage_driver="overlay", config=str(conf)
    ) as rt, rt.containers.create(
        IMAGE, ["sleep", "1000"], network="none", health_command="true", health_interval="disable"
    ) as container:
        container.start()
        for _ in range(3):
            container.healthcheck()
        told = [line for line in events(rt, container) if line.startswith("health")]
        assert told == ["health_status healthy"] * count


# -- consequences ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "status", "code", "told"),
    [
        ("kill", "exited", 137, ["kill", "died", "cleanup"]),
        ("stop", "exited", 3, ["stop", "died", "cleanup"]),
        ("restart", "running", 0, ["died", "cleanup", "init", "start", "restart"]),
        ("none", "running", 0, []),
    ],
)
def test_on_failure(rt: Runtime, box: Make, action: str, status: str, code: int, told: list[str]) -> None:
    container = box(health_retries=1, health_on_failure=action)
    spoil(container)
    assert container.healthcheck().status == "unhealthy"
    if action == "restart":
        wait_for(lambda: events(rt, container)[-1] == "restart")
        assert container.inspect()["RestartCount"] == 1
        assert (health(container)["Status"], health(container)["FailingStreak"]) == ("starting", 0)
    wait_for(lambda: container.status == status)
    assert container.inspect()["State"]["ExitCode"] == code
    wait_for(lambda: _after(events(rt, container), "health_status unhealthy") == told)
    if action == "none":
        container.healthcheck()
        assert _after(events(rt, container), "health_status unhealthy") == []
    if status == "exited":
        assert health(container)["Status"] == "unhealthy"


def _after(lines: list[str], what: str) -> list[str]:
    return lines[lines.index(what) + 1:]


def test_restart_of_one_whose_conmon_was_killed(rt: Runtime, box: Make) -> None:
    container = box(health_retries=1, health_on_failure="restart")
    os.kill(container.state().conmon_pid, 9)
    spoil(container)
    container.healthcheck()
    wait_for(lambda: "restart" in events(rt, container))
    assert (container.status, container.inspect()["RestartCount"]) == ("running", 1)


def test_a_stop_meanwhile_wins_over_the_restart(rt: Runtime, box: Make) -> None:
    from threading import Thread

    container = box(health_retries=1, health_on_failure="restart", stop_signal="USR1", stop_timeout=20)
    container.exec(["sh", "-c", "rm /tmp/ok"])
    thread = Thread(target=lambda: _own(container).healthcheck())
    thread.start()
    wait_for(lambda: "health_status unhealthy" in events(rt, container))
    container.stop(timeout=0)
    thread.join(30)
    assert container.status == "exited"


def test_an_action_whose_process_was_killed_is_done_by_the_next_probe(rt: Runtime, box: Make) -> None:
    from wherry.engine.healthcheck import scheduled

    container = box(health_retries=1, health_on_failure="kill")
    with rt.lock(container) as held:
        held.state.health_status, held.state.health_action = "unhealthy", "kill"
        held.state.health_actor, held.state.health_actor_start = 1, 1       # as left by a process that is gone
        held.save()
    scheduled(rt, container.id)
    wait_for(lambda: container.status == "exited")
    assert [line for line in events(rt, container) if line == "kill"] == ["kill"]


def test_startup_check(rt: Runtime, box: Make) -> None:
    container = box(
        "true", startup_command="cat /tmp/up", startup_successes=2, startup_interval="disable", health_retries=1
    )
    assert container.healthcheck().status == "starting"
    assert health(container) | {"Log": 0} == {"Status": "starting", "FailingStreak": 0, "Log": 0}
    container.exec(["touch", "/tmp/up"])
    assert container.healthcheck().status == "starting"
    assert container.healthcheck().health == "healthy"
    container.exec(["rm", "/tmp/up"])
    assert container.healthcheck().status == "healthy", "the regular check counts now"
    container.restart()
    assert container.healthcheck().status == "starting", "every start begins anew"


def test_a_startup_check_that_fails_too_often_restarts(rt: Runtime, box: Make) -> None:
    container = box("true", startup_command="false", startup_retries=2, startup_interval="disable")
    container.healthcheck()
    assert "died" not in events(rt, container)
    container.healthcheck()
    wait_for(lambda: events(rt, container)[-1] == "restart")
    assert container.inspect()["RestartCount"] == 1


def test_failures_in_the_start_period_do_not_count(box: Make) -> None:
    container = box("false", health_retries=1, health_start_period="1h")
    result = container.healthcheck()
    assert (result.exit_code, result.health) == (1, "starting")
    assert health(container)["FailingStreak"] == 0


def test_a_failure_from_before_a_pause_does_not_count(box: Make) -> None:
    from threading import Thread

    container = box("sleep 30", health_timeout="1s", health_retries=1)


    def probe() -> None:
        with pytest.raises(TimedOut):
            _own(container).healthcheck()

    thread = Thread(target=probe)
    thread.start()
    wait_for(lambda: any("sleep 30" in row[0] for row in container.top("args").rows))
    container.pause()
    time.sleep(1.2)
    container.unpause()
    thread.join(20)
    assert (health(container)["Status"], health(container)["FailingStreak"]) == ("starting", 0)


def test_update(box: Make) -> None:
    container = box(health_retries=1)
    spoil(container)
    container.update(health_command="echo new", health_max_log_count=1)
    assert container.healthcheck().output == "new\n"
    container.healthcheck()
    assert len(health(container)["Log"]) == 1
    container.update(no_healthcheck=True)
    assert container.inspect()["Config"]["Healthcheck"] == {"Test": ["NONE"]}
    assert "Health" not in container.inspect()["State"]
    container.update(health_command="true")
    assert health(container)["Status"] == "starting"
    assert container.healthcheck().health == "healthy"
    with pytest.raises(InvalidArgument, match="^startup healthcheck command is not set$"):
        container.update(startup_interval="1s")
    with pytest.raises(InvalidArgument, match="cannot specify both --no-healthcheck and other HealthCheck flags"):
        container.update(no_healthcheck=True, health_retries=2)
