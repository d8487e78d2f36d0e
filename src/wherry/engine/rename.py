"""rename: a container gets another name, in the database and in the shared store."""

from __future__ import annotations

from wherry.engine.intents import RENAME
from wherry.engine.locked import container_event
from wherry.errors import ContainerExists, NameInUse, NoSuchContainer
from wherry.model.ids import check_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.engine.runtime import Runtime
    from wherry.model.container import ContainerConfig
    from wherry.state.outbox import Intent


def rename(runtime: Runtime, identity: str, new_name: str) -> ContainerConfig:
    """Give a container, running or not, the name *new_name*; returns its configuration now.

    Raises ``InvalidArgument`` for what is no name and ``ContainerExists`` when it is taken.
    """
    check_name(new_name)
    state = runtime.state
    with runtime.lock(identity) as held:
        if new_name == held.name:
            return held.config
        config = held.config.replace(name=new_name)
        number = state.add_intent(RENAME, identity, {"name": new_name})
        try:
            if not config.rootfs:
                runtime.store.rename_container(identity, new_name)
            with state.transaction():
                state.rename_container(identity, new_name, config, container_event(config, "rename"))
                state.clear_intent(number)
        except (NameInUse, ContainerExists) as error:
            _store_name(runtime, identity, held.name)
            state.clear_intent(number)
            raise _taken(identity, new_name) from error
        held.config = config
    runtime.publish()
    return config


def _taken(identity: str, name: str) -> ContainerExists:
    return ContainerExists(
        f"renaming container {identity}: name {name} already in use, cannot rename container {identity}"
    )


def _store_name(runtime: Runtime, identity: str, name: str) -> None:
    """Let the store call the container *name*."""
    try:
        if name not in runtime.store.container(identity).names:
            runtime.store.rename_container(identity, name)
    except NoSuchContainer:
        return      # its root file system is the user's own


def settle(runtime: Runtime, intent: Intent) -> None:
    """A rename that was interrupted: the database's name counts."""
    follow(runtime, intent.object_id)
    runtime.state.clear_intent(intent.seq)


def follow(runtime: Runtime, identity: str) -> None:
    """Let the store call a container what the database calls it; nothing if there is no such container."""
    try:
        _store_name(runtime, identity, runtime.state.container_config(identity).name)
    except NoSuchContainer:
        pass
