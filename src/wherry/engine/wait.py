"""wait: until a container is in a state."""

from __future__ import annotations

import time

from wherry.errors import InvalidArgument, NoSuchContainer, NoSuchExitCode, TimedOut
from wherry.model import status
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
HEALTH = ("healthy", "unhealthy")
DEFAULT = ("stopped",)


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
    Raises ``TimedOut`` after *timeout* seconds.
    """
    for condition in conditions:
        if condition not in CONDITIONS and condition not in HEALTH:
            raise InvalidArgument(
                f"unknown container state: {condition}: invalid argument",
                hint=f"choose from {', '.join((*CONDITIONS, *HEALTH))}",
            )
    only_stop = all(CONDITIONS.get(condition) == CONDITIONS["stopped"] for condition in conditions)
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        state = read_state(runtime, identity)
        if state is None:
            return _kept_exit_code(runtime, identity)
        if any(_holds(state, condition) for condition in conditions):
            return state.exit_code if state.status in CONDITIONS["stopped"] else -1
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            raise TimedOut(f"container {identity} is {status.display(state.status)} after {timeout:g} seconds")
        if only_stop and state.pid and state.status in status.ALIVE:
            wait_gone(state.pid, state.pid_start, left)
        elif left is None:
            time.sleep(interval)
        else:
            time.sleep(min(interval, left))


def _holds(state: ContainerState, condition: str) -> bool:
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
