"""init and start: from a configured container to a running process."""

from __future__ import annotations

import os

from wherry.engine.cleanup import cleanup, release_resources
from wherry.engine.owner import begin_life
from wherry.errors import StateError, WherryError
from wherry.model import status
from wherry.model.timestamps import now
from wherry.sys import log
from wherry.sys.processes import boot_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.engine.locked import LockedContainer
    from wherry.engine.runtime import Runtime
    from wherry.model.container import ContainerConfig, ContainerState


def start(runtime: Runtime, identity: str) -> bool:
    """Start the container and, before it, what it depends on; False if it was running already."""
    runtime.warm_up()
    start_dependencies(runtime, identity)
    with runtime.lock(identity) as held:
        if held.state.status in (status.RUNNING, status.STOPPING):
            return False
        refuse_paused(held)
        init(held)
        launch(held)
        config = held.config
    _await_health(runtime, config)
    return True


def _await_health(runtime: Runtime, config: ContainerConfig) -> None:
    if config.sdnotify_socket:
        from wherry.engine.notify import is_due_when_healthy, tell_healthy

        if is_due_when_healthy(config):
            tell_healthy(runtime, config)


def refuse_paused(held: LockedContainer) -> None:
    if held.state.status == status.PAUSED:
        raise StateError(
            f"container {held.id} must be in Created or Stopped state to be started: container state improper",
            hint="it is paused: unpause it",
        )


def start_dependencies(runtime: Runtime, identity: str) -> None:
    """Start, in order, every container this one depends on that is not running."""
    config = runtime.state.container_config(identity)
    for dependency in config.dependencies:
        state = runtime.state.container_state(dependency)
        if state.status not in (status.RUNNING, status.PAUSED, status.STOPPING):
            start(runtime, dependency)


def restart(runtime: Runtime, identity: str, timeout: int | None = None) -> None:
    """Stop the container if it runs and start it again."""
    from wherry.engine.owner import Ownership
    from wherry.engine.stop import stop

    with Ownership(runtime, identity):      # or the exit command would remove a --rm container in between
        state = runtime.state.container_state(identity)
        if state.status in (status.RUNNING, status.PAUSED, status.STOPPING):
            stop(runtime, identity, timeout, keep=True)
        start_dependencies(runtime, identity)
        with runtime.lock(identity) as held:
            if held.state.status in (status.RUNNING, status.PAUSED, status.STOPPING):
                return      # another process was faster
            init(held)
            launch(held)
            held.save(held.event("restart"))
            config = held.config
        _await_health(runtime, config)


def init_idle(runtime: Runtime, identity: str) -> None:
    """Init a container that has no process. Raises ``StateError`` in Podman's words if it is beyond that."""
    start_dependencies(runtime, identity)
    with runtime.lock(identity) as held:
        if held.state.status not in (status.CONFIGURED, status.STOPPED, status.EXITED):
            raise StateError(f"container {identity} has already been created in runtime: container state improper")
        init(held)
        rest(held)


def init(held: LockedContainer) -> None:
    """configured, stopped or exited -> created: conmon and the OCI container exist, the process has not started.

    Does nothing in ``created``.  On failure everything made is released and the container is as it was before.
    This process stays recorded as the one that is starting the container until :func:`launch` or :func:`rest`: when
    it is killed in between, the start is undone.
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
        _forget_last_run(state)
        held.move(status.INIT)
        held.save(held.event("init"))
    except BaseException as error:
        _take_back(held, before, error)
        raise


def _take_back(held: LockedContainer, before: str, error: BaseException) -> None:
    """Undo a start that failed. If even that cannot be stored (a full disk), the next start or removal does it."""
    release_resources(held)
    held.state.status = before
    held.state.error = str(error)
    try:
        held.save()
    except WherryError as another:
        log.warning(f"undoing the start of container {held.id}: {another}")


def rest(held: LockedContainer) -> None:
    """Leave a container ``created``, to be started later."""
    if held.state.owner_pid:
        held.disown()
        held.save()


def _mark_begun(held: LockedContainer) -> None:
    """Store that this process is starting the container, before the first side effect.

    If it is killed from here on, the next one to lock the container sees a dead owner and releases what was made.
    """
    held.own()
    state = held.state
    state.boot_id = boot_id()
    runtime = held.runtime
    own = runtime.paths.own_run_directory(held.id)
    state.run_dir = own if held.config.rootfs else runtime.store.container_run_dir(held.id)
    held.save()
    begin_life(held)


def _forget_last_run(state: ContainerState) -> None:
    """A new life has begun. Until then, and when it does not come to it, what is known of the last one still counts."""
    state.exited = False
    state.exit_code = 0
    state.error = ""
    state.oom_killed = False
    state.stopped_by_user = False
    state.started_time = state.finished_time = ""
    state.restart_count = 0
    state.restart_policy_match = False


def launch(held: LockedContainer) -> None:
    """created -> running: the OCI runtime lets the process go. If it cannot, everything is released."""
    if held.state.owner_pid != os.getpid():     # created by an earlier command
        held.own()
        held.save()
    try:
        held.runtime.oci_runtime(held.state.runtime).start(held.id)
        held.move(status.RUN)
        held.disown()
        held.state.started_time = now()
        if held.config.health_check is not None:
            from wherry.engine import healthcheck

            healthcheck.begin(held)     # before it is stored: if this process is killed, the next probe finds out
        held.save(held.event("start"))
    except BaseException as error:
        _take_back(held, status.EXITED, error)
        raise
    if held.config.sdnotify_socket or held.runtime.settings.environment.notify_socket:
        from wherry.engine.notify import tell_started

        tell_started(held)
