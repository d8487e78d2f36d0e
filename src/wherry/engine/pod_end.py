"""The end of a pod's containers: killed together, waited for together, removed together.

What takes time when a container ends is waiting: for the process to die, for conmon to say so, for the kernel's grace
period after an unmount, for the OCI runtime to remove control groups.  For the members of a pod all that happens at
once here, and the records of the store and of the engine are changed once.
"""

from __future__ import annotations

from _signal import SIGKILL  # the C part of signal, without enum

from wherry.engine.cleanup import Release, is_clean
from wherry.engine.foreground import exit_watch
from wherry.engine.owner import Ownership
from wherry.engine.reserve import spend
from wherry.engine.signals import send
from wherry.errors import ContainerExists, NoSuchContainer, WherryError
from wherry.model import status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from wherry.engine.locked import LockedContainer
    from wherry.engine.runtime import Runtime
    from wherry.engine.volumes import Dropped
    from wherry.model.container import ContainerConfig
    from wherry.oci.exits import ExitWatch
    from wherry.oci.runtime import Deletions

#: Seconds all of a pod's processes may take to die of SIGKILL and their monitors to say so.
KILL_TIMEOUT = 60.0
#: How often members that somebody else starts again meanwhile are ended.
ATTEMPTS = 5


def remove_members(
    runtime: Runtime, configs: Mapping[str, ContainerConfig], *, force: bool, timeout: int | None
) -> dict[str, WherryError]:
    """Remove containers that depend on nothing but each other, with their anonymous volumes; why others stayed.

    With *force* running ones are stopped first, dependents before what they depend on, each within *timeout* seconds
    (None: its own; 0: all are killed at once).  An infra container is always stopped.
    """
    owners = []
    try:
        for identity in sorted(configs):
            owner = Ownership(runtime, identity)
            owner.__enter__()
            owners.append(owner)
        return _remove_owned(runtime, configs, force, timeout)
    finally:
        for owner in owners:
            owner.__exit__(None)


def _remove_owned(
    runtime: Runtime, configs: Mapping[str, ContainerConfig], force: bool, timeout: int | None
) -> dict[str, WherryError]:
    errors: dict[str, WherryError] = {}
    if force and any(timeout or (timeout is None and config.stop_timeout) for config in configs.values()):
        _stop_in_order(runtime, configs, timeout)
    for _attempt in range(ATTEMPTS):
        doomed = [key for key, config in configs.items() if force or config.is_infra]
        errors = spend(runtime, lambda ids=doomed: kill_together(runtime, ids))  # type: ignore[misc]
        left = _without_needed(configs, errors)
        failed = spend(runtime, lambda ids=left: _remove_batch(runtime, configs, ids))  # type: ignore[misc]
        errors.update(failed)
        if not (force and failed):
            break
    return errors


def _stop_in_order(runtime: Runtime, configs: Mapping[str, ContainerConfig], timeout: int | None) -> None:
    """Give every process its time to end; what that leaves running is killed afterwards."""
    from wherry.engine.parallel import for_each
    from wherry.engine.pod_verbs import ordered
    from wherry.engine.stop import stop

    def work(own: Runtime, identity: str) -> None:
        if own.state.container_state(identity).status in (status.RUNNING, status.PAUSED, status.STOPPING):
            stop(own, identity, timeout, keep=True)

    for group in reversed(ordered(configs)):
        for_each(runtime, group, work)


def _without_needed(configs: Mapping[str, ContainerConfig], staying: Mapping[str, WherryError]) -> list[str]:
    """The containers that may go: neither those *staying* nor what they depend on."""
    kept = set(staying)
    todo = list(kept)
    while todo:
        config = configs.get(todo.pop())
        new = set(config.dependencies) - kept if config is not None else set()
        kept |= new
        todo += new
    return [key for key in configs if key not in kept]


# -- killing -----------------------------------------------------------------------------------------------------------


def kill_together(runtime: Runtime, identities: list[str]) -> dict[str, WherryError]:
    """Kill what has processes and wait until all are dead and their monitors have said so; what could not be."""
    errors: dict[str, WherryError] = {}
    watches: dict[str, ExitWatch] = {}
    try:
        for identity in sorted(identities):
            try:
                with runtime.lock(identity) as held:
                    if held.alive:
                        watches[identity] = _kill(held)
            except NoSuchContainer:
                continue
            except WherryError as error:
                errors[identity] = error
        for identity, watch in watches.items():
            if watch.wait(KILL_TIMEOUT) is None:
                errors[identity] = WherryError(
                    f"container {identity}: process {watch.pid} did not die of SIGKILL within {KILL_TIMEOUT:.0f} "
                    "seconds: container state improper"
                )
    finally:
        for watch in watches.values():
            watch.close()
    return errors


