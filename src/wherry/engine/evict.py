"""evict: getting rid of a container that can be neither started nor removed any more."""

from __future__ import annotations

import os

from wherry.engine import owner
from wherry.errors import NotFound, WherryError
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
        return
    except (NotFound, OSError, ValueError, TypeError, WherryError) as error:
        if not runtime.state.has_container(identity):
            return
        if runtime.state.dependents(identity):
            raise
        log.warning(f"removing container {identity} failed, evicting it: {error}")
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
