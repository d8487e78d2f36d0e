"""Exec sessions: a further process in a running container, with a conmon of its own.

conmon (2.1.6, 2.2.1) with ``--exec --exec-attach``: it reads one byte from ``_OCI_STARTPIPE`` (time to be moved to a
cgroup), serves the attach socket, says so on ``_OCI_ATTACHPIPE``, and its child waits for a second byte before it runs
``RUNTIME exec``.  In between the caller attaches, so no output is lost.  Then the sync pipe brings ``{"data": PID}``,
or a negative number (minus the status when the command already ended) and the runtime's words; and at the end
``{"data": STATUS}``, after the exit file is written.  The exit file is named by the *container's* id, so each session
has an exit directory of its own.  Without ``--exec-attach`` there is no attach pipe and nothing waits.
"""

from __future__ import annotations

import os
import time

from wherry.errors import from_os_error
from wherry.model.jsontext import dumps
from wherry.model.record import EMPTY, Record, field
from wherry.oci import attach
from wherry.oci.conmon import conmon_log_options, exit_options, own_log_options, runtime_arguments
from wherry.oci.exits import Exit, ExitWatch
from wherry.oci.monitor import Handover, Monitor, read_pid
from wherry.sys import processes
from wherry.sys.files import atomic_write, make_dirs, remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from wherry.oci.runtime import OciRuntime


class ExecLaunch(Record):
    """One exec session to start. ``directory`` belongs to the session alone; everything of it lives there."""

    session: str = ""                       # id of the session
    container: str = ""                     # id of the container
    name: str = ""                          # name of the container
    directory: str = ""
    process: Mapping[str, Any] = EMPTY      # ``process`` object of the OCI runtime spec
    attach: bool = True                     # connect before the command starts
    stdin: bool = False                     # keep a pipe to the command's standard input; a terminal has one
    size: tuple[int, int] | None = None     # rows and columns of the terminal to begin with
    exit_command: Sequence[str] = ()
    exit_delay: int = 0                     # seconds between exit and exit command
    conmon_cgroup: str = ""                 # as in Launch
    no_cgroups: bool = False
    preserve_fds: int = 0
    fds: Mapping[int, int] = field(default=EMPTY)
    env: Sequence[str] = ()                 # NAME=VALUE for conmon, runtime and exit command, besides runtime.env
    log_level: str = ""
    syslog: bool = False

    @property
    def terminal(self) -> bool:
        return bool(self.process.get("terminal"))

    @property
    def exit_dir(self) -> str:
        return f"{self.directory}/exit"

    @property
    def runtime_log(self) -> str:
        return f"{self.directory}/oci-log"


class ExecStarted:
    """A session whose command runs. Close it when done; the command goes on."""

    def __init__(
        self, launch: ExecLaunch, monitor: Monitor, pid: int, attachment: attach.Attachment | None
    ) -> None:
        self.pid = pid
        self.pid_start = processes.start_time(pid)          # 0 when it has ended by now
        self.conmon_pid = monitor.conmon_pid()
        self.conmon_start = processes.start_time(self.conmon_pid) if self.conmon_pid else 0
        self.attachment = attachment
        self._launch = launch
        self._monitor = monitor
        self._exit: Exit | None = None

    def wait(self, timeout: float | None = None) -> Exit | None:
        """How the command ended, or None when *timeout* seconds pass first. It comes through the sync pipe."""
        if self._exit is None and self._monitor.sync.ready(timeout):
            message = self._monitor.sync.read()
            if message is None:     # conmon was killed
                with self.watch() as watch:
                    self._exit = watch.wait(timeout)
            else:
                self._exit = Exit(code=message.data, time_ns=time.time_ns())
        return self._exit

    def watch(self) -> ExitWatch:
        """Waits for the same end as a process does that did not start the session."""
        return watch_session(
            self._launch.directory, self._launch.container, pid=self.pid if self.pid_start else 0,
            pid_start=self.pid_start, conmon_pid=self.conmon_pid, conmon_start=self.conmon_start,
        )

    def close(self) -> None:
        if self.attachment is not None:
            self.attachment.close()
        self._monitor.close()


