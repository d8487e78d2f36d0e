"""Getting rid of a container that can be neither started nor removed any more, and of containers in the store only."""

from __future__ import annotations

import os

from wherry.engine import owner
from wherry.errors import CORRUPT, NOT_FOUND, ContainerExists, NoSuchContainer, NotFound, StateError, WherryError
from wherry.model.event import Event
from wherry.model.timestamps import now_ns
from wherry.sys import log
from wherry.sys.files import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.engine.runtime import Runtime


def evict(runtime: Runtime, identity: str) -> None:
    """Remove a container: properly if that works, else all that can still be found of it.

    Raises ``ContainerExists`` while others depend on it, ``NoSuchContainer``.
    """
    from wherry.engine.remove import remove

    try:
        remove(runtime, identity, force=True, timeout=0)
    except (OSError, ValueError, TypeError, WherryError) as error:
        if not runtime.state.has_container(identity):
            return
        if runtime.state.dependents(identity):
            raise
        _evict(runtime, identity, error)


def force_remove(runtime: Runtime, identity: str, *, volumes: bool = False, timeout: int | None = None) -> None:
    """``rm --force``: remove a container, running or not; one whose record or layer is damaged is evicted.

    Every other failure (a process that cannot be killed, a full disk, dependents) is raised: nothing is given up then.
    """
    from wherry.engine.remove import remove

    try:
        remove(runtime, identity, force=True, volumes=volumes, timeout=timeout)
    except WherryError as error:
        gone = error.kind == NOT_FOUND and not runtime.state.has_container(identity)
        if gone or error.kind not in (CORRUPT, NOT_FOUND) or runtime.state.dependents(identity):
            raise
        _evict(runtime, identity, error)


def _evict(runtime: Runtime, identity: str, damage: Exception) -> None:
    log.warning(f"removing container {identity} failed, evicting it: {damage}")
    lock = runtime.container_lock(identity)
    lock.acquire()
    try:
        event = Event(id=identity, type="container", status="remove", time_ns=now_ns())
        runtime.state.remove_container(identity, event)
        _attempt(identity, lambda: runtime.oci_runtime().delete(identity, force=True))
        _attempt(identity, lambda: runtime.store.delete_container(identity))
        for path in (f"{runtime.paths.persist}/{identity}", f"{runtime.paths.sockets}/{identity}"):
            remove_tree(path)
        try:
            os.unlink(f"{runtime.paths.exits}/{identity}")
        except FileNotFoundError:
            pass
        owner.forget(runtime, identity)
    finally:
        lock.release(remove=True)
    runtime.publish()


def _attempt(identity: str, step: object) -> None:
    try:
        step()  # type: ignore[operator]
    except (OSError, WherryError) as error:
        log.warning(f"evicting container {identity}: {error}")


def remove_from_storage(runtime: Runtime, text: str, *, force: bool = False) -> str:
    """``rm --storage``: delete a container of the shared store that is none of this engine's; returns its id.

    *text* is an id or name.  Raises ``NoSuchContainer``, ``ContainerExists`` for one of ours, and ``StateError`` when
    it is mounted and *force* is not given.
    """
    store = runtime.store
    try:
        record = store.container(text)
    except NotFound:
        raise NoSuchContainer(f'no container with ID or name "{text}" found') from None
    if runtime.state.has_container(record.id):
        raise ContainerExists(f'refusing to remove "{text}" as it exists in libpod as container {record.id}')
    if not force and record.layer in store.mounted():
        raise StateError(f'container "{text}" is mounted and cannot be removed without using force')
    store.delete_container(record.id)
    return record.id
