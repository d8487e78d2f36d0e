"""mount and unmount: the root of a container for people to look at, without starting it.

Mounts are counted by the store, so a container may be mounted by hand while it runs and the other way round.
"""

from __future__ import annotations

import os

from wherry.errors import NotFound, StateError
from wherry.model import status
from wherry.model.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.engine.locked import LockedContainer
    from wherry.engine.runtime import Runtime


class Mounted(Record):
    """A mounted container and where its root is."""

    id: str = ""
    name: str = ""
    path: str = ""


def mount(runtime: Runtime, identity: str) -> str:
    """Mount the container's root, or count one more user of it; returns where it is."""
    with runtime.lock(identity) as held:
        if held.config.rootfs:
            return os.path.realpath(held.config.rootfs)
        if held.state.status == status.REMOVING:
            raise StateError(f"container {identity} is being removed: container state improper")
        path = runtime.store.mount_container(identity)
        held.save(held.event("mount"))
        return path


def unmount(runtime: Runtime, identity: str, *, force: bool = False) -> bool:
    """Count one user less, or with *force* all; True if it was mounted by hand.

    Raises ``StateError`` rather than take the root away from under a container that has a process.
    """
    with runtime.lock(identity) as held:
        if held.config.rootfs:
            return False
        found = runtime.store.mounted().get(_layer(runtime, identity))
        count = found.count if found is not None else 0
        if held.alive and (count <= 1 or force):
            raise StateError(_refusal(held))
        if not count:
            return False
        runtime.store.unmount_container(identity, force=force)
        held.save(held.event("unmount"))
        return True


def _refusal(held: LockedContainer) -> str:
    if held.state.status in (status.RUNNING, status.PAUSED):
        return (
            f"cannot unmount storage for container {held.id} as it is running or paused: container state improper"
        )
    return f"can't unmount {held.id} last mount, it is still in use: container state improper"


def _layer(runtime: Runtime, identity: str) -> str:
    return runtime.store.container(identity).layer


def mounted(runtime: Runtime) -> list[Mounted]:
    """The containers of this engine whose root is mounted, by hand or because they run."""
    counts = runtime.store.mounted()
    if not counts:
        return []
    found = []
    for row in runtime.state.container_rows(all=True):
        try:
            record = counts.get(_layer(runtime, row.id))
        except NotFound:
            continue        # a root file system of the user's own
        if record is not None:
            found.append(Mounted(id=row.id, name=row.name, path=record.path))
    return found
