"""exec: a further process in a running container."""

from __future__ import annotations

import os

from wherry.engine.exec_sessions import LOST_EXIT_CODE, directory_of, forget_dead
from wherry.errors import ExecStateError, NotFound, StateError, TimedOut, WherryError
from wherry.model import exec_session as sessions
from wherry.model import status
from wherry.model.exec_session import ExecConfig, ExecSession
from wherry.model.ids import generate_id
from wherry.model.record import Record
from wherry.model.timestamps import now_ns
from wherry.oci import exec as oci_exec
from wherry.sys.processes import start_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from wherry.engine.foreground import Streams
    from wherry.engine.locked import LockedContainer
    from wherry.engine.runtime import Runtime
    from wherry.oci.exec import ExecStarted

NOT_RUNNING = "can only create exec sessions on running containers: container state improper"


class ExecResult(Record):
    """What :meth:`Container.exec` returns. Output is text, undecodable bytes as surrogates."""

    exit_code: int = 0
    stdout: str = ""
    stderr: str = ""


class RunningExec:
    """An exec session whose command runs; finish it exactly once with :meth:`finish`."""

    def __init__(self, runtime: Runtime, held_event: Callable[..., Any], session: ExecSession, at: ExecStarted) -> None:
        self._runtime = runtime
        self._event = held_event
        self.session = session
        self.started = at

    def finish(self) -> int:
        """Wait for the command, forget the session, return the exit code."""
        found = self.started.wait()
        code = LOST_EXIT_CODE if found is None or found.lost else found.code
        self.close(code)
        return code

    def close(self, code: int) -> None:
        from wherry.sys.files import remove_tree

        self.started.close()
        if self.session.kept:
            from wherry.engine.exec_sessions import settle

            try:
                settle(self._runtime, self.session, code)
            except NotFound:
                pass
            return
        try:
            self._runtime.state.remove_exec(self.session.id, self._event("exec_died", exit_code=code))
            self._runtime.publish()
        except NotFound:
            pass        # it went with its container
        remove_tree(directory_of(self._runtime, self.session.id))


def start(
    runtime: Runtime,
    identity: str,
    config: ExecConfig,
    *,
    session: str = "",
    attach: bool = True,
    size: tuple[int, int] | None = None,
) -> RunningExec:
    """Record a session and start its command, attached before it runs.

    Raises ``StateError`` if the container does not run and ``RuntimeFailed`` and its kin if the command cannot be run;
    no session stays then.
    """
    runtime.warm_up()
    with runtime.lock(identity) as held:
        if not status.can(held.state.status, status.EXEC):
            raise StateError(NOT_RUNNING)
        forget_dead(runtime, identity)
        record = ExecSession(
            id=session or generate_id(), container_id=identity, state=sessions.RUNNING, config=config,
            owner_pid=os.getpid(), owner_start=start_time(os.getpid()),
        )
        prepared = _Prepared(held, record, attach, size)
        runtime.state.add_exec(record, held.event("exec"))
    try:
        return prepared.begin()
    finally:
        runtime.cool_down()


def start_created(
    runtime: Runtime, container: str, session: str, *, attach: bool = True, size: tuple[int, int] | None = None
) -> RunningExec:
    """Start a session that was made before. Raises as :func:`start` does, and ``ExecStateError``."""
    with runtime.lock(container) as held:
        if held.state.status != status.RUNNING:
            raise StateError("can only start exec sessions when their container is running: container state improper")
        record = runtime.state.exec_session(session)
        if record.state != sessions.CREATED:
            raise ExecStateError(
                f'can only start created exec sessions, while container {container} session {session} state is '
                f'"{record.state}"'
            )
        prepared = _Prepared(held, record, attach, size)
        record.state = sessions.RUNNING
        record.owner_pid, record.owner_start = os.getpid(), start_time(os.getpid())
        runtime.state.save_exec(record, held.event("exec"))
    return prepared.begin()


