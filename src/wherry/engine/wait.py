"""wait: until a container is in a state."""

from __future__ import annotations

import time

from wherry.errors import InvalidArgument, NoSuchContainer, NoSuchExitCode, StateError, TimedOut
from wherry.model import status
from wherry.model.health import HEALTHY, RESTART, UNHEALTHY
from wherry.sys.processes import wait_gone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from wherry.engine.runtime import Runtime
    from wherry.model.container import ContainerState

#: What a condition may be called -> the states that fulfil it.
CONDITIONS: dict[str, frozenset[str]] = {
    "configured": frozenset((status.CONFIGURED,)),
    "created": frozenset((status.CONFIGURED,)),
    "initialized": frozenset((status.CREATED,)),
    "running": frozenset((status.RUNNING,)),
    "paused": frozenset((status.PAUSED,)),
    "stopping": frozenset((status.STOPPING,)),
    "stopped": frozenset((status.STOPPED, status.EXITED)),
    "exited": frozenset((status.STOPPED, status.EXITED)),
    "removing": frozenset((status.REMOVING,)),
    "unknown": frozenset((status.UNKNOWN,)),
}
HEALTH = (HEALTHY, UNHEALTHY)
DEFAULT = ("stopped",)


class ContainerEnded(StateError):
    """What was waited for cannot come any more (libpod's words)."""

    cause = "container is stopped"


def wait(
    runtime: Runtime,
    identity: str,
    conditions: Sequence[str] = DEFAULT,
    *,
    interval: float = 0.25,
    timeout: float | None = None,
) -> int:
    """Wait until one of *conditions* holds; returns the exit code, -1 if the container has none (yet).

    *interval* (seconds) is how often states other than "stopped" are looked at; for "stopped" the kernel tells.
    A container that was removed meanwhile counts as stopped: its exit code is remembered for a while.
    Raises ``TimedOut`` after *timeout* seconds, ``InvalidArgument`` for the health of a container without a check, and
    :class:`ContainerEnded` if only that is waited for and the container has ended.
    """
    for condition in conditions:
        if condition not in CONDITIONS and condition not in HEALTH:
            raise InvalidArgument(
                f"unknown container state: {condition}: invalid argument",
                hint=f"choose from {', '.join((*CONDITIONS, *HEALTH))}",
            )
    if any(condition in HEALTH for condition in conditions):
        _check_health(runtime, identity, conditions)
    only_stop = all(CONDITIONS.get(condition) == CONDITIONS["stopped"] for condition in conditions)
    only_health = all(condition in HEALTH for condition in conditions)
    lost = 0
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        state = read_state(runtime, identity)
        if state is None:
            return _kept_exit_code(runtime, identity)
        if any(_holds(state, condition) for condition in conditions):
            return state.exit_code if state.status in CONDITIONS["stopped"] else -1
        lost = lost + 1 if only_health and _has_ended(state) else 0
        if lost > 1:        # not on the first look: whoever wants to know may have been faster than the restart policy
            raise ContainerEnded(ContainerEnded.cause)
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            raise TimedOut(f"container {identity} is {status.display(state.status)} after {timeout:g} seconds")
        if only_stop and state.pid and state.status in status.ALIVE:
            wait_gone(state.pid, state.pid_start, left)
        elif left is None:
            time.sleep(interval)
        else:
            time.sleep(min(interval, left))


def _check_health(runtime: Runtime, identity: str, conditions: Sequence[str]) -> None:
    try:
        check = runtime.state.container_config(identity).health_check
    except NoSuchContainer:
        return
    if check is None or not check.active:
        condition = next(condition for condition in conditions if condition in HEALTH)
        raise InvalidArgument(f'cannot use condition "{condition}": container {identity} has no healthcheck')


def _has_ended(state: ContainerState) -> bool:
    """Is there nobody any more who could turn healthy or unhealthy, nor about to be?"""
    waiting = state.restart_policy_match or state.health_action == RESTART
    return state.status in CONDITIONS["stopped"] and not waiting


def _holds(state: ContainerState, condition: str) -> bool:
    if condition == HEALTHY:        # a container that ended keeps the health it had, but serves nobody any more
        return state.health_status == condition and state.status not in CONDITIONS["stopped"]
    if condition in HEALTH:
        return state.health_status == condition
    return state.status in CONDITIONS[condition]


def read_state(runtime: Runtime, identity: str) -> ContainerState | None:
    """The state as it is now, None once the container is gone.

    The lock is taken only when the process of a container that should run is gone: reconciling then stores the exit.
    """
    from wherry.sys.processes import is_alive

    try:
        state = runtime.state.container_state(identity)
        if state.status in status.ALIVE and not is_alive(state.pid, state.pid_start):
            with runtime.lock(identity) as held:
                return held.state
        return state
    except NoSuchContainer:
        return None


def _kept_exit_code(runtime: Runtime, identity: str) -> int:
    try:
        return runtime.state.exit_code(identity)
    except NoSuchExitCode:
        return -1
