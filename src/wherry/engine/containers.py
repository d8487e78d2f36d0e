"""The containers of a runtime."""

from __future__ import annotations

from wherry.engine.container import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from builtins import list as List
    from collections.abc import Mapping, Sequence
    from typing import Any

    from wherry.engine.foreground import RunResult
    from wherry.engine.listing import Summary
    from wherry.engine.runtime import Runtime
    from wherry.spec.container_spec import ContainerSpec


class ContainerCollection:
    """``rt.containers``: make, find and list containers."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def create(self, image: str, command: Sequence[str] | str = (), **options: Any) -> Container:
        """Create a container without starting it; the image is pulled if it is missing.

        *options* are the keywords of the option table (``name=``, ``network=``, ``ports=``, ``volumes=``,
        ``environment=``, ``labels=``, ``memory=``, ...); see ``wherry create --help`` for what each means.
        """
        return self.create_from_spec(self._spec(image, command, options))

    def _spec(self, image: str, command: Sequence[str] | str, options: Mapping[str, Any]) -> ContainerSpec:
        from wherry.config.environment import environ
        from wherry.spec.parse_keywords import from_keywords

        return from_keywords(image, command, environ=environ(), **options)

    def create_from_spec(self, spec: ContainerSpec) -> Container:
        """Create a container from a parsed spec (what the command line and the service do)."""
        from wherry.engine.create import create

        return Container(self._runtime, create(self._runtime, spec))

    def run(
        self,
        image: str,
        command: Sequence[str] | str = (),
        *,
        input: bytes | None = None,
        timeout: float | None = None,
        **options: Any,
    ) -> RunResult:
        """Run a container to its end; returns ``exit_code``, ``stdout`` and ``stderr`` (text) and the id.

        *input* is fed to its standard input.  After *timeout* seconds it is killed and ``TimedOut`` raised.  With
        ``remove=True`` nothing of it stays.  For a container that goes on running use :meth:`start_detached`.
        """
        from wherry.engine.foreground import run_captured

        if input is not None:
            options.setdefault("interactive", True)
        return run_captured(self._runtime, self._spec(image, command, options), input, timeout)

    def start_detached(self, image: str, command: Sequence[str] | str = (), **options: Any) -> Container:
        """Create and start a container that goes on running by itself."""
        container = self.create(image, command, **options)
        try:
            container.start()
        except BaseException:
            container.remove(force=True, volumes=True, timeout=0)
            raise
        return container

    def get(self, text: str) -> Container:
        """The container with this id, unique id prefix or name. Raises ``NoSuchContainer``."""
        state = self._runtime.state
        identity = state.container_id(text, self._runtime.settings.options.namespace)
        return Container(self._runtime, state.container_config(identity))

    def remove(
        self, text: str, *, force: bool = False, volumes: bool = False, timeout: int | None = None
    ) -> str:
        """Remove the container *text* names; returns its id.

        With *force* also one that runs, and one whose record or layer is damaged, which is evicted.  Raises
        ``NoSuchContainer``, ``StateError``, ``AlreadyExists``.
        """
        identity = self._runtime.state.container_id(text, self._runtime.settings.options.namespace)
        if force:
            from wherry.engine.evict import force_remove

            force_remove(self._runtime, identity, volumes=volumes, timeout=timeout)
        else:
            from wherry.engine.remove import remove

            remove(self._runtime, identity, volumes=volumes, timeout=timeout)
        return identity

    def remove_from_storage(self, text: str, *, force: bool = False) -> str:
        """Delete a container of the shared store that is none of this engine's; returns its id.

        Raises ``NoSuchContainer``, ``ContainerExists`` for one of ours, ``StateError`` if it is mounted.
        """
        from wherry.engine.evict import remove_from_storage

        return remove_from_storage(self._runtime, text, force=force)

    def evict(self, text: str) -> str:
        """Get rid of a container that cannot be removed any more; returns its id. Raises ``NoSuchContainer``."""
        from wherry.engine.evict import evict

        identity = self._runtime.state.container_id(text, self._runtime.settings.options.namespace)
        evict(self._runtime, identity)
        return identity

    def exists(self, text: str) -> bool:
        return self._runtime.state.has_container(text)

    def list(self, *, all: bool = False, filters: Mapping[str, Sequence[str]] | None = None) -> List[Summary]:
        """Summaries of running (with *all* of all) containers, oldest first; *filters* as for ``wherry ps``."""
        from wherry.engine.listing import listing

        return listing(self._runtime, all=all, filters=filters or {})

    def prune(self, filters: Mapping[str, Sequence[str]] | None = None) -> List[str]:
        """Remove every container that does not run (created, exited); returns their ids."""
        from wherry.engine.prune import prune

        return prune(self._runtime, filters or {})
