"""After the process ended: give back everything a running container held."""

from __future__ import annotations

from wherry.errors import WherryError
from wherry.model import status
from wherry.sys import log
from wherry.sys.files import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.engine.locked import LockedContainer
    from wherry.oci.runtime import Deletion, Deletions

#: Seconds conmon may take to notice that its container was deleted.
MONITOR_TIMEOUT = 10.0


def cleanup(held: LockedContainer) -> None:
    """stopped (or created) -> exited: OCI container deleted, network down, storage unmounted.

    Does nothing for a container that is already clean.  Raises ``StateError`` while the process runs.
    """
    if is_clean(held):
        return
    before = held.state.status
    held.move(status.CLEANUP)
    release_resources(held)
    if held.config.auto_remove or before in (status.CONFIGURED, status.EXITED):
        held.save()
    else:
        held.save(held.event("cleanup"))


def is_clean(held: LockedContainer) -> bool:
    """Is there nothing to give back?"""
    state = held.state
    return state.status in (status.CONFIGURED, status.EXITED) and not state.mounted and not state.net_ns


def release_resources(held: LockedContainer) -> None:
    """Release runtime, network, mounts and run files; each step whatever became of the others.

    Also used to undo a start that failed or whose process was killed, so nothing here assumes that a step of the start
    really happened.
    """
    release = Release(held)
    release.begin()
    release.finish()


class Release:
    """:func:`release_resources` in two halves, so that the OCI runtime works on several containers at once."""

    def __init__(self, held: LockedContainer) -> None:
        self._held = held
        self._mounted = False
        self._deletion = _Deletion()

    def begin(self) -> None:
        """Start deleting it from the OCI runtime."""
        _attempt(self._held, "deleting it from the OCI runtime", self._deletion.begin)

    def begin_with(self, running: Deletions | None) -> None:
        """The caller deletes it with others from the OCI runtime, and unmounts its root with those of others."""
        self._deletion = _Deletion(running)
        self._mounted = True

    def finish(self) -> None:
        """Give back the rest, and wait for the runtime."""
        from wherry.engine.exec_sessions import forget_dead
        from wherry.engine.reconcile import forget_resources

        held = self._held
        _attempt(held, "taking its network down", _take_network_down)
        if not self._mounted:
            _attempt(held, "unmounting its root file system", _unmount)
        _attempt(held, "releasing its volumes", _release_volumes)
        if held.config.health_check is not None:
            from wherry.engine import healthcheck

            _attempt(held, "ending its health checks", healthcheck.end)
        _attempt(held, "deleting it from the OCI runtime", self._deletion.finish)
        _attempt(held, "removing its run files", _remove_run_files)
        forget_dead(held.runtime, held.id, ended=True)
        forget_resources(held)


def _attempt(held: LockedContainer, what: str, step: object) -> None:
    try:
        step(held)  # type: ignore[operator]
    except (OSError, WherryError) as error:
        log.error(f"cleaning up container {held.id}: {what}: {error}")


class _Deletion:
    """The container's removal from the OCI runtime.

    Once the process is known to have ended, the runtime only has its own files and the cgroup to remove, and the rest
    of the clean-up goes on meanwhile.
    """

    def __init__(self, running: Deletions | None = None) -> None:
        self._running: Deletion | Deletions | None = running

    def begin(self, held: LockedContainer) -> None:
        state = held.state
        if not (state.boot_id or state.pid):
            return      # never given to the runtime in this boot
        runtime = held.runtime.oci_runtime(state.runtime or held.config.runtime)
        self._running = runtime.begin_delete(held.id, force=True)
        if not state.exited:
            self.finish(held)
            _wait_for_monitor(held)

    def finish(self, _held: LockedContainer) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.finish()


def _wait_for_monitor(held: LockedContainer) -> None:
    """After a start that failed late: conmon is about to tell of an exit nobody wants to hear of."""
    from wherry.engine.foreground import exit_watch

    if held.state.conmon_pid:
        with exit_watch(held) as watch:
            watch.wait(MONITOR_TIMEOUT)


def _take_network_down(held: LockedContainer) -> None:
    if held.config.create_net_ns and (held.state.net_ns or held.state.boot_id):
        held.runtime.networking.detach(held)
    if held.config.net_ns_ctr:
        from wherry.engine.network_files import leave

        leave(held)


def _unmount(held: LockedContainer) -> None:
    if held.state.mounted or held.state.boot_id:
        if not held.config.rootfs:
            held.runtime.store.unmount_container(held.id)
        held.state.mounted = False


def _release_volumes(held: LockedContainer) -> None:
    config = held.config
    if config.ipc_ns_ctr:
        from wherry.engine.prepare import drop_shared_memory

        drop_shared_memory(held)
    if config.named_volumes or config.overlay_volumes or config.image_volumes:
        from wherry.engine.start_mounts import release

        release(held)


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
