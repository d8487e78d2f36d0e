"""An engine made of dictionaries, for verbs that only have to call it right."""

from __future__ import annotations

from typing import Any

from wherry.engine.listing import Summary
from wherry.errors import NoSuchContainer, NoSuchExitCode, NoSuchImage, NotFound, WherryError
from wherry.model.container import ContainerConfig


class FakeContainer:
    """Records the verbs called on it; ``fails`` maps a verb to the error it raises."""

    def __init__(self, name: str, identity: str, **fails: WherryError) -> None:
        self.id = identity
        self.name = name
        self.config = ContainerConfig(id=identity, name=name, rootfs_image_id="1" * 64)
        self.calls: list[tuple[Any, ...]] = []
        self.fails = fails
        self.code = 0

    def _done(self, verb: str, *args: object) -> None:
        self.calls.append((verb, *args))
        if verb in self.fails:
            raise self.fails[verb]

    def start(self) -> None:
        self._done("start")

    def stop(self, timeout: int | None = None) -> bool:
        self._done("stop", timeout)
        return True

    def restart(self, timeout: int | None = None) -> None:
        self._done("restart", timeout)

    def kill(self, signal: int) -> None:
        self._done("kill", signal)

    def pause(self) -> None:
        self._done("pause")

    def cleanup(self) -> None:
        self._done("cleanup")

    def remove(self, *, force: bool = False, volumes: bool = False, timeout: int | None = None) -> None:
        self._done("remove", force, volumes, timeout)

    def wait(self, conditions: Any, *, timeout: float | None = None, interval: float = 0.25) -> int:
        self._done("wait", tuple(conditions), interval)
        return self.code

    def inspect(self, *, size: bool = False) -> dict[str, Any]:
        return {"Id": self.id, "Name": self.name, "State": {"Status": "running"}} | ({"SizeRw": 1} if size else {})


class FakeContainers:
    def __init__(self, *containers: FakeContainer) -> None:
        self.all = list(containers)
        self.summaries: list[Summary] = [
            Summary(id=container.id, names=[container.name], state="running", created=number)
            for number, container in enumerate(containers)
        ]

    def get(self, text: str) -> FakeContainer:
        for container in self.all:
            if text in (container.name, container.id) or container.id.startswith(text):
                return container
        raise NoSuchContainer(f'no container with name or ID "{text}" found')

    def remove(self, text: str, *, force: bool = False, volumes: bool = False, timeout: int | None = None) -> str:
        container = self.get(text)
        container.remove(force=force, volumes=volumes, timeout=timeout)
        return container.id

    def exists(self, text: str) -> bool:
        return any(text in (container.name, container.id) for container in self.all)

    def list(self, *, all: bool = False, filters: Any = None) -> list[Summary]:
        return [summary for summary in self.summaries if all or summary.state == "running"]


class FakeImages:
    """Images by name; removing says what ``rmi`` prints."""

    def __init__(self, **fails: WherryError) -> None:
        self.fails = fails
        self.removed: list[tuple[str, bool]] = []

    def remove(self, text: str, *, force: bool = False, keep_parents: bool = False) -> list[str]:
        if text in self.fails:
            raise self.fails[text]
        if text == "missing":
            raise NoSuchImage(text)
        self.removed.append((text, force))
        return [f"Untagged: localhost/{text}:latest", f"Deleted: {text}"]

    def get(self, text: str) -> Any:
        raise NoSuchImage(text)

    def exists(self, text: str) -> bool:
        return text != "missing"


class FakeNothing:
    """A collection without objects."""

    def get(self, text: str) -> Any:
        raise NotFound(f"no such object {text}")


class FakeState:
    def exit_code(self, text: str) -> int:
        if text == "gone":
            return 9
        raise NoSuchExitCode(text)

    def dependents(self, identity: str) -> list[str]:
        return []


class FakeSettings:
    options = None


class FakeRuntime:
    def __init__(self, *containers: FakeContainer, images: FakeImages | None = None) -> None:
        self.containers = FakeContainers(*containers)
        self.images = images or FakeImages()
        self.volumes = self.networks = self.pods = self.artifacts = FakeNothing()
        self.state = FakeState()
        self.settings = FakeSettings()

    def warm_up(self) -> None:
        pass

    def __enter__(self) -> FakeRuntime:
        return self

    def __exit__(self, *_: object) -> None:
        pass