def _kill(held: LockedContainer) -> ExitWatch:
    from wherry.engine.stop import begin_stop

    watch = exit_watch(held)
    try:
        if held.state.status != status.STOPPING:
            begin_stop(held)
        send(held, SIGKILL)
    except BaseException:
        watch.close()
        raise
    return watch


# -- removing ----------------------------------------------------------------------------------------------------------


def _remove_batch(
    runtime: Runtime, configs: Mapping[str, ContainerConfig], identities: list[str]
) -> dict[str, WherryError]:
    """Remove those that do not run, all their locks being held."""
    from wherry.engine.remove import check_idle

    errors: dict[str, WherryError] = {}
    locked: dict[str, LockedContainer] = {}
    dropped: list[Dropped] = []
    try:
        for identity in sorted(identities):
            held = runtime.lock(identity)
            try:
                held.__enter__()
            except NoSuchContainer:
                continue
            locked[identity] = held
            try:
                check_idle(held)
            except WherryError as error:
                errors[identity] = error
        going = [locked[key] for key in _without_needed(configs, errors) if key in locked]
        _check_dependents(runtime, going, errors)
        going = [locked[key] for key in _without_needed(configs, errors) if key in locked]
        if going:
            _clean_up(runtime, going)
            dropped = _delete(runtime, configs, going)
    finally:
        for held in reversed(locked.values()):
            held.__exit__()
    for volume in dropped:
        volume.remove_files()
    runtime.publish()
    return errors


def _check_dependents(runtime: Runtime, going: list[LockedContainer], errors: dict[str, WherryError]) -> None:
    """A container somebody made a dependent of meanwhile cannot go."""
    ids = {held.id for held in going}
    for held in going:
        others = [other for other in runtime.state.dependents(held.id) if other not in ids]
        if others:
            errors[held.id] = ContainerExists(
                f"container {held.id} has dependent containers which must be removed before it: {', '.join(others)}"
            )


def _clean_up(runtime: Runtime, going: list[LockedContainer]) -> None:
    """Give back what they held and store that they are being removed."""
    busy = [held for held in going if held.state.status != status.REMOVING and not is_clean(held)]
    releases, events = [], []
    for held, deletion in _begin_deletions(runtime, busy):
        if held.state.status not in (status.CONFIGURED, status.EXITED) and not held.config.auto_remove:
            events.append(held.event("cleanup"))
        held.move(status.CLEANUP)
        release = Release(held)
        release.begin_with(deletion)
        releases.append(release)
    if busy:
        runtime.store.unmount_containers([held.id for held in going if not held.config.rootfs])
    for release in releases:
        release.finish()
    with runtime.state.transaction():
        for held in going:
            if held.state.status != status.REMOVING:
                held.move(status.REMOVE)
                runtime.state.save_state(held.id, held.state)
        if events:
            runtime.state.add_events(*events)


def _begin_deletions(
    runtime: Runtime, busy: list[LockedContainer]
) -> list[tuple[LockedContainer, Deletions | None]]:
    """Every container with the process that deletes it, and others, from the OCI runtime."""
    groups: dict[str, list[LockedContainer]] = {}
    for held in busy:
        known = held.state.boot_id or held.state.pid
        groups.setdefault((held.state.runtime or held.config.runtime) if known else "", []).append(held)
    found: list[tuple[LockedContainer, Deletions | None]] = []
    for name, group in groups.items():
        deletion = runtime.oci_runtime(name).begin_delete_all([held.id for held in group]) if name else None
        found += [(held, deletion) for held in group]
    return found


def _delete(
    runtime: Runtime, configs: Mapping[str, ContainerConfig], going: list[LockedContainer]
) -> list[Dropped]:
    """Delete files and records; the volumes whose files are to go yet."""
    from wherry.engine.owner import forget
    from wherry.engine.pod_verbs import ordered
    from wherry.engine.remove import drop_row, remove_directories, remove_image

    runtime.store.delete_containers([held.id for held in going if not held.config.rootfs])
    for held in going:
        if held.config.rootfs:
            remove_directories(held)
    by_id = {held.id: held for held in going}
    dropped: list[Dropped] = []
    with runtime.state.transaction():
        for group in reversed(ordered(configs)):
            for identity in group:
                if identity in by_id:
                    dropped += drop_row(by_id[identity], volumes=True)
    for held in going:
        held.forget()
        forget(runtime, held.id)
        remove_image(held)
    return dropped
