"""rm: a container and everything that is only its own."""

from __future__ import annotations

from wherry.engine import owner
from wherry.engine.cleanup import cleanup
from wherry.engine.reserve import spend
from wherry.errors import AlreadyExists, StateError
from wherry.model import status
from wherry.sys import log
from wherry.sys.files import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.engine.locked import LockedContainer
    from wherry.engine.runtime import Runtime
    from wherry.engine.volumes import Dropped


def remove(
    runtime: Runtime,
    identity: str,
    *,
    force: bool = False,
    volumes: bool = False,
    timeout: int | None = None,
    infra: bool = False,
) -> None:
    """Remove a container; with *force* stop it first (*timeout* as in :func:`wherry.engine.stop.stop`).

    *infra*: its pod is being removed, so it may be the pod's infra container.

    Raises ``StateError`` when it runs and *force* is not given, ``AlreadyExists`` when others depend on it.
    """
    with owner.Ownership(runtime, identity):
        if force:
            _stop_first(runtime, identity, timeout, infra)
        if force and not runtime.state.has_container(identity):
            return      # stopping a --rm container removed it

        def work() -> None:
            with runtime.lock(identity) as held:
                _check(held, infra)
                remove_locked(held, volumes=volumes)

        spend(runtime, work)


def remove_with_dependents(
    runtime: Runtime, identity: str, *, force: bool = False, volumes: bool = False, timeout: int | None = None
) -> list[str]:
    """:func:`remove`, after the containers that depend on it, the farthest first; the ids of all that are gone.

    Without *force* nothing is removed when one of them runs.
    """
    doomed: dict[str, None] = {}

    def collect(one: str) -> None:
        for other in runtime.state.dependents(one):
            if other not in doomed:
                collect(other)
        doomed[one] = None

    collect(identity)
    if not force:
        for one in doomed:
            with runtime.lock(one) as held:
                check_idle(held)
    for one in doomed:
        remove(runtime, one, force=force, volumes=volumes, timeout=timeout)
    return list(doomed)


def _stop_first(runtime: Runtime, identity: str, timeout: int | None, infra: bool) -> None:
    from wherry.engine.stop import stop

    def look() -> str:
        with runtime.lock(identity) as held:
            _check_infra(held, infra)
            return held.state.status

    found = spend(runtime, look)
    if found in status.ALIVE:
        # One that was never started cannot handle a signal: do not wait for it to.
        stop(runtime, identity, 0 if found == status.CREATED else timeout)


def _check_infra(held: LockedContainer, infra: bool) -> None:
    if held.config.is_infra and not infra:
        raise StateError(
            f"container {held.id} is the infra container of pod {held.config.pod} and cannot be removed without "
            "removing the pod: container state improper"
        )


def _check(held: LockedContainer, infra: bool) -> None:
    _check_infra(held, infra)
    check_idle(held)
    dependents = held.runtime.state.dependents(held.id)
    if dependents:
        raise AlreadyExists(
            f"container {held.id} has dependent containers which must be removed before it: {', '.join(dependents)}: "
            "container already exists"
        )


def check_idle(held: LockedContainer) -> None:
    """Raises ``StateError`` for a container that runs."""
    state = held.state
    if not status.can(state.status, status.REMOVE):
        raise StateError(
            f"cannot remove container {held.id} as it is {status.display(state.status)} - running or paused containers "
            "cannot be removed without force: container state improper"
        )


def remove_locked(held: LockedContainer, *, volumes: bool = False) -> None:
    """Remove a container that does not run, its lock being held.

    The state says ``removing`` before anything is deleted, so a killed removal is finished by the next one.
    """
    runtime = held.runtime
    if held.state.status != status.REMOVING:
        cleanup(held)
        held.move(status.REMOVE)
        held.save()
    if held.config.rootfs:
        remove_directories(held)
    else:
        runtime.store.delete_container(held.id)
    with runtime.state.transaction():
        gone = drop_row(held, volumes=volumes)
    if held.id.startswith("0"):     # one removal in sixteen: an exit command that is spared does not get to it
        from wherry.engine.exits import forget_old_codes

        forget_old_codes(runtime)
    held.forget()
    owner.forget(runtime, held.id)
    for dropped in gone:
        dropped.remove_files()
    runtime.publish()
    remove_image(held)


def remove_directories(held: LockedContainer) -> None:
    """Of a container whose root file system is not the store's."""
    for directory in (held.config.static_dir, held.runtime.paths.own_run_directory(held.id)):
        remove_tree(directory.removesuffix("/userdata"))


def drop_row(held: LockedContainer, *, volumes: bool = False) -> list[Dropped]:
    """Inside a transaction: the last the state has of a container; the anonymous volumes whose files are to go."""
    exit_code = held.state.exit_code if held.state.exited else None
    event = held.event("remove") if exit_code is None else held.event("remove", exit_code=exit_code)
    held.runtime.state.remove_container(held.id, event, exit_code=exit_code)
    return _drop_anonymous_volumes(held) if volumes or held.config.auto_remove else []


def remove_image(held: LockedContainer) -> None:
    """``--rmi``: the container's image goes with it unless somebody else uses it."""
    from wherry.errors import WherryError

    if not held.config.auto_remove_image:
        return
    try:
        held.runtime.images.remove(held.config.rootfs_image_id)
    except WherryError as error:
        log.debug(f"image of container {held.id} stays: {error}")


def _drop_anonymous_volumes(held: LockedContainer) -> list[Dropped]:
    from wherry.engine.volumes import drop

    state = held.runtime.state
    names = {volume.name for volume in held.config.named_volumes if volume.is_anonymous}
    there = names & {config.name for config, _state in state.volumes()} if names else names
    return [drop(held.runtime, name) for name in sorted(there) if not state.volume_users(name)]
