"""run in the foreground: create, attach, start, pass streams through, clean up, hand the exit code on."""

from __future__ import annotations

from wherry.engine.exits import after_exit, restart_after
from wherry.engine.owner import Ownership
from wherry.errors import NoSuchContainer, NoSuchExitCode, TimedOut
from wherry.model.record import Record
from wherry.sys.processes import wait_gone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from wherry.engine.runtime import Runtime
    from wherry.model.container import ContainerConfig
    from wherry.oci.attach import Attachment
    from wherry.spec.container_spec import ContainerSpec

DETACHED = "detached"


class Streams(Record):
    """File descriptors of the caller to connect; -1 leaves a stream unconnected."""

    stdin: int = -1
    stdout: int = -1
    stderr: int = -1
    detach_keys: bytes = b""
    terminal: bool = False


class RunResult(Record):
    """What :meth:`ContainerCollection.run` returns. Output is text, undecodable bytes as surrogates."""

    container_id: str = ""
    exit_code: int = 0
    stdout: str = ""
    stderr: str = ""


def run_attached(
    runtime: Runtime,
    config: ContainerConfig,
    streams: Streams,
    started: Callable[[int, int], None] | None = None,
) -> int | str:
    """Start a created container with *streams* attached and wait for its end.

    Returns its exit code, or :data:`DETACHED` if the user pressed the detach keys.  *started* is called with the
    process's pid and start time once it runs (to forward signals).
    """

    def drive(attachment: Attachment) -> str:
        return attachment.run(
            streams.stdin if streams.stdin >= 0 else None,
            streams.stdout,
            streams.stderr,
            detach_keys=streams.detach_keys,
            tty=streams.terminal,
        )

    return _run(runtime, config, drive, started)


def run_captured(
    runtime: Runtime, spec: ContainerSpec, input: bytes | None, timeout: float | None
) -> RunResult:
    """Create and run a container, collecting its output; see ``ContainerCollection.run``."""
    from wherry.engine.create import create

    config = create(runtime, spec)
    output: list[bytes] = [b"", b""]

    def drive(attachment: Attachment) -> str:
        output[0], output[1] = attachment.collect(input, timeout=timeout)
        return "closed"

    try:
        code = _run(runtime, config, drive, None)
    except TimedOut:
        from wherry.engine.stop import stop

        stop(runtime, config.id, 0)
        raise
    return RunResult(
        container_id=config.id,
        exit_code=int(code),
        stdout=output[0].decode(errors="surrogateescape"),
        stderr=output[1].decode(errors="surrogateescape"),
    )


def _run(
    runtime: Runtime,
    config: ContainerConfig,
    drive: Callable[[Attachment], str],
    started: Callable[[int, int], None] | None,
) -> int | str:
    from wherry.engine.attach import connect
    from wherry.engine.start import init, launch, refuse_paused, start_dependencies

    identity = config.id
    if config.dependencies:
        start_dependencies(runtime, identity)
    with Ownership(runtime, identity):
        try:
            with runtime.lock(identity) as held:
                refuse_paused(held)
                init(held)
                attachment = connect(held)
                launch(held)
                pid, start = held.state.pid, held.state.pid_start
        except BaseException:
            _discard(runtime, config)
            raise
        if started is not None:
            started(pid, start)
        try:
            if drive(attachment) == DETACHED:
                return DETACHED
        finally:
            attachment.close()
        wait_gone(pid, start)
        return _finish(runtime, identity)


def _finish(runtime: Runtime, identity: str) -> int:
    """Reconcile, clean up, and return the exit code; another process may have done it all already."""
    try:
        with runtime.lock(identity) as held:
            code = held.state.exit_code
            delay = after_exit(held)
    except NoSuchContainer:
        try:
            return runtime.state.exit_code(identity)
        except NoSuchExitCode:
            return 0
    if delay is not None:
        restart_after(runtime, identity, delay)
    return code


def _discard(runtime: Runtime, config: ContainerConfig) -> None:
    """A ``--rm`` container that could not be started does not stay."""
    if config.auto_remove and runtime.state.has_container(config.id):
        from wherry.engine.remove import remove_locked

        with runtime.lock(config.id) as held:
            remove_locked(held)