def watch_session(
    directory: str, container: str, *, pid: int, pid_start: int = 0, conmon_pid: int = 0, conmon_start: int = 0
) -> ExitWatch:
    """Wait for the session that lives in *directory*."""
    return ExitWatch(
        f"{directory}/exit", container, directory, pid=pid, pid_start=pid_start, conmon_pid=conmon_pid,
        conmon_start=conmon_start,
    )


def start(conmon_path: str, runtime: OciRuntime, launch: ExecLaunch) -> ExecStarted:
    """Start the command of *launch* in its container.

    Raises :class:`wherry.errors.RuntimeFailed` (or its subclasses for a command that is missing or may not be run);
    the session's directory is removed then.
    """
    try:
        _prepare(launch)
    except OSError as error:
        remove_tree(launch.directory)
        raise from_os_error(error, "preparing exec session") from error
    monitor = None
    attachment = None
    try:
        monitor = Monitor(
            exec_arguments(conmon_path, runtime, launch),
            Handover(runtime.env, launch.env, launch.fds, launch.preserve_fds),
            directory=launch.directory,
            pid_file=f"{launch.directory}/conmon.pid",
            attach=launch.attach,
            cgroup=launch.conmon_cgroup,
        )
        attachment = _attach(monitor, launch)
        return ExecStarted(launch, monitor, monitor.answer(runtime.name, launch.runtime_log), attachment)
    except BaseException:
        _abandon(launch, monitor, attachment)
        raise


def _prepare(launch: ExecLaunch) -> None:
    make_dirs(launch.exit_dir)
    process = dict(launch.process)
    if launch.size is not None and launch.terminal:
        # Through the ctl fifo the size could come after the command has looked.
        process["consoleSize"] = {"height": launch.size[0], "width": launch.size[1]}
    data = dumps(process).encode("utf-8", "surrogateescape")
    atomic_write(f"{launch.directory}/process.json", data, 0o600, sync=False)


def _attach(monitor: Monitor, launch: ExecLaunch) -> attach.Attachment | None:
    """Wait until conmon serves the session, connect, and let the command start."""
    if monitor.attach is None:
        return None
    if monitor.attach.read() is None:
        return None         # conmon is gone; the sync pipe says why
    attachment = attach.connect(launch.directory)
    monitor.release()
    return attachment


def _abandon(launch: ExecLaunch, monitor: Monitor | None, attachment: attach.Attachment | None) -> None:
    if attachment is not None:
        attachment.close()
    if monitor is not None:
        monitor.kill()
        monitor.close()
        pid = read_pid(f"{launch.directory}/pidfile")
        if pid:
            try:
                os.kill(pid, processes.SIGKILL)
            except ProcessLookupError:
                pass
    remove_tree(launch.directory)


def exec_arguments(conmon_path: str, runtime: OciRuntime, launch: ExecLaunch) -> list[str]:
    """conmon's command line for a session (conmon(8))."""
    directory = launch.directory
    argv = [
        conmon_path, "--api-version", "1", "--cid", launch.container, "--cuuid", launch.session, "--name", launch.name,
        "--runtime", runtime.path, "--bundle", directory, "--full-attach", "--exec",
        "--exec-process-spec", f"{directory}/process.json", "--exit-dir", launch.exit_dir,
        "--container-pidfile", f"{directory}/pidfile", "--conmon-pidfile", f"{directory}/conmon.pid",
    ]
    argv += conmon_log_options("none", "")
    argv += runtime_arguments(runtime, launch.runtime_log, no_cgroups=launch.no_cgroups)
    if launch.attach:
        argv.append("--exec-attach")
    if launch.terminal:
        argv.append("--terminal")
    elif launch.stdin:
        argv.append("--stdin")
    if launch.preserve_fds > 0:
        argv += ["--runtime-opt", "--preserve-fds", "--runtime-opt", str(launch.preserve_fds)]
    return argv + own_log_options(launch.log_level, launch.syslog) + exit_options(
        launch.exit_command, launch.exit_delay
    )
