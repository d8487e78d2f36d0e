"""Finding the truth: what is recorded of a container against exit files, processes and the boot.

Runs on every entry into a container's lock, so that a killed wherry, a killed conmon or a reboot is noticed by the next
command, whichever it is.
"""

from __future__ import annotations

from wherry.model import status
from wherry.model.timestamps import format_ns, now_ns
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
    state.exec_sessions = {}
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
    from wherry.engine.cleanup import release_resources

    state = held.state
    owner = state.owner_pid
    state.owner_pid = state.owner_start = 0
    if state.status == status.STOPPING:
        # Its stop signal was sent, or not; either way the process decides what the state is.
        state.status = status.RUNNING
    elif state.status in (status.CONFIGURED, status.EXITED, status.STOPPED):
        log.debug(f"process {owner} died while starting container {held.id}; undoing what it had done")
        release_resources(held)
    held.save()


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
