"""After the process ended: give back everything a running container held."""

from __future__ import annotations

from wherry.errors import WherryError
from wherry.model import status
from wherry.sys import log
from wherry.sys.files import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.engine.locked import LockedContainer

#: Seconds conmon may take to notice that its container was deleted.
MONITOR_TIMEOUT = 10.0


def cleanup(held: LockedContainer) -> None:
    """stopped (or created) -> exited: OCI container deleted, network down, storage unmounted.

    Does nothing for a container that is already clean.  Raises ``StateError`` while the process runs.
    """
    state = held.state
    if state.status in (status.CONFIGURED, status.EXITED) and not state.mounted and not state.net_ns:
        return
    before = state.status
    held.move(status.CLEANUP)
    release_resources(held)
    if held.config.auto_remove or before in (status.CONFIGURED, status.EXITED):
        held.save()
    else:
        held.save(held.event("cleanup"))


def release_resources(held: LockedContainer) -> None:
    """Release runtime, network, mounts and run files; each step whatever became of the others.

    Also used to undo a start that failed or whose process was killed, so nothing here assumes that a step of the start
    really happened.
    """
    from wherry.engine.exec_sessions import forget_dead
    from wherry.engine.reconcile import forget_resources

    _attempt(held, "deleting it from the OCI runtime", _delete_from_runtime)
    _attempt(held, "taking its network down", _take_network_down)
    _attempt(held, "unmounting its root file system", _unmount)
    _attempt(held, "removing its run files", _remove_run_files)
    forget_dead(held.runtime, held.id, ended=True)
    forget_resources(held)


def _attempt(held: LockedContainer, what: str, step: object) -> None:
    try:
        step(held)  # type: ignore[operator]
    except (OSError, WherryError) as error:
        log.error(f"cleaning up container {held.id}: {what}: {error}")


def _delete_from_runtime(held: LockedContainer) -> None:
    from wherry.engine.foreground import exit_watch

    state = held.state
    if not (state.boot_id or state.pid):
        return      # never given to the runtime in this boot
    runtime = held.runtime.oci_runtime(state.runtime or held.config.runtime)
    runtime.delete(held.id, force=True)
    if not state.exited and state.conmon_pid:
        # A start that failed late: conmon is about to tell of an exit nobody wants to hear of.
        with exit_watch(held) as watch:
            watch.wait(MONITOR_TIMEOUT)


def _take_network_down(held: LockedContainer) -> None:
    if held.config.create_net_ns and (held.state.net_ns or held.state.boot_id):
        held.runtime.networking.detach(held)


def _unmount(held: LockedContainer) -> None:
    if held.state.mounted or held.state.boot_id:
        if not held.config.rootfs:
            held.runtime.store.unmount_container(held.id)
        held.state.mounted = False


def _remove_run_files(held: LockedContainer) -> None:
    import os

    paths = held.runtime.paths
    for path in (f"{paths.exits}/{held.id}",):
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
    for directory in (f"{paths.persist}/{held.id}", f"{paths.sockets}/{held.id}"):
        remove_tree(directory)
    if held.state.run_dir:
        for name in ("pidfile", "conmon.pid", "ctl", "winsz", "oci-log"):
            try:
                os.unlink(f"{held.state.run_dir}/{name}")
            except FileNotFoundError:
                pass
