"""pause and unpause."""

from __future__ import annotations

from wherry.errors import StateError
from wherry.model import status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.engine.runtime import Runtime


def pause(runtime: Runtime, identity: str) -> None:
    """Freeze every process of a running container. Raises ``StateError`` in Podman's words."""
    with runtime.lock(identity) as held:
        state = held.state
        if state.status != status.RUNNING:
            shown = status.display(state.status)
            raise StateError(f'"{shown}" is not running, can\'t pause: container state improper')
        runtime.oci_runtime(state.runtime or held.config.runtime).pause(identity)
        held.move(status.PAUSE)
        held.save(held.event("pause"))


def unpause(runtime: Runtime, identity: str) -> None:
    """Thaw a paused container. Raises ``StateError`` in Podman's words."""
    with runtime.lock(identity) as held:
        state = held.state
        if state.status != status.PAUSED:
            raise StateError(f'"{identity}" is not paused, can\'t unpause: container state improper')
        runtime.oci_runtime(state.runtime or held.config.runtime).resume(identity)
        held.move(status.UNPAUSE)
        held.save(held.event("unpause"))
