"""Creations, renames and volume removals that were begun: what is undone or finished when their process was killed.

A creation is noted before its first side effect and struck out in the transaction that adds the container.  While it
goes on its process holds the container's lock, so a noted creation whose lock is free is an abandoned one.
"""

from __future__ import annotations

import os

from wherry.engine import volumes
from wherry.errors import TimedOut
from wherry.sys.files import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.engine.runtime import Runtime
    from wherry.model.container import ContainerConfig
    from wherry.state.outbox import Intent

CREATE = "create"
#: The store's name of a container may differ from the database's (:mod:`wherry.engine.rename`).
RENAME = "rename"
#: A container is being replaced by one of another image (:mod:`wherry.engine.replace`).
REPLACE = "replace"
#: A unit was restarted on new images and is being watched (:mod:`wherry.update`, which alone settles it).
WATCH = "watch"


class Creating:
    """``with Creating(runtime, config) as creating:`` - on an error everything that was made is taken back.

    The container is added to the database with ``creating.number``'s intent cleared in the same transaction.
    """

    def __init__(self, runtime: Runtime, config: ContainerConfig) -> None:
        self._runtime = runtime
        self._config = config
        self._lock = runtime.container_lock(config.id)
        self.number = 0

    def __enter__(self) -> Creating:
        config = self._config
        self._lock.acquire()
        try:
            self.number = self._runtime.state.add_intent(CREATE, config.id, {
                "name": config.name,
                "static_dir": config.static_dir,
                "volumes": volumes.missing(self._runtime, config),
            })
        except BaseException:
            self._lock.release(remove=True)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_exc: object) -> None:
        try:
            if kind is not None:
                take_back(self._runtime, self.number)
        finally:
            self._lock.release(remove=kind is not None)


def take_back(runtime: Runtime, number: int) -> None:
    """Undo what was made of the creation with this number. Errors are reported; the note stays then."""
    from wherry.errors import WherryError
    from wherry.sys import log

    for intent in runtime.state.intents():
        if intent.seq == number:
            try:
                undo_creation(runtime, intent)
            except (WherryError, OSError) as error:
                log.warning(f"undoing the creation of container {intent.object_id}: {error}")


def undo_creation(runtime: Runtime, intent: Intent) -> None:
    """Remove storage, directory and volumes of a creation that came to nothing; may be repeated at will."""
    data = intent.data
    if not runtime.state.has_container(intent.object_id):
        runtime.store.delete_container(intent.object_id)
        remove_tree(os.path.dirname(data["static_dir"]))
        for name in data["volumes"]:
            volumes.remove_unused(runtime, name)
    runtime.state.clear_intent(intent.seq)


def undo_creation_of(runtime: Runtime, identity: str) -> None:
    """Undo the creation of *identity* if somebody was killed at it."""
    for intent in runtime.state.intents():
        if intent.kind == CREATE and intent.object_id == identity and is_abandoned(runtime, intent):
            undo_creation(runtime, intent)


def is_abandoned(runtime: Runtime, intent: Intent) -> bool:
    """Is nobody at work on it any more?"""
    if intent.kind == WATCH:
        return False
    if intent.kind == REPLACE:
        from wherry.engine.replace import is_abandoned as is_abandoned_replacement

        return is_abandoned_replacement(intent)
    if intent.kind not in (CREATE, RENAME):
        return True
    lock = runtime.container_lock(intent.object_id)
    try:
        lock.acquire(timeout=0)
    except TimedOut:
        return False
    lock.release(remove=not runtime.state.has_container(intent.object_id))
    return True


def abandoned(runtime: Runtime) -> list[Intent]:
    """Intents whose process is dead."""
    return [intent for intent in runtime.state.intents() if is_abandoned(runtime, intent)]


def settle(runtime: Runtime, intent: Intent) -> None:
    """Undo or finish an abandoned intent. Raises ``WherryError``, :class:`OSError`."""
    if intent.kind == CREATE:
        undo_creation(runtime, intent)
    elif intent.kind == volumes.REMOVE:
        volumes.finish_removal(runtime, intent)
    elif intent.kind == RENAME:
        from wherry.engine.rename import settle as settle_rename

        settle_rename(runtime, intent)
    elif intent.kind == REPLACE:
        from wherry.engine.replace import settle as settle_replacement

        settle_replacement(runtime, intent)


def free_name(runtime: Runtime, name: str) -> bool:
    """Undo abandoned creations of a container called *name*; True if there was one."""
    found = [
        intent for intent in abandoned(runtime) if intent.kind == CREATE and intent.data.get("name") == name
    ]
    for intent in found:
        undo_creation(runtime, intent)
    return bool(found)
