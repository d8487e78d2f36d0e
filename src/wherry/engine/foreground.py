"""run in the foreground: create, attach, start, pass streams through, clean up, hand the exit code on."""

from __future__ import annotations

from wherry.engine.deadline import Deadline
from wherry.engine.exits import after_exit, restart_after
from wherry.engine.owner import Ownership, mark_done
from wherry.engine.signals import send_to_process
from wherry.errors import NoSuchContainer, NoSuchExitCode, TimedOut
from wherry.model import status
from wherry.model.record import Record
from wherry.oci.exits import ExitWatch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from wherry.engine.locked import LockedContainer
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


def pass_through(attachment: Attachment, streams: Streams) -> str:
    """Copy between *streams* and the container until it ends or the detach keys are typed."""
    def connected(fd: int) -> int | None:
        return fd if fd >= 0 else None

    return attachment.run(
        connected(streams.stdin),
        connected(streams.stdout),
        connected(streams.stderr),
        detach_keys=streams.detach_keys,
        terminal=streams.stdin if streams.terminal else None,
    )


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
        return pass_through(attachment, streams)

    return _run(runtime, config, drive, started)


def run_captured(
    runtime: Runtime, spec: ContainerSpec, input: bytes | None, timeout: float | None
) -> RunResult:
    """Create and run a container, collecting its output; see ``ContainerCollection.run``."""
    from wherry.engine.create import create

    runtime.warm_up()
    config = create(runtime, spec)
    output: list[bytes] = [b"", b""]
    process: list[int] = [0, 0]

    def drive(attachment: Attachment) -> str:
        with deadline:
            output[0], output[1] = attachment.collect(input if input is not None else b"")
        return "closed"

    def started(pid: int, start: int) -> None:
        process[:] = [pid, start]

    deadline = Deadline(timeout, lambda: send_to_process(process[0], process[1], 9))
    code = _run(runtime, config, drive, started)
    if deadline.passed:
        raise TimedOut(f"container {config.id} did not end within {timeout:g} seconds and was killed")
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
    from wherry.engine.attach import connect, passes_streams_on
    from wherry.engine.start import init, launch, refuse_paused, start_dependencies

    identity = config.id
    if config.dependencies:
        start_dependencies(runtime, identity)
    with Ownership(runtime, identity):
        try:
            with runtime.lock(identity) as held:
                refuse_paused(held)
                init(held)
                # With passthrough conmon has our standard streams itself, and there is nothing to attach to.
                attachment = None if passes_streams_on(config) else connect(held)
                launch(held)
                pid, start = held.state.pid, held.state.pid_start
                watch = exit_watch(held)
        except BaseException:
            _discard(runtime, config)
            raise
        if started is not None:
            started(pid, start)
        if config.sdnotify_socket:
            _tell_when_healthy(runtime, config)
        try:
            if attachment is not None and drive(attachment) == DETACHED:
                return DETACHED
            watch.wait()
        finally:
            if attachment is not None:
                attachment.close()
            watch.close()
        return _finish(runtime, identity)


def _tell_when_healthy(runtime: Runtime, config: ContainerConfig) -> None:
    from wherry.engine.notify import is_due_when_healthy, tell_healthy_meanwhile

    if is_due_when_healthy(config):
        tell_healthy_meanwhile(runtime, config)


def exit_watch(held: LockedContainer) -> ExitWatch:
    """What to wait on for the end of a container that runs."""
    state = held.state
    return ExitWatch(
        held.runtime.paths.exits,
        held.id,
        held.config.static_dir,
        pid=state.pid,
        pid_start=state.pid_start,
        conmon_pid=state.conmon_pid,
        conmon_start=state.conmon_start,
        persist_dir=f"{held.runtime.paths.persist}/{held.id}",
    )


def _finish(runtime: Runtime, identity: str) -> int:
    """Reconcile, clean up, and return the exit code; another process may have done it all already."""
    try:
        with runtime.lock(identity) as held:
            code = held.state.exit_code
            delay = after_exit(held)
            if delay is None:
                mark_done(held)
    except NoSuchContainer:
        try:
            return runtime.state.exit_code(identity)
        except NoSuchExitCode:
            return 0
    if delay is not None:
        try:
            restart_after(runtime, identity, delay)
        except NoSuchContainer:
            pass        # removed meanwhile
    return code


def _discard(runtime: Runtime, config: ContainerConfig) -> None:
    """The container could not be attached to or started: with ``--rm`` it does not stay."""
    from wherry.engine.remove import remove_locked
    from wherry.engine.start import rest

    try:
        with runtime.lock(config.id) as held:
            if config.auto_remove and held.state.status not in (status.RUNNING, status.PAUSED, status.STOPPING):
                remove_locked(held)
            else:
                rest(held)
    except NoSuchContainer:
        pass
