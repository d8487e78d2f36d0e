"""Small objects for tests of a State, and how to say that a call must be refused."""

from __future__ import annotations

from wherry import errors
from wherry.model.container import ContainerConfig, ContainerState
from wherry.model.event import Event
from wherry.model.pod import PodConfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.state.protocol import State


class Refused:
    """``with Refused(errors.NoSuchPod, "text"):`` - the block must raise exactly that, with that message."""

    def __init__(self, kind: type[errors.WherryError], message: str) -> None:
        self.kind = kind
        self.message = message

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> bool:
        assert kind is self.kind, f"expected {self.kind.__name__}, got {error!r}"
        assert str(error) == self.message
        return True


def full(beginning: str) -> str:
    """An id that begins with some hex digits."""
    return beginning.ljust(64, "0")


def container(identity: str = "c1", name: str = "", **fields: Any) -> ContainerConfig:
    """A container whose id begins with *identity*."""
    return ContainerConfig(id=full(identity), name=name or f"name-{identity}", **fields)


def pod(identity: str = "b0", name: str = "pod", **fields: Any) -> PodConfig:
    return PodConfig(id=full(identity), name=name, **fields)


def event(what: str, identity: str = "") -> Event:
    return Event(type="container", status=what, id=full(identity) if identity else "", time_ns=7)


def add(state: State, identity: str = "c1", name: str = "", **fields: Any) -> ContainerConfig:
    """Add a container and return its configuration."""
    config = container(identity, name, **fields)
    state.add_container(config, ContainerState())
    return config


def statuses(state: State) -> list[str]:
    return [published.status for _, published in state.pending_events()]
