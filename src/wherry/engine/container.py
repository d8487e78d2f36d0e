"""The handle of one container: its verbs."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from wherry.archive.compression import Readable
    from wherry.archive.diff import Change
    from wherry.engine.container_logs import ContainerLogs
    from wherry.engine.copying import CopyStream, FileStatus
    from wherry.engine.exec_handle import Exec
    from wherry.engine.execs import ExecResult
    from wherry.engine.healthcheck import HealthResult
    from wherry.engine.image import Image
    from wherry.engine.locked import LockedContainer
    from wherry.engine.runtime import Runtime
    from wherry.engine.stats import ContainerStats
    from wherry.engine.top import Top
    from wherry.model.container import ContainerConfig, ContainerState
    from wherry.model.network import PortMapping
    from wherry.oci.attach import Attachment
    from wherry.spec.container_spec import ContainerSpec


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
        from wherry.engine.start import init_idle

        init_idle(self._runtime, self.id)

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

    def remove_with_dependents(
        self, *, force: bool = False, volumes: bool = False, timeout: int | None = None
    ) -> list[str]:
        """Remove the containers that depend on it, then itself; the ids of all. Raises as :meth:`remove`."""
        from wherry.engine.remove import remove_with_dependents

        return remove_with_dependents(self._runtime, self.id, force=force, volumes=volumes, timeout=timeout)

    def cleanup(self) -> None:
        """Release what a stopped container still holds (mounts, network)."""
        from wherry.engine.exits import finish

        finish(self._runtime, self.id)

    def batch(self) -> LockedContainer:
        """Lock the container for several changes in a row: ``with ctr.batch() as held:``."""
        return self._runtime.lock(self.id)

    def rename(self, name: str) -> None:
        """Give the container another name. Raises ``ContainerExists`` if it is taken, ``InvalidArgument``."""
        from wherry.engine.rename import rename

        self._config = rename(self._runtime, self.id, name)

    def update(self, **options: Any) -> None:
        """Change limits, restart policy, health check or environment.

        *options* are keywords of ``create``: ``memory=``, ``cpus=``, ``pids_limit=``, ``restart=``, ``environment=``...
        Limits take effect at once, the rest at the next start.  Raises ``InvalidArgument``, ``RuntimeFailed``.
        """
        from wherry.config.environment import environ
        from wherry.spec.parse_keywords import from_keywords

        self.update_from_spec(from_keywords("", (), environ=environ(), **options))

    def update_from_spec(self, spec: ContainerSpec) -> None:
        """:meth:`update` with a parsed spec (what the command line and the service do)."""
        from wherry.engine.update import update

        self._config = update(self._runtime, self.id, spec)

    def clone(
        self, name: str = "", *, image: str = "", changes: ContainerSpec | None = None, pod: str = ""
    ) -> Container:
        """A new container with this one's configuration; without *name* it is called ``NAME-clone``.

        *pod* is the id or name of the pod to put it into.
        """
        from wherry.engine.clone import clone

        identity = self._runtime.state.pod_id(pod) if pod else ""
        return Container(self._runtime, clone(self._runtime, self.id, name, image, changes, identity))

    # -- files ---------------------------------------------------------------------------------------------------

    def stat(self, path: str) -> FileStatus:
        """What is at *path* in the container, running or not; links are followed inside. Raises ``NotFound``."""
        from wherry.engine.copying import stat_in

        return stat_in(self._runtime, self.id, path)

    def copy_from(self, path: str) -> CopyStream:
        """A tar of *path*, as an iterator over bytes with ``status`` (what it is) and ``read()``.

        A directory is in it under its name; ``DIR/.`` gives what is in it.  Raises ``NotFound``.
        """
        from wherry.engine.copying import CopyStream

        return CopyStream(self._runtime, self.id, path)

    def copy_to(
        self,
        path: str,
        archive: bytes | Readable | Iterable[bytes],
        *,
        own: bool = True,
        overwrite: bool = False,
        rename: Mapping[str, str] | None = None,
    ) -> None:
        """Unpack a tar (compressed or not) into the existing directory *path*.

        With *own* the files belong to the user the container runs as, else to whom the tar says.  *overwrite* lets
        files take the place of directories and the other way round; *rename* maps first parts of names to others.
        Raises ``NotFound``, ``InvalidArgument``, ``Corrupt``.
        """
        from wherry.engine.container_view import ContainerView
        from wherry.engine.copying import ContainerPlace, as_stream, place_archive

        with ContainerView(self._runtime, self.id, path) as view:
            place_archive(
                ContainerPlace(view, self.name), path, as_stream(archive), own=own, overwrite=overwrite, rename=rename
            )

    def copy_in(self, source: str, path: str, *, own: bool = True, overwrite: bool = False) -> None:
        """Copy the host's file or directory *source* to *path*, by the rules of ``wherry cp``."""
        from wherry.engine.container_view import ContainerView
        from wherry.engine.copying import ContainerPlace, HostPlace, copy

        with ContainerView(self._runtime, self.id, path) as view:
            copy(HostPlace(), source, ContainerPlace(view, self.name), path, own=own, overwrite=overwrite)

    def copy_out(self, path: str, target: str, *, overwrite: bool = False) -> None:
        """Copy *path* to the host's *target*, by the rules of ``wherry cp``; the files belong to the caller."""
        from wherry.engine.container_view import ContainerView
        from wherry.engine.copying import ContainerPlace, HostPlace, copy

        with ContainerView(self._runtime, self.id, path) as view:
            copy(ContainerPlace(view, self.name), path, HostPlace(), target, overwrite=overwrite)

    def mount(self) -> str:
        """Mount the root file system (counted); returns where it is. :meth:`unmount` gives it up."""
        from wherry.engine.mounting import mount

        return mount(self._runtime, self.id)

    def unmount(self, *, force: bool = False) -> bool:
        """Give up one mount, or with *force* all; False if it was not mounted by hand. Raises ``StateError``."""
        from wherry.engine.mounting import unmount

        return unmount(self._runtime, self.id, force=force)

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

    def exec_create(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        user: str = "",
        workdir: str = "",
        privileged: bool = False,
        terminal: bool = False,
        stdin: bool = False,
    ) -> Exec:
        """An exec session to be started later; it stays a while after its end. Raises ``StateError``."""
        from wherry.engine.exec_handle import create
        from wherry.model.exec_session import ExecConfig

        config = ExecConfig(
            command=list(command), environment=dict(environment or {}), user=user, workdir=workdir,
            privileged=privileged, terminal=terminal, attach_stdin=stdin, attach_stdout=True, attach_stderr=True,
        )
        return create(self._runtime, self.id, config)

    def exec_sessions(self) -> list[Exec]:
        """The exec sessions there are, running or kept."""
        from wherry.engine.exec_handle import Exec

        return [Exec(self._runtime, self.id, identity) for identity in self._runtime.state.exec_ids(self.id)]

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

    def healthcheck(self) -> HealthResult:
        """Run the health check now (the startup check until it has passed): ``status``, ``exit_code``, ``output``.

        It counts like those a timer runs.  Raises ``StateError`` when the container does not run or has no check, and
        ``TimedOut``.
        """
        from wherry.engine.healthcheck import run

        return run(self._runtime, self.id)

    # -- information ---------------------------------------------------------------------------------------------

    def inspect(self, *, size: bool = False) -> dict[str, Any]:
        """The tree ``wherry container inspect`` prints."""
        from wherry.engine.inspect import inspect

        return inspect(self._runtime, self.id, size=size)

    def top(self, *descriptors: str) -> Top:
        """The processes: ``titles`` and ``rows``. *descriptors* are those of ``wherry top`` (pid, user, args, ...).

        Raises ``StateError`` if the container does not run, ``InvalidArgument`` for an unknown descriptor.
        """
        from wherry.engine.top import parse, top
        from wherry.errors import InvalidArgument

        columns = parse(descriptors)
        if columns is None:
            raise InvalidArgument(f"unknown descriptor in {', '.join(descriptors)}: invalid argument")
        return top(self._runtime, self.id, columns)

    def stats(self, before: ContainerStats | None = None) -> ContainerStats:
        """What the container uses now; with the reading *before*, ``cpu_percent`` is that of the time since."""
        from wherry.engine.stats import read

        return read(self._runtime, self.id, before)

    def stats_stream(self, interval: float = 1.0) -> Iterator[ContainerStats]:
        """Readings every *interval* seconds until the container stops."""
        from wherry.engine.stats import follow

        return follow(self._runtime, self.id, interval)

    def ports(self) -> Sequence[PortMapping]:
        """The published ports: as chosen while the container runs, else as asked for; those of the container whose
        network namespace it is in.
        """
        if self._config.net_ns_ctr:
            return self._runtime.containers.get(self._config.net_ns_ctr).ports()
        return self._runtime.state.container_state(self.id).port_mappings or self._config.port_mappings

    def diff(self, other: str = "") -> list[Change]:
        """What the container changed on its image, or what leads from *other* (container or image) to it."""
        from wherry.engine.changed import diff

        return diff(self._runtime, self.id, other)

    # -- copies ----------------------------------------------------------------------------------------------------

    def commit(self, name: str = "", **options: Any) -> Image:
        """Make an image of it; *options* are the fields of :class:`~wherry.engine.commit.CommitOptions`."""
        from wherry.engine.commit import CommitOptions, commit
        from wherry.engine.image import Image

        return Image(self._runtime, commit(self._runtime, self.id, name, CommitOptions(**options)))

    def export(self) -> Iterator[bytes]:
        """The tar of its whole root file system, in pieces; mounted until the iterator ends or is closed."""
        from wherry.engine.changed import whole_tar

        return whole_tar(self._runtime, self.id)

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
