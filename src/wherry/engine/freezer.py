"""pause and unpause."""

from __future__ import annotations

from wherry.errors import StateError
from wherry.model import status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.engine.locked import LockedContainer
    from wherry.engine.runtime import Runtime


def pause(runtime: Runtime, identity: str) -> None:
    """Freeze every process of a running container. Raises ``StateError`` in Podman's words."""
    with runtime.lock(identity) as held:
        state = held.state
        if state.status == status.PAUSED:
            raise StateError(f'"{identity}" is already paused: container state improper')
        if state.status != status.RUNNING:
            shown = status.display(state.status)
            raise StateError(f'"{shown}" is not running, can\'t pause: container state improper')
        held.own()
        held.save()
        runtime.oci_runtime(state.runtime or held.config.runtime).pause(identity)
        held.move(status.PAUSE)
        held.disown()
        if held.config.health_check is not None:
            from wherry.engine import healthcheck

            healthcheck.paused(held)
        held.save(held.event("pause"))


def unpause(runtime: Runtime, identity: str) -> None:
    """Thaw a paused container. Raises ``StateError`` in Podman's words."""
    with runtime.lock(identity) as held:
        state = held.state
        if state.status != status.PAUSED:
            raise StateError(f'"{identity}" is not paused, can\'t unpause: container state improper')
        resume(held)
        held.disown()
        if held.config.health_check is not None:
            from wherry.engine import healthcheck

            healthcheck.go_on(held)
        held.save(held.event("unpause"))


def resume(held: LockedContainer) -> None:
    """Thaw a paused container and leave this process recorded as its owner, the new state unsaved."""
    held.own()
    held.save()
    held.runtime.oci_runtime(held.state.runtime or held.config.runtime).resume(held.id)
    held.move(status.UNPAUSE)
