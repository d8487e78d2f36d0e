"""The handle of one container: its verbs."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from wherry.engine.container_logs import ContainerLogs
    from wherry.engine.execs import ExecResult
    from wherry.engine.locked import LockedContainer
    from wherry.engine.runtime import Runtime
    from wherry.model.container import ContainerConfig, ContainerState
    from wherry.oci.attach import Attachment


class Container:
    """A container of this engine.

    The handle holds nothing but the id and the (immutable) configuration; every verb looks at the container as it is
    at that moment.  As a context manager it removes the container, running or not, on leaving the block.
    """

    def __init__(self, runtime: Runtime, config: ContainerConfig) -> None:
        self._runtime = runtime
        self._config = config

    # -- identity ------------------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """64 hex digits."""
        return self._config.id

    @property
    def name(self) -> str:
        return self._config.name

    @property
    def config(self) -> ContainerConfig:
        """The configuration the container was created with."""
        return self._config

    @property
    def labels(self) -> Mapping[str, str]:
        return self._config.labels

    def state(self) -> ContainerState:
        """A snapshot of the state, reconciled with reality."""
        with self._runtime.lock(self.id) as held:
            return held.state

    @property
    def status(self) -> str:
        """The state's name as ``wherry ps`` knows it: created, initialized, running, paused, exited, ..."""
        from wherry.model.status import display

        return display(self.state().status)

    # -- life cycle ----------------------------------------------------------------------------------------------

    def init(self) -> None:
        """Create the container in the OCI runtime without starting its process. Raises ``StateError``."""
        from wherry.engine.start import init, rest

        with self._runtime.lock(self.id) as held:
            init(held)
            rest(held)

    def start(self) -> None:
        """Start the process; nothing happens if it runs already. Raises ``RuntimeFailed`` and its kin."""
        from wherry.engine.start import start

        start(self._runtime, self.id)

    def stop(self, timeout: int | None = None) -> bool:
        """Send the stop signal and after *timeout* seconds SIGKILL; False if it was stopped already."""
        from wherry.engine.stop import stop

        return stop(self._runtime, self.id, timeout)

    def restart(self, timeout: int | None = None) -> None:
        """Stop (if running) and start."""
        from wherry.engine.start import restart

        restart(self._runtime, self.id, timeout)

    def kill(self, signal: int | str = "KILL") -> None:
        """Send a signal, by number or name. Raises ``StateError`` if the container does not run."""
        from wherry.engine.stop import kill
        from wherry.spec.signals import parse

        kill(self._runtime, self.id, signal if isinstance(signal, int) else parse(signal))

    def pause(self) -> None:
        """Freeze every process. Raises ``StateError``."""
        from wherry.engine.freezer import pause

        pause(self._runtime, self.id)

    def unpause(self) -> None:
        """Thaw every process. Raises ``StateError``."""
        from wherry.engine.freezer import unpause

        unpause(self._runtime, self.id)

    def wait(
        self, condition: str | Sequence[str] = "stopped", *, timeout: float | None = None, interval: float = 0.25
    ) -> int:
        """Wait for a condition (running, exited, healthy, ...); returns the exit code, -1 if there is none.

        *timeout* and *interval* are seconds.  Raises ``TimedOut``.
        """
        from wherry.engine.wait import wait

        conditions = (condition,) if isinstance(condition, str) else condition
        return wait(self._runtime, self.id, conditions, timeout=timeout, interval=interval)

    def remove(self, *, force: bool = False, volumes: bool = False, timeout: int | None = None) -> None:
        """Remove the container; with *force* also when it runs. Raises ``StateError``, ``AlreadyExists``."""
        from wherry.engine.remove import remove

        remove(self._runtime, self.id, force=force, volumes=volumes, timeout=timeout)

    def cleanup(self) -> None:
        """Release what a stopped container still holds (mounts, network)."""
        from wherry.engine.exits import finish

        finish(self._runtime, self.id)

    def batch(self) -> LockedContainer:
        """Lock the container for several changes in a row: ``with ctr.batch() as held:``."""
        return self._runtime.lock(self.id)

    # -- streams -------------------------------------------------------------------------------------------------

    def attach(self) -> Attachment:
        """Connect to the standard streams of the running container; the caller drives and closes the result."""
        from wherry.engine.attach import attach

        return attach(self._runtime, self.id)

    def exec(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        user: str = "",
        workdir: str = "",
        privileged: bool = False,
        input: bytes | None = None,
        timeout: float | None = None,
    ) -> ExecResult:
        """Run *command* in the container and return its exit code and output. Raises ``StateError``, ``RuntimeFailed``.

        *timeout* is in seconds; the process is killed when it is over (``TimedOut``).
        """
        from wherry.engine.execs import run_captured
        from wherry.model.exec_session import ExecConfig

        config = ExecConfig(
            command=list(command),
            environment=dict(environment or {}),
            user=user,
            workdir=workdir,
            privileged=privileged,
            attach_stdin=input is not None,
            attach_stdout=True,
            attach_stderr=True,
        )
        return run_captured(self._runtime, self.id, config, input, timeout)

    def logs(
        self,
        *,
        follow: bool = False,
        tail: int = -1,
        since: str = "",
        until: str = "",
    ) -> ContainerLogs:
        """The log, line by line, each with ``time_ns``, ``stream`` ("stdout" or "stderr") and ``text`` (str).

        *since* and *until* take what ``wherry logs`` takes; *tail* is a number of lines, -1 all.
        """
        from wherry.engine.container_logs import open_logs

        return open_logs(self._runtime, self.id, follow=follow, tail=tail, since=since, until=until)

    # -- information ---------------------------------------------------------------------------------------------

    def inspect(self, *, size: bool = False) -> dict[str, Any]:
        """The tree ``wherry container inspect`` prints."""
        from wherry.engine.inspect import inspect

        return inspect(self._runtime, self.id, size=size)

    # -- context manager -----------------------------------------------------------------------------------------

    def __enter__(self) -> Container:
        return self

    def __exit__(self, *_exc: object) -> None:
        from wherry.errors import NoSuchContainer

        try:
            self.remove(force=True, volumes=True, timeout=0)
        except NoSuchContainer:
            pass

    def __repr__(self) -> str:
        return f"<Container {self.id[:12]} {self.name}>"
