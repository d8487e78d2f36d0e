"""stop, kill, restart: ending a container's process."""

from __future__ import annotations

import os
from _signal import SIGKILL, SIGTERM  # the C part of signal, without enum

from wherry.engine.cleanup import cleanup
from wherry.engine.freezer import resume
from wherry.engine.owner import Ownership, mark_done
from wherry.engine.reserve import spend
from wherry.engine.signals import send
from wherry.errors import StateError, WherryError
from wherry.model import status
from wherry.spec.signals import name as signal_name
from wherry.sys import log
from wherry.sys.processes import wait_gone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.engine.locked import LockedContainer
    from wherry.engine.runtime import Runtime

#: Seconds to wait for a process to die of SIGKILL before giving up (it may hang in the kernel).
KILL_TIMEOUT = 60.0


def stop(runtime: Runtime, identity: str, timeout: int | None = None, *, keep: bool = False) -> bool:
    """Send the stop signal, after *timeout* seconds (None: the container's own) SIGKILL; then clean up.

    A ``--rm`` container is removed then, unless *keep*.  Returns False if it was stopped already.  Raises
    ``StateError`` for a container that never ran.
    """
    pid = start = seconds = number = 0

    def begin() -> bool:
        nonlocal pid, start, seconds, number
        with runtime.lock(identity) as held:
            if not begin_stop(held):
                cleanup(held)
                return False
            pid, start = held.state.pid, held.state.pid_start
            seconds = held.config.stop_timeout if timeout is None else timeout
            number = held.config.stop_signal if seconds > 0 else SIGKILL
            send(held, number)
        return True

    def end() -> None:
        with runtime.lock(identity) as held:
            if not held.alive:
                cleanup(held)
                after_stop(held, keep)
                mark_done(held)

    with Ownership(runtime, identity):
        if not spend(runtime, begin):
            return False
        try:
            if number == SIGKILL or not wait_gone(pid, start, float(seconds)):
                _kill_hard(runtime, identity, pid, start, "" if number == SIGKILL else signal_name(number), seconds)
        except BaseException:
            _give_up(runtime, identity)
            raise
        spend(runtime, end)
    return True


def _give_up(runtime: Runtime, identity: str) -> None:
    """This process stops waiting for the end of the container: whoever comes next finds out what became of it."""
    from wherry.engine.reconcile import ask_runtime

    try:
        with runtime.lock(identity) as held:
            if held.state.status == status.STOPPING and held.state.owner_pid == os.getpid():
                held.disown()
                ask_runtime(held)
                held.save()
    except WherryError as error:
        log.debug(f"container {identity} after an interrupted stop: {error}")


def after_stop(held: LockedContainer, keep: bool) -> None:
    """What follows a finished stop: removal of a ``--rm`` container."""
    if held.config.auto_remove and not keep:
        from wherry.engine.remove import remove_locked

        remove_locked(held)


def begin_stop(held: LockedContainer) -> bool:
    """Mark the container as stopping by this process; False if there is nothing to stop."""
    state = held.state
    if state.status in (status.STOPPED, status.EXITED):
        if state.restart_policy_match:      # another process is about to start it again
            state.restart_policy_match = False
            state.stopped_by_user = True
            held.save()
        return False
    if state.status == status.PAUSED:
        resume(held)
    if not status.can(state.status, status.STOP):
        shown = status.display(state.status)
        raise StateError(
            f"can only stop created or running containers. {held.id} is in state {shown}: container state improper"
        )
    held.move(status.STOP)
    state.stopped_by_user = True
    held.own()
    held.save(held.event("stop"))
    return True


def _kill_hard(runtime: Runtime, identity: str, pid: int, start: int, tried: str, seconds: int) -> None:
    if tried:
        with runtime.lock(identity) as held:
            log.warning(
                f"StopSignal {tried} failed to stop container {held.name} in {seconds} seconds, resorting to SIGKILL"
            )
            if held.alive:
                send(held, SIGKILL)
    if not wait_gone(pid, start, KILL_TIMEOUT):
        raise StateError(
            f"container {identity}: process {pid} did not die of SIGKILL within {KILL_TIMEOUT:.0f} seconds: "
            "container state improper",
            hint="it is probably waiting in the kernel (for a disk or network file system); see /proc/PID/stack",
        )


def kill(runtime: Runtime, identity: str, number: int) -> None:
    """Send signal *number*; SIGKILL also waits for the process to be gone. Raises ``StateError`` if not running."""
    with runtime.lock(identity) as held:
        state = held.state
        if not status.can(state.status, status.KILL):
            raise StateError(
                f"can only kill running containers. {identity} is in state {status.display(state.status)}: "
                "container state improper"
            )
        if state.status == status.RUNNING and number in (SIGKILL, SIGTERM, held.config.stop_signal):
            state.stopped_by_user = True
        send(held, number)
        held.save(held.event("kill"))
        pid, start, was_paused = state.pid, state.pid_start, state.status == status.PAUSED
    if number == SIGKILL and not was_paused:
        wait_gone(pid, start, KILL_TIMEOUT)
