"""Finding the truth: what is recorded of a container against exit files, processes and the boot.

Runs on every entry into a container's lock, so that a killed wherry, a killed conmon or a reboot is noticed by the next
command, whichever it is.
"""

from __future__ import annotations

import os

from wherry.model import status
from wherry.model.timestamps import format_ns, now, now_ns
from wherry.sys import log
from wherry.sys.processes import boot_id, is_alive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.engine.locked import LockedContainer
    from wherry.oci.exits import Exit

#: Exit code of a container whose exit nobody saw (conmon was killed too); libpod uses -1, which a shell shows as 255.
LOST_EXIT_CODE = 255

_SETTLED = (status.CONFIGURED, status.EXITED)


def reconcile(held: LockedContainer) -> None:
    """Bring ``held.state`` up to date and store what changed."""
    state = held.state
    if os.path.exists(held.runtime.paths.mount_claims(held.id)):
        from wherry.engine.mount_claims import settle

        settle(held)
    if state.status in _SETTLED and not state.owner_pid:
        return
    if state.boot_id and state.boot_id != boot_id():
        _after_reboot(held)
        return
    if state.owner_pid and not is_alive(state.owner_pid, state.owner_start):
        _owner_died(held)
    if held.alive:
        _check_process(held)


def _after_reboot(held: LockedContainer) -> None:
    """No process, mount or namespace survived: what ever ran is exited, the rest is configured."""
    state = held.state
    ran = state.status in (status.RUNNING, status.PAUSED, status.STOPPED, status.STOPPING, status.EXITED)
    if state.status != status.REMOVING:
        state.status = status.EXITED if ran else status.CONFIGURED
    if not state.finished_time and state.started_time:
        state.finished_time = format_ns(now_ns())
    forget_resources(held)
    state.health_status, state.health_streak = "", 0
    if held.config.health_check is not None:
        from wherry.engine.health_timers import Turn

        Turn.forget(held.runtime, held.id)
    for session in held.runtime.state.exec_ids(held.id):
        held.runtime.state.remove_exec(session)
    held.save()


def forget_resources(held: LockedContainer) -> None:
    """Clear every field that names something of a running container."""
    state = held.state
    state.pid = state.pid_start = state.conmon_pid = state.conmon_start = 0
    state.owner_pid = state.owner_start = 0
    state.boot_id = ""
    state.mounted = False
    state.mount_point = ""
    state.net_ns = ""
    state.network_status = {}
    state.bind_mounts = {}
    state.cgroup_path = ""


def _owner_died(held: LockedContainer) -> None:
    """The process that was changing this container was killed half-way."""
    state = held.state
    owner = state.owner_pid
    state.owner_pid = state.owner_start = 0
    if state.status in (status.CONFIGURED, status.EXITED):
        log.debug(f"process {owner} died while starting container {held.id}; undoing what it had done")
        _undo_start(held)
    elif held.alive:
        ask_runtime(held)
        if state.status == status.RUNNING and held.config.health_check is not None:
            from wherry.engine import healthcheck

            healthcheck.go_on(held)
    held.save()


def _undo_start(held: LockedContainer) -> None:
    from wherry.engine.cleanup import release_resources
    from wherry.oci import strays

    strays.settle(held.id, held.config.pid_file or f"{held.state.run_dir}/pidfile")
    release_resources(held)


def ask_runtime(held: LockedContainer) -> None:
    """What was to be done to the process may have been done or not: the OCI runtime knows its state.

    A process that ended meanwhile is left to :func:`_check_process`.
    """
    from wherry.errors import WherryError

    state = held.state
    name = state.runtime or held.config.runtime
    try:
        found = held.runtime.oci_runtime(name).state(held.id)
    except WherryError as error:
        log.warning(f"asking {name} for the state of container {held.id}: {error}")
        found = None
    seen = (found or {}).get("status")
    if state.status == status.CREATED and seen == "created":
        held.move(status.CLEANUP)       # begun by a process that meant to start it: as if it never had
        _undo_start(held)
    elif seen in (status.CREATED, status.RUNNING, status.PAUSED):
        if state.status == status.CREATED:
            state.started_time = now()
        state.status = seen
    elif state.status == status.STOPPING:
        state.status = status.RUNNING


def _check_process(held: LockedContainer) -> None:
    """Has the container's process ended without anybody recording it?"""
    from wherry.engine.foreground import exit_watch

    state = held.state
    with exit_watch(held) as watch:
        seen = watch.read()
        if seen is None:
            if is_alive(state.pid, state.pid_start):
                return
            # The process is gone and conmon is about to write the exit file, unless it was killed as well.
            seen = watch.wait()
    record_exit(held, seen)


def record_exit(held: LockedContainer, seen: Exit | None) -> None:
    """Store that the process ended: state ``stopped``, exit code, ``died`` event. *seen* is None if nobody saw it."""
    state = held.state
    lost = seen is None or seen.lost
    if state.status == status.CREATED and lost:
        state.error = "the container's process vanished before it was started"
    held.move(status.EXIT)
    held.disown()
    state.exited = True
    # conmon writes -1 when its timeout ended the container; a shell shows that as 255.
    state.exit_code = LOST_EXIT_CODE if seen is None or lost else seen.code & 0xFF
    finished = now_ns() if seen is None else seen.time_ns
    state.finished_time = format_ns(finished)
    state.oom_killed = seen is not None and seen.oom
    if lost:
        log.warning(
            f"container {held.id} conmon exited prematurely, exit code could not be retrieved: conmon process killed"
        )
    held.runtime.state.save_exit_code(held.id, state.exit_code, finished)
    held.save(held.event("died", exit_code=state.exit_code))
