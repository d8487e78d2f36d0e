"""What is done to a container whose health check says it is bad: ``--health-on-failure``, failed startup checks.

The action is stored together with the result that calls for it, and who is to carry it out: once per transition, also
when that process is killed in between - the next probe finds a dead actor and takes over.
"""

from __future__ import annotations

import os
from _signal import SIGKILL  # the C part of signal, without enum

from wherry.errors import NotFound, StateError
from wherry.model import status
from wherry.model.health import KILL, RESTART, STOP
from wherry.sys import log
from wherry.sys.processes import is_alive, start_time, wait_gone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.engine.locked import LockedContainer
    from wherry.engine.runtime import Runtime
    from wherry.model.container import ContainerState


def claim(state: ContainerState, action: str) -> None:
    """Note that this process is going to do *action*; to be saved by the caller."""
    state.health_action = action
    state.health_actor = os.getpid()
    state.health_actor_start = start_time(state.health_actor)


def is_left(state: ContainerState) -> bool:
    """Is there an action whose process was killed before it was done?"""
    return bool(state.health_action) and not is_alive(state.health_actor, state.health_actor_start)


def act(runtime: Runtime, identity: str) -> None:
    """Do what is noted. A container that ended or was removed meanwhile needs nothing any more."""
    from wherry.engine.stop import kill, stop

    try:
        action = _begin(runtime, identity)
        if action == KILL:
            kill(runtime, identity, SIGKILL)
        elif action == STOP:
            stop(runtime, identity)
        elif action == RESTART:
            _end_for_restart(runtime, identity)
    except (StateError, NotFound) as error:
        log.debug(f"acting on unhealthy container {identity}: {error}")


def _begin(runtime: Runtime, identity: str) -> str:
    with runtime.lock(identity) as held:
        state = held.state
        if state.status != status.RUNNING or not state.health_action:
            return ""
        if state.health_actor != os.getpid():
            if not is_left(state):
                return ""
            claim(state, state.health_action)
            held.save()
        log.info(f"container {held.name} is {state.health_status}: {state.health_action}")
        return state.health_action


def _end_for_restart(runtime: Runtime, identity: str) -> None:
    """End the container's process as ``stop`` does, but leave what follows to whoever cleans up after it.

    That is conmon's exit command (or the process that runs the container in the foreground), which sees the noted
    action (:func:`wherry.engine.exits.should_restart`).  Were it started again from here, container and conmon would
    belong to the timer's unit, and systemd would end them with it.
    """
    from wherry.engine.exits import finish
    from wherry.engine.signals import send
    from wherry.engine.stop import KILL_TIMEOUT

    with runtime.lock(identity) as held:
        if not _is_ours(held):
            return
        pid, start = held.state.pid, held.state.pid_start
        conmon = held.state.conmon_pid, held.state.conmon_start
        timeout = held.config.stop_timeout
        send(held, held.config.stop_signal if timeout > 0 else SIGKILL)
    if not (timeout > 0 and wait_gone(pid, start, float(timeout))):
        with runtime.lock(identity) as held:
            if _is_ours(held) and (held.state.pid, held.state.pid_start) == (pid, start):
                send(held, SIGKILL)
    if not is_alive(*conmon) and wait_gone(pid, start, KILL_TIMEOUT):
        finish(runtime, identity)       # conmon was killed: there will be no exit command


def _is_ours(held: LockedContainer) -> bool:
    state = held.state
    return state.status == status.RUNNING and state.health_action == RESTART and state.health_actor == os.getpid()
