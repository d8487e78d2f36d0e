"""The locks of a store and the one order they are taken in.

``userns.lock`` < ``storage.lock`` < layers of each home < images of each home < containers < mount counts.
:meth:`Locks.hold` takes a whole set in order, brings the tables up to date, and releases in reverse.  Holding some and
asking for an earlier one is a bug and says so.

The mount counts' lock is taken for moments inside the layers' lock (:meth:`Locks.counting`).
"""

from __future__ import annotations

import errno

from wherry.errors import InternalError, from_os_error
from wherry.sys.locks import FileLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from wherry.storage.home import Home
    from wherry.storage.jsonstore import Table
    from wherry.storage.records import ContainerRecord, MountRecord

SHARED = 1
EXCLUSIVE = 2


class _Bare:
    """A lock that protects no table."""

    def __init__(self, lock: FileLock) -> None:
        self.lock = lock

    def entered(self, fd: int, exclusive: bool) -> None:
        pass

    def leaving(self) -> None:
        pass

    def forget(self) -> None:
        pass


class Locks:
    """All locks of one store.

    *on_layers* is called whenever the layers were opened for writing, after they were read: it removes what crashed
    processes left incomplete.
    """

    def __init__(
        self,
        root: str,
        homes: Sequence[Home],
        containers: Table[ContainerRecord],
        mounts: Table[MountRecord],
        on_layers: Callable[[], None],
    ) -> None:
        self._storage = _Bare(FileLock(f"{root}/storage.lock"))
        self._userns = _Bare(FileLock(f"{root}/userns.lock"))
        self._homes = homes
        self._containers = containers
        self._mounts = mounts
        self._on_layers = on_layers

    def hold(self, *, storage: bool = False, layers: int = 0, images: int = 0, containers: int = 0) -> Held:
        """The block in which the given locks are held; 0, :data:`SHARED` or :data:`EXCLUSIVE` each.

        *storage* is always exclusive: it is held while something is mounted under the driver's directory.
        """
        steps: list[tuple[Any, bool]] = []
        if storage:
            steps.append((self._storage, True))
        if layers:
            steps += [(home.layers, layers == EXCLUSIVE and not home.read_only) for home in self._homes]
        if images:
            steps += [(home.images, images == EXCLUSIVE and not home.read_only) for home in self._homes]
        if containers:
            steps.append((self._containers, containers == EXCLUSIVE))
        self._check_order(steps)
        return Held(steps, self._on_layers if layers == EXCLUSIVE else None)

    def counting(self) -> Held:
        """The block in which mount counts may be read and, if the layers are held exclusively, changed."""
        if not self._homes[0].layers.lock.is_held():
            raise InternalError("mount counts are only touched while the layers are held")
        return Held([(self._mounts, True)], None)

    def choosing_ids(self) -> Held:
        """The block in which id ranges for a user namespace are chosen; comes before all other locks."""
        steps: list[tuple[Any, bool]] = [(self._userns, True)]
        self._check_order(steps)
        return Held(steps, None)

    def _check_order(self, steps: list[tuple[Any, bool]]) -> None:
        """Nothing may be taken that comes before something this thread holds already."""
        order: list[Any] = [self._userns, self._storage, *(home.layers for home in self._homes)]
        order += [*(home.images for home in self._homes), self._containers]
        wanted = {id(guard) for guard, _ in steps if not guard.lock.is_held()}
        later_held = False
        for guard in reversed(order):
            if guard.lock.is_held():
                later_held = True
            elif later_held and id(guard) in wanted:
                raise InternalError(f"lock order violated: {guard.lock.path} taken while a later lock is held")


class Held:
    """A set of locks taken together. Changes not saved when the block is left are forgotten.

    An :class:`OSError` that nobody said more about leaves the block as a wherry error.
    """

    __slots__ = ("_on_layers", "_steps", "_taken")

    def __init__(self, steps: list[tuple[Any, bool]], on_layers: Callable[[], None] | None) -> None:
        self._steps = steps
        self._on_layers = on_layers
        self._taken: list[tuple[Any, bool]] = []

    def __enter__(self) -> None:
        try:
            for guard, exclusive in self._steps:
                try:
                    fd = guard.lock.acquire(exclusive)
                except OSError as error:
                    if error.errno == errno.EROFS and guard.lock.read_only:
                        guard.skip()        # an additional store nobody ever locked and nobody can
                        continue
                    raise from_os_error(error, "locking the store") from None
                self._taken.append((guard, exclusive))
                guard.entered(fd, exclusive)
            if self._on_layers is not None:
                self._on_layers()
        except BaseException:
            self._release(failed=True)
            raise

    def __exit__(self, kind: object, value: object, _trace: object) -> None:
        self._release(failed=kind is not None)
        if isinstance(value, OSError):
            raise from_os_error(value, "using the store") from value

    def _release(self, failed: bool) -> None:
        while self._taken:
            guard, exclusive = self._taken.pop()
            if failed and exclusive:
                guard.forget()
            else:
                guard.leaving()
            guard.lock.release()
