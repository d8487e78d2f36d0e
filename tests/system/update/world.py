"""A private engine and a real registry whose images change as a test wants."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.helpers.images import MadeImage, busybox_tar, files_tar, make_image
from tests.helpers.pushing import Pusher

from wherry.engine.container import Container
from wherry.engine.runtime import Runtime
from wherry.update.report import Result, Row

_BASE = busybox_tar()
RUNS = ["sleep", "1000"]


def version(text: str, **config: Any) -> MadeImage:
    """An image that says *text* in /version, runs for ever unless told otherwise and stops at once."""
    settings = {"Cmd": RUNS, "Env": ["PATH=/bin"], "StopSignal": "SIGKILL", **config}
    return make_image([_BASE, files_tar({"version": text.encode()})], config=settings, compressed=True)


class World:
    """``rt`` is the engine; images are pushed to and followed at ``host``."""

    def __init__(self, rt: Runtime, base: Path, host: str, user: str = "") -> None:
        self.rt = rt
        self.base = base
        self.host = host
        self._pusher = Pusher(host, user)

    def publish(self, text: str, name: str = "app:1", **config: Any) -> str:
        """Let *name* be version *text* from now on; returns its digest."""
        return self._pusher.push(name, version(text, **config))

    def publish_index(self, text: str, other: str, name: str = "app:1") -> str:
        """An index with version *text* for this machine's kind and *other* for another."""
        return self._pusher.push_index(name, [("amd64", version(text)), ("s390x", version(other))])

    def image(self, name: str = "app:1") -> str:
        return f"{self.host}/{name}"

    def run(self, name: str, image: str = "app:1", policy: str = "registry", **options: Any) -> Container:
        """A container that follows *image*."""
        labels = {"io.containers.autoupdate": policy, **options.pop("labels", {})}
        options.setdefault("network", "none")
        options.setdefault("tls_verify", False)
        return self.rt.containers.start_detached(self.image(image), name=name, labels=labels, **options)

    def update(self, *names: str, window: float = 0.4, rollback: bool = True, **options: Any) -> Result:
        """One run of auto-update."""
        noun = self.rt.auto_update
        noun.settle()
        plan = noun.plan(names, window=window, tls_verify=False, **options)
        return noun.apply(plan, tls_verify=False, rollback=rollback)

    def says(self, name: str) -> str:
        """The version container *name* is."""
        return self.rt.containers.get(name).exec(["cat", "/version"]).stdout


def results(result: Result) -> dict[str, str]:
    return {row.task.name: row.updated for row in result.rows}


def row(result: Result, name: str) -> Row:
    return next(row for row in result.rows if row.task.name == name)
