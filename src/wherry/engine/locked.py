"""Holding a container's lock is a type: only a :class:`LockedContainer` changes a container."""

from __future__ import annotations

import os

from wherry.errors import NoSuchContainer
from wherry.model import status
from wherry.model.event import Event
from wherry.model.timestamps import now_ns
from wherry.sys.processes import start_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.engine.runtime import Runtime
    from wherry.model.container import ContainerConfig, ContainerState
    from wherry.sys.locks import RankedLock


class LockedContainer:
    """One container, locked, read and reconciled with reality.  Use it as a context manager.

    ``config`` is immutable, ``state`` is this holder's copy: change it, then :meth:`save` it together with the events
    that tell of the change.
    """

    config: ContainerConfig
    state: ContainerState

    def __init__(self, runtime: Runtime, identity: str, timeout: float | None = None) -> None:
        self.runtime = runtime
        self.id = identity
        self._timeout = timeout
        self._lock: RankedLock = runtime.container_lock(identity)
        self._removed = False

    def __enter__(self) -> LockedContainer:
        from wherry.engine.reconcile import reconcile

        self._lock.acquire(self._timeout)
        try:
            self.config, self.state = self.runtime.state.container(self.id)
            reconcile(self)
        except BaseException as error:
            # Taking the lock made its file, which must not stay for a container that does not exist.
            self._lock.release(remove=isinstance(error, NoSuchContainer))
            raise
        return self

    def __exit__(self, *_exc: object) -> None:
        self._lock.release(remove=self._removed)

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def alive(self) -> bool:
        """May a process of the container exist?"""
        return self.state.status in status.ALIVE

    def move(self, action: str) -> None:
        """Change the status by the table of moves; raises ``StateError`` for an illegal one."""
        self.state.status = status.after(self.state.status, action, self.id)

    def own(self) -> None:
        """Say in the state, to be saved by the caller, that this process is changing the container.

        If it is killed, the next one to lock the container sees a dead owner and finds out how far it came.
        """
        self.state.owner_pid = os.getpid()
        self.state.owner_start = start_time(self.state.owner_pid)

    def disown(self) -> None:
        """The change is done; to be saved together with its result."""
        self.state.owner_pid = self.state.owner_start = 0

    def save(self, *events: Event) -> None:
        """Commit the state and *events* in one transaction, then publish."""
        self.runtime.state.save_state(self.id, self.state, *events)
        if events:
            self.runtime.publish()

    def event(self, what: str, **fields: Any) -> Event:
        """An event of this container, stamped now."""
        return container_event(self.config, what, **fields)

    def forget(self) -> None:
        """The container was removed: its lock file goes when the lock is released."""
        self._removed = True


def container_event(config: ContainerConfig, what: str, **fields: Any) -> Event:
    """A ``container`` event with the identity fields of *config*; its attributes are the labels."""
    return Event(
        id=config.id,
        name=config.name,
        image=config.rootfs_image_name,
        type="container",
        status=what,
        time_ns=now_ns(),
        pod_id=config.pod,
        attributes=config.labels,
        **fields,
    )
