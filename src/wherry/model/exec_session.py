"""Exec sessions: a further process in a running container (libpod ``ExecSession``)."""

from __future__ import annotations

from wherry.model.record import EMPTY, Record, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CREATED = "created"
RUNNING = "running"
STOPPED = "stopped"
UNKNOWN = "unknown"


class ExecConfig(Record):
    command: Sequence[str] = ()
    terminal: bool = field(default=False, key="tty")
    attach_stdin: bool = field(default=False, key="attachStdin")
    attach_stdout: bool = field(default=False, key="attachStdout")
    attach_stderr: bool = field(default=False, key="attachStderr")
    detach_keys: str | None = field(default=None, key="detachKeys")
    environment: Mapping[str, str] = field(default=EMPTY, key="environment")
    privileged: bool = False
    user: str = ""
    workdir: str = field(default="", key="workDir")
    preserve_fds: int = field(default=0, key="preserveFds")
    preserve_fd: Sequence[int] = field(default=(), key="preserveFd")
    exit_command: Sequence[str] = field(default=(), key="exitCommand")
    exit_command_delay: int = field(default=0, key="exitCommandDelay")     # seconds
    is_healthcheck: bool = field(default=False, key="isHealthCheck")


class ExecSession(Record, mutable=True):
    id: str = ""
    container_id: str = field(default="", key="containerID")
    state: str = CREATED
    pid: int = 0
    pid_start: int = 0                 # start time of pid in clock ticks: tells a reused pid from ours
    owner_pid: int = 0                 # process that started the session and is going to finish it
    owner_start: int = 0
    exit_code: int = field(default=0, key="exitCode")
    kept: bool = False                 # made by itself: stays after its end, for its exit code to be asked for
    finished_ns: int = 0               # when it ended (ns since the epoch)
    config: ExecConfig = field(default=ExecConfig(), record=ExecConfig)
