"""The handle of one exec session that is made first and started later, and stays for its exit code to be asked for."""

from __future__ import annotations

from wherry.engine import execs
from wherry.engine.exec_sessions import directory_of, forget_dead
from wherry.errors import ExecStateError, NotFound, StateError, TimedOut
from wherry.model import exec_session as sessions
from wherry.model import status
from wherry.model.exec_session import ExecConfig, ExecSession
from wherry.model.ids import generate_id
from wherry.sys.files import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.engine.execs import ExecResult
    from wherry.engine.foreground import Streams
    from wherry.engine.runtime import Runtime
    from wherry.oci.attach import Attachment

#: Seconds a killed process may take to die.
KILL_TIMEOUT = 10.0


class Exec:
    """An exec session of a container (``Container.exec_create``, ``Runtime.exec_session``)."""

    def __init__(self, runtime: Runtime, container: str, identity: str) -> None:
        self._runtime = runtime
        self.id = identity
        self.container_id = container

    def record(self) -> ExecSession:
        """What is known of it now. Raises ``NoSuchExecSession`` once it is removed or its container stopped."""
        session = self._runtime.state.exec_session(self.id)
        if session.state == sessions.RUNNING:
            forget_dead(self._runtime, self.container_id)
            session = self._runtime.state.exec_session(self.id)
        return session

    @property
    def state(self) -> str:
        """``created``, ``running`` or ``stopped``."""
        return self.record().state

    @property
    def exit_code(self) -> int:
        """0 until it has ended."""
        return self.record().exit_code

    def start(self) -> None:
        """Start it in the background. Raises ``ExecStateError``, ``StateError``, ``RuntimeFailed`` and its kin."""
        running = execs.start_created(self._runtime, self.container_id, self.id, attach=False)
        running.started.close()

    def start_attached(self, streams: Streams) -> int | str:
        """Start it with the caller's descriptors connected; its exit code, or "detached" after the detach keys."""
        return execs.drive(execs.start_created(self._runtime, self.container_id, self.id), streams)

    def run(self, input: bytes | None = None) -> ExecResult:
        """Start it, feed it *input*, and collect what it writes until it ends."""
        return execs.collect(execs.start_created(self._runtime, self.container_id, self.id), input)

    def attach(self) -> Attachment:
        """Connect to a running session; the caller drives and closes the result. Raises ``ExecStateError``."""
        from wherry.oci import attach

        self._require(sessions.RUNNING, "attach to")
        return attach.connect(directory_of(self._runtime, self.id))

    def resize(self, rows: int, columns: int) -> None:
        """Set the size of its terminal. Raises ``ExecStateError`` if it does not run."""
        from wherry.oci import attach

        self._require(sessions.RUNNING, "resize")
        attach.resize(directory_of(self._runtime, self.id), rows, columns)

    def stop(self, timeout: float = 10.0) -> None:
        """End its process: the container's stop signal, after *timeout* seconds SIGKILL. Raises ``ExecStateError``."""
        from wherry.engine.signals import send_to_process
        from wherry.sys.processes import SIGKILL, wait_gone

        session = self._require(sessions.RUNNING, "stop")
        signal = self._runtime.state.container_config(self.container_id).stop_signal
        if timeout > 0:
            send_to_process(session.pid, session.pid_start, signal)
        if timeout <= 0 or not wait_gone(session.pid, session.pid_start, timeout):
            send_to_process(session.pid, session.pid_start, SIGKILL)
            if not wait_gone(session.pid, session.pid_start, KILL_TIMEOUT):
                raise TimedOut(f"exec session {self.id}: process {session.pid} did not die of SIGKILL")

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; returns the exit code. Raises ``TimedOut``, ``ExecStateError`` if it was not started."""
        import time

        from wherry.sys.processes import wait_gone

        session = self.record()
        if session.state == sessions.CREATED:
            raise ExecStateError(f"exec session {self.id} was not started")
        deadline = None if timeout is None else time.monotonic() + timeout
        while session.state == sessions.RUNNING:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise TimedOut(f"exec session {self.id} runs after {timeout:g} seconds")
            if wait_gone(session.pid, session.pid_start, left):
                time.sleep(0.005)       # until its conmon has told of it
            session = self.record()
        return session.exit_code

    def remove(self, *, force: bool = False) -> None:
        """Forget it; with *force* also if it runs, which kills it. Raises ``ExecStateError``."""
        session = self.record()
        if session.state == sessions.RUNNING:
            if not force:
                raise ExecStateError(f"cannot remove exec session {self.id} as it is still running")
            self.stop(0)
            self.wait(KILL_TIMEOUT)
        try:
            self._runtime.state.remove_exec(self.id)
        except NotFound:
            return
        remove_tree(directory_of(self._runtime, self.id))

    def inspect(self) -> dict[str, Any]:
        """The tree of ``GET /exec/ID/json``."""
        session = self.record()
        config = session.config
        command = list(config.command)
        return {
            "CanRemove": session.state != sessions.RUNNING,
            "ContainerID": session.container_id,
            "DetachKeys": config.detach_keys or "",
            "ExitCode": session.exit_code,
            "ID": session.id,
            "OpenStderr": config.attach_stderr,
            "OpenStdin": config.attach_stdin,
            "OpenStdout": config.attach_stdout,
            "Running": session.state == sessions.RUNNING,
            "Pid": session.pid,
            "ProcessConfig": {
                "arguments": command[1:],
                "entrypoint": command[0] if command else "",
                "privileged": config.privileged,
                "tty": config.terminal,
                "user": config.user,
            },
        }

    def _require(self, state: str, what: str) -> ExecSession:
        session = self.record()
        if session.state != state:
            raise ExecStateError(
                f"exec session {self.id} is {session.state}, can only {what} {state} exec sessions"
            )
        return session

    def __repr__(self) -> str:
        return f"<Exec {self.id[:12]} of {self.container_id[:12]}>"


def create(runtime: Runtime, container: str, config: ExecConfig) -> Exec:
    """Record a session to be started later. Raises ``StateError`` if the container does not run."""
    with runtime.lock(container) as held:
        if held.state.status != status.RUNNING:
            raise StateError("can only create exec sessions on running containers: container state improper")
        forget_dead(runtime, container)
        identity = generate_id()
        config = config.replace(exit_command=execs.exit_words(runtime, container, identity))
        runtime.state.add_exec(
            ExecSession(id=identity, container_id=container, state=sessions.CREATED, kept=True, config=config)
        )
    return Exec(runtime, container, identity)


def find(runtime: Runtime, text: str) -> Exec:
    """The session with this id or unique beginning of one. Raises ``NoSuchExecSession``."""
    container, identity = runtime.state.exec_container(text)
    return Exec(runtime, container, identity)
