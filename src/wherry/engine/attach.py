"""Connecting to a container's standard streams."""

from __future__ import annotations

from wherry.errors import StateError, Unsupported
from wherry.model import status
from wherry.oci import attach as attaching

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.engine.locked import LockedContainer
    from wherry.engine.runtime import Runtime
    from wherry.model.container import ContainerConfig
    from wherry.oci.attach import Attachment


def connect(held: LockedContainer) -> Attachment:
    """Attach to a container that exists in the runtime; before its start nothing is missed."""
    return attaching.connect(held.config.static_dir)


def passes_streams_on(config: ContainerConfig) -> bool:
    """Has the container the standard streams of who started it (log drivers passthrough and passthrough-tty)?"""
    return config.log_driver.startswith("passthrough")


def attach(runtime: Runtime, identity: str) -> Attachment:
    """Attach to a running container. Raises ``StateError`` in Podman's words if it does not run."""
    with runtime.lock(identity) as held:
        if not status.can(held.state.status, status.ATTACH):
            shown = status.display(held.state.status)
            raise StateError(
                f"can only attach to created or running containers - currently in state {shown}: "
                "container state improper"
            )
        if passes_streams_on(held.config):
            raise Unsupported(
                f"this container is using the '{held.config.log_driver}' log driver, cannot attach: this container is "
                "not logging output"
            )
        attachment = connect(held)
        if held.state.status == status.RUNNING:
            held.save(held.event("attach"))
        return attachment