class _Prepared:
    """What starting a session needs, gathered while the container is locked; it is started without the lock."""

    def __init__(
        self, held: LockedContainer, record: ExecSession, attach: bool, size: tuple[int, int] | None
    ) -> None:
        runtime, config = held.runtime, record.config
        self._runtime = runtime
        self._record = record
        self._event = held.event
        self._oci = runtime.oci_runtime(held.state.runtime)
        self._launch = oci_exec.ExecLaunch(
            session=record.id,
            container=held.id,
            name=held.name,
            directory=directory_of(runtime, record.id),
            process=process_spec(held, config),
            attach=attach,
            stdin=config.attach_stdin,
            size=size,
            exit_command=config.exit_command,
            exit_delay=config.exit_command_delay,
            preserve_fds=max((config.preserve_fds, *(number - 2 for number in config.preserve_fd))),
            env=_environment(runtime),
        )
        #: Numbers below the highest one to hand on that are not to be.
        self._gaps = [
            number for number in range(3 + config.preserve_fds, 3 + self._launch.preserve_fds)
            if number not in config.preserve_fd
        ]

    def begin(self) -> RunningExec:
        """Run the command of the session, which is recorded as running. If that fails a kept one is stopped, another
        forgotten.
        """
        runtime, record = self._runtime, self._record
        nothing = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC) if self._gaps else -1
        try:
            launch = self._launch.replace(fds=dict.fromkeys(self._gaps, nothing))
            started = oci_exec.start(runtime.conmon_path, self._oci, launch)
        except BaseException as error:
            _not_begun(runtime, record, error)
            raise
        finally:
            if nothing >= 0:
                os.close(nothing)
        if record.kept:
            _note_process(runtime, record, started)
        if not launch.attach and runtime.settings.engine.cgroup_manager == "systemd":
            from wherry.engine.systemd_units import settle_exec_monitor

            settle_exec_monitor(runtime, record.container_id, started.conmon_pid)
        runtime.publish()
        return RunningExec(runtime, self._event, record, started)


def _note_process(runtime: Runtime, record: ExecSession, started: ExecStarted) -> None:
    """Store the process of a kept session, unless it has ended by now and that is stored already."""
    with runtime.state.transaction():
        stored = runtime.state.exec_session(record.id)
        if stored.state == sessions.RUNNING:
            stored.pid, stored.pid_start = started.pid, started.pid_start
            runtime.state.save_exec(stored)


def _not_begun(runtime: Runtime, record: ExecSession, error: BaseException) -> None:
    try:
        if record.kept:
            record.state = sessions.STOPPED
            record.exit_code = error.exit_code if isinstance(error, WherryError) else LOST_EXIT_CODE
            record.finished_ns = now_ns()
            runtime.state.save_exec(record)
        else:
            runtime.state.remove_exec(record.id)
    except NotFound:
        pass        # it went with its container


def _environment(runtime: Runtime) -> list[str]:
    from wherry.engine.exit_command import environment

    return environment(runtime)


def process_spec(held: LockedContainer, config: ExecConfig) -> dict[str, Any]:
    """The OCI ``process`` of a session: the container's, with what was asked for instead."""
    from wherry.engine import rootfs_files
    from wherry.spec import users

    base: Mapping[str, Any] = held.config.spec["process"]
    process = {key: value for key, value in base.items() if key not in ("consoleSize", "rlimits")}
    process["args"] = list(config.command)
    process["terminal"] = config.terminal
    if config.workdir:
        process["cwd"] = config.workdir
    root = f"/proc/{held.state.pid}/root"
    try:
        passwd = rootfs_files.read_text(root, "etc/passwd")
        group = rootfs_files.read_text(root, "etc/group")
    except FileNotFoundError:       # the process ended since the lock was taken
        raise StateError(NOT_RUNNING) from None
    user = users.resolve(config.user or held.config.user, passwd, group)
    groups = list(user.groups) if config.user else [*user.groups, *users.group_ids(held.config.groups, group)]
    process["user"] = {"uid": user.uid, "gid": user.gid}
    if groups:
        process["user"]["additionalGids"] = groups
    process["env"] = _variables(held, config, user.home)
    process["capabilities"] = _capabilities(held, config, user.uid)
    if config.privileged:
        process["noNewPrivileges"] = False
    limits = _rlimits(held)
    if limits:
        process["rlimits"] = limits
    return process


def _variables(held: LockedContainer, config: ExecConfig, home: str) -> list[str]:
    """The container's environment, the session's variables on top."""
    found = dict(entry.partition("=")[::2] for entry in held.config.spec["process"].get("env") or ())
    found.setdefault("HOME", home)
    if config.user:
        found["HOME"] = home
    if config.terminal:
        found.setdefault("TERM", "xterm")
    found.update(config.environment)
    return [f"{name}={value}" for name, value in found.items()]


