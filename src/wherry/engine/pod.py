"""The handle of one pod: its verbs."""

from __future__ import annotations

from wherry.errors import NoSuchPod

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from wherry.engine.container import Container
    from wherry.engine.listing import Summary
    from wherry.engine.runtime import Runtime
    from wherry.model.pod import PodConfig, PodState
    from wherry.spec.pod_spec import PodSpec


class Pod:
    """A pod of this engine. As a context manager it removes the pod and all in it on leaving the block."""

    def __init__(self, runtime: Runtime, config: PodConfig) -> None:
        self._runtime = runtime
        self._config = config

    @property
    def id(self) -> str:
        """64 hex digits."""
        return self._config.id

    @property
    def name(self) -> str:
        return self._config.name

    @property
    def config(self) -> PodConfig:
        return self._config

    @property
    def labels(self) -> Mapping[str, str]:
        return self._config.labels

    def state(self) -> PodState:
        """A snapshot of the stored state."""
        return self._runtime.state.pod(self.id)[1]

    def containers(self) -> list[Summary]:
        """Summaries of the pod's containers in the order of creation, the infra container among them."""
        from wherry.engine.pods import summaries

        return summaries(self._runtime).get(self.id, [])

    @property
    def status(self) -> str:
        """Created, Running, Degraded, Stopped, Paused, Exited or Error."""
        from wherry.engine import pod_status

        return pod_status.of([summary.state for summary in self.containers()])

    def create(self, image: str, command: Sequence[str] | str = (), **options: Any) -> Container:
        """Create a container in this pod; *options* as for ``rt.containers.create``."""
        return self._runtime.containers.create(image, command, pod=self.id, **options)

    # -- verbs ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start all containers in order of dependency. Raises ``SomeContainersFailed``; the others run then."""
        from wherry.engine.pod_verbs import start

        start(self._runtime, self.id)

    def stop(self, timeout: int | None = None) -> None:
        """Stop all containers, each within *timeout* seconds (None: its own)."""
        from wherry.engine.pod_verbs import stop

        stop(self._runtime, self.id, timeout)

    def restart(self) -> None:
        """Stop what runs and start all."""
        from wherry.engine.pod_verbs import restart

        restart(self._runtime, self.id)

    def kill(self, signal: int | str = "KILL") -> None:
        """Send a signal, by number or name, to all running containers."""
        from wherry.engine.pod_verbs import kill
        from wherry.spec.signals import parse

        kill(self._runtime, self.id, signal if isinstance(signal, int) else parse(signal))

    def pause(self) -> None:
        """Freeze all running containers."""
        from wherry.engine.pod_verbs import pause

        pause(self._runtime, self.id)

    def unpause(self) -> None:
        """Thaw all frozen containers."""
        from wherry.engine.pod_verbs import unpause

        unpause(self._runtime, self.id)

    def remove(self, *, force: bool = False, timeout: int | None = None) -> None:
        """Remove the pod and its containers; running ones only with *force*. Raises ``PodNotEmptied``."""
        from wherry.engine.pod_remove import remove

        remove(self._runtime, self.id, force=force, timeout=timeout)

    def clone(self, name: str = "", **options: Any) -> Pod:
        """A new pod with clones of all containers; without *name* it is called ``NAME-clone``.

        *options* are ``infra_name=``, ``infra_command=`` and those keywords of containers that ``wherry pod clone``
        has as flags.
        """
        from wherry.engine.pods import pod_spec

        return self.clone_from_spec(pod_spec(name, **options))

    def clone_from_spec(self, asked: PodSpec) -> Pod:
        """:meth:`clone` from a parsed specification (what the command line does)."""
        from wherry.engine.pod_clone import clone

        return Pod(self._runtime, clone(self._runtime, self.id, asked))

    def inspect(self) -> dict[str, Any]:
        """The tree ``wherry pod inspect`` prints."""
        from wherry.engine.pod_inspect import inspect

        return inspect(self._runtime, self)

    def __enter__(self) -> Pod:
        return self

    def __exit__(self, *_exc: object) -> None:
        try:
            self.remove(force=True, timeout=0)
        except NoSuchPod:
            pass

    def __repr__(self) -> str:
        return f"<Pod {self.id[:12]} {self.name}>"
