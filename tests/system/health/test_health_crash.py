"""A probe's wherry is killed anywhere: what follows from the result is done once, by it or by the next probe."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.helpers import crash
from tests.system.fixtures.engine import IMAGE

from wherry.engine.healthcheck import scheduled
from wherry.engine.runtime import Runtime

pytestmark = pytest.mark.system

CODE = """
from pathlib import Path
from tests.system.fixtures.engine import open_runtime
from wherry.engine.healthcheck import scheduled
with open_runtime(Path(arguments[0])) as rt:
    rt.state
    arm(number)
    scheduled(rt, arguments[1])
    print(effects())
"""
#: The steps a probe with its action takes are some hundred; so many of them are tried.
POINTS = 6


def wait_for(condition: Callable[[], bool], timeout: float = 20) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def steps() -> list[int]:
    return []


@pytest.mark.parametrize("point", range(POINTS + 1))
@pytest.mark.parametrize("action", ["kill", "restart"])
def test_killed_anywhere(rt: Runtime, base: Path, steps: list[int], action: str, point: int) -> None:
    main = ["sh", "-c", "trap 'exit 3' TERM; while :; do sleep 0.05; done"]
    with rt.containers.create(
        IMAGE, main, network="none", health_command="false", health_interval="disable", health_retries=1,
        health_on_failure=action,
    ) as container:
        container.start()
        number = steps[0] * point // (POINTS + 1) if point else 0       # the first run is not killed: it counts
        done = crash.run_killed(CODE, number, str(base), container.id)
        if not point:
            assert done.finished, done.errors
            steps[:] = [int(done.output)]
        else:
            assert done.killed, done.errors

        def told() -> list[str]:
            """What happened; one killed while it published an event leaves it to be published once more."""
            with rt.events(filters=[f"container={container.id}"]) as stream:
                return list({event.time_ns: event.health_status or event.status for event in stream}.values())

        def settled() -> bool:
            if action == "kill":
                return container.status == "exited"
            return "restart" in told()

        if container.status == "running" and "died" not in told():      # else the exit command does the rest
            scheduled(rt, container.id)
        wait_for(settled)
        lines = told()
        assert lines.count("unhealthy") == 1, (done.place, lines)
        assert lines.count("died") == 1, (done.place, lines)
        assert lines.count("kill") <= 1, (done.place, lines)
        if action == "restart":
            assert container.inspect()["RestartCount"] == 1
            assert container.status == "running"
        else:
            assert container.inspect()["State"]["Health"]["Status"] == "unhealthy"