_SETS = ("bounding", "effective", "inheritable", "permitted", "ambient")


def _capabilities(held: LockedContainer, config: ExecConfig, uid: int) -> dict[str, list[str]]:
    """The container's capabilities; all with ``--privileged``; none in effect for an ordinary user.

    The inheritable set stays empty (CVE-2022-27649: a program with file capabilities must not gain what the container
    did not ask for).
    """
    base = held.config.spec["process"].get("capabilities") or {}
    bounding = list(base.get("bounding") or ())
    if config.privileged:
        from wherry.engine.host import host_facts

        bounding = [f"CAP_{name.removeprefix('CAP_')}" for name in host_facts(held.runtime).bounding]
    result: dict[str, list[str]] = {name: [] for name in _SETS}
    result["bounding"] = bounding
    if uid == 0:
        result["effective"] = result["permitted"] = bounding
    elif not config.privileged and not config.user:
        result["effective"] = list(base.get("effective") or ())
        result["permitted"] = list(base.get("permitted") or ())
        result["ambient"] = list(base.get("ambient") or ())
    return result


def _rlimits(held: LockedContainer) -> list[dict[str, Any]]:
    """The limits the container was started with, as the compiled spec has them."""
    from wherry.model import jsontext
    from wherry.sys.files import read_bytes

    try:
        spec = jsontext.loads(read_bytes(held.state.config_path))
    except (OSError, jsontext.JSONError):
        return []
    limits: list[dict[str, Any]] = spec["process"].get("rlimits") or []
    return limits


def run_attached(runtime: Runtime, identity: str, config: ExecConfig, streams: Streams) -> int | str:
    """Run *config* with the caller's descriptors connected; the exit code, or "detached" after the detach keys."""
    from wherry.sys import terminal

    size = terminal.size(streams.stdin) if config.terminal and streams.terminal else None
    return drive(start(runtime, identity, config, size=size), streams)


def drive(running: RunningExec, streams: Streams) -> int | str:
    """Connect the caller's descriptors to a session just started, to its end or the detach keys."""
    from wherry.engine.foreground import DETACHED, pass_through

    attachment = running.started.attachment
    if attachment is not None:
        how = pass_through(attachment, streams)
        if how == DETACHED:
            return DETACHED
    return running.finish()


def run_captured(
    runtime: Runtime, identity: str, config: ExecConfig, input: bytes | None, timeout: float | None
) -> ExecResult:
    """Run *config* to its end and collect its output; see ``Container.exec``."""
    from wherry.engine.deadline import Deadline
    from wherry.engine.signals import send_to_process

    running = start(runtime, identity, config)
    started = running.started
    with Deadline(timeout, lambda: send_to_process(started.pid, started.pid_start, 9)) as deadline:
        result = collect(running, input)
    if deadline.passed:
        raise TimedOut(f"exec session in container {identity} did not end within {timeout:g} seconds and was killed")
    return result


def collect(running: RunningExec, input: bytes | None) -> ExecResult:
    """Feed a session just started *input* and collect what it writes until it ends."""
    out = err = b""
    if running.started.attachment is not None:
        out, err = running.started.attachment.collect(input if input is not None else b"")
    return ExecResult(
        exit_code=running.finish(),
        stdout=out.decode(errors="surrogateescape"),
        stderr=err.decode(errors="surrogateescape"),
    )


def run_detached(runtime: Runtime, identity: str, config: ExecConfig) -> str:
    """Start *config* and leave it running; returns the session's id. The exit command forgets it at its end."""
    session = generate_id()
    config = config.replace(exit_command=exit_words(runtime, identity, session))
    running = start(runtime, identity, config, session=session, attach=False)
    running.started.close()
    return session


def exit_words(runtime: Runtime, identity: str, session: str) -> list[str]:
    """The command conmon runs when the session has ended."""
    from wherry.engine.exit_command import global_words
    from wherry.sys.program import command

    return [*command(), *global_words(runtime), "container", "cleanup", "--exec", session, identity]


def finish(runtime: Runtime, identity: str, session: str) -> None:
    """The exit command of a detached session: remember its exit in an event and forget it."""
    from wherry.engine.exec_sessions import settle
    from wherry.sys.files import remove_tree

    try:
        settle(runtime, runtime.state.exec_session(session))
    except NotFound:
        remove_tree(directory_of(runtime, session))
