"""init and start: from a configured container to a running process."""

from __future__ import annotations

import os

from wherry.engine.cleanup import cleanup, release_resources
from wherry.errors import StateError
from wherry.model import status
from wherry.model.timestamps import now
from wherry.sys.processes import boot_id, start_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.engine.locked import LockedContainer
    from wherry.engine.runtime import Runtime


def start(runtime: Runtime, identity: str) -> bool:
    """Start the container and, before it, what it depends on; False if it was running already."""
    start_dependencies(runtime, identity)
    with runtime.lock(identity) as held:
        if held.state.status in (status.RUNNING, status.STOPPING):
            return False
        refuse_paused(held)
        init(held)
        launch(held)
    return True


def refuse_paused(held: LockedContainer) -> None:
    if held.state.status == status.PAUSED:
        raise StateError(f"container {held.id} is paused, unpause it first: container state improper")


def start_dependencies(runtime: Runtime, identity: str) -> None:
    """Start, in order, every container this one depends on that is not running."""
    config = runtime.state.container_config(identity)
    for dependency in config.dependencies:
        state = runtime.state.container_state(dependency)
        if state.status not in (status.RUNNING, status.PAUSED, status.STOPPING):
            start(runtime, dependency)


def restart(runtime: Runtime, identity: str, timeout: int | None = None) -> None:
    """Stop the container if it runs and start it again."""
    from wherry.engine.stop import stop

    state = runtime.state.container_state(identity)
    if state.status in (status.RUNNING, status.PAUSED, status.STOPPING):
        stop(runtime, identity, timeout)
    start_dependencies(runtime, identity)
    with runtime.lock(identity) as held:
        init(held)
        launch(held)
        held.save(held.event("restart"))


def init(held: LockedContainer) -> None:
    """configured, stopped or exited -> created: conmon and the OCI container exist, the process has not started.

    Does nothing in ``created``.  On failure everything made is released and the container is as it was before.
    """
    state = held.state
    if state.status == status.CREATED:
        return
    if state.status == status.STOPPED:
        cleanup(held)
    before = state.status
    status.after(before, status.INIT, held.id)
    _mark_begun(held)
    from wherry.engine.prepare import create_in_runtime

    try:
        create_in_runtime(held)
    except BaseException as error:
        release_resources(held)
        state.status = before
        state.error = str(error)
        held.save()
        raise
    held.move(status.INIT)
    state.owner_pid = state.owner_start = 0
    held.save(held.event("init"))


def _mark_begun(held: LockedContainer) -> None:
    """Store that this process is starting the container, before the first side effect.

    If it is killed from here on, the next one to lock the container sees a dead owner and releases what was made.
    """
    state = held.state
    state.owner_pid = os.getpid()
    state.owner_start = start_time(state.owner_pid)
    state.boot_id = boot_id()
    state.run_dir = held.runtime.store.container_run_dir(held.id)
    state.exited = False
    state.exit_code = 0
    state.error = ""
    state.oom_killed = False
    state.stopped_by_user = False
    state.started_time = state.finished_time = ""
    state.exec_sessions = {}
    held.save()


def launch(held: LockedContainer) -> None:
    """created -> running: the OCI runtime lets the process go."""
    runtime = held.runtime.oci_runtime(held.state.runtime)
    runtime.start(held.id)
    held.move(status.RUN)
    held.state.started_time = now()
    held.save(held.event("start"))
