"""The observation window: does what was updated run, stay up and get healthy?"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from wherry.engine.wait import read_state
from wherry.errors import NoSuchContainer
from wherry.model import status
from wherry.model.record import Record

if TYPE_CHECKING:
    from wherry.engine.runtime import Runtime
    from wherry.model.container import ContainerState
    from wherry.update.plan import Task

#: Seconds between two looks.
INTERVAL = 0.2
#: Seconds after its window within which a container that is on its way (just ended, say) has to get somewhere.
GRACE = 5.0
_SECOND = 10**9


class Verdict(Record):
    """What was seen: nothing wrong where ``problem`` is empty."""

    name: str = ""                      # of the container that is to blame, empty for all
    problem: str = ""


#: What a container's state says against it: "" nothing, None not yet known, text a problem.
Judge = Callable[["Task"], str | None]


def judge_state(task: Task, state: ContainerState | None) -> str | None:
    """The verdict on one container now. None: it is on its way (starting, between two restarts)."""
    if state is None:
        return "it is gone"
    if state.restart_count > task.allowed_restarts:
        return f"it was restarted {state.restart_count} times ({task.allowed_restarts} allowed)"
    if state.status not in (status.RUNNING, status.PAUSED):
        # Stopped: its exit command has not decided on a restart yet.
        if state.restart_policy_match or state.status in (status.CREATED, status.CONFIGURED, status.STOPPED):
            return None
        return f"it is not running (exit code {state.exit_code})" + (f": {state.error}" if state.error else "")
    if state.health_status == "unhealthy":
        return "it is unhealthy"
    if state.health_status == "starting" and task.health_time:
        return None
    return ""


def container_judge(runtime: Runtime, find: Callable[[Task], str]) -> Judge:
    """Judges by the state of the container *find* gives for a task (its id, empty if it is gone)."""
    def judge(task: Task) -> str | None:
        identity = find(task)
        if not identity:
            return judge_state(task, None)
        seen = judge_state(task, read_state(runtime, identity))
        if not seen:
            return seen
        try:
            with runtime.lock(identity) as held:        # its exit command may have been about to say that it restarts
                return judge_state(task, held.state)
        except NoSuchContainer:
            return judge_state(task, None)

    return judge


def watch(
    tasks: Sequence[Task], judge: Judge, *,
    clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep,
) -> Verdict:
    """Look at every container until its window has passed; ends at the first problem.

    A container that is on its way at the end of its window is waited for as long as its health check may take, and
    a little longer.
    """
    begin = clock()
    open_tasks = list(tasks)
    while True:
        now = clock() - begin
        left = []
        for task in open_tasks:
            seen = judge(task)
            if seen:
                return Verdict(name=task.name, problem=seen)
            over = now >= task.window / _SECOND
            if seen is None and now >= max(task.window, task.health_time) / _SECOND + GRACE:
                return Verdict(name=task.name, problem=f"it did not get ready within {now:.0f} seconds")
            if not over or seen is None:
                left.append(task)
        if not left:
            return Verdict()
        open_tasks = left
        sleep(INTERVAL)
