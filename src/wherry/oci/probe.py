"""A short command run in a container by the OCI runtime itself, without conmon: a health check.

``RUNTIME exec --process FILE ID`` stays as long as the command does and ends with its exit status (crun, runc alike).
Nobody attaches to it and nothing has to outlive the caller, so a monitor would only cost time and memory.

Both give the command a session of its own, so one that takes too long is killed together with what it started.  The
runtime's own complaints go to its log, which tells a command that failed from one that could not be run.
"""

from __future__ import annotations

import os
import select
import time

from wherry.errors import from_os_error
from wherry.model.jsontext import dumps
from wherry.model.record import EMPTY, Record
from wherry.oci.failures import logged
from wherry.oci.monitor import read_pid
from wherry.sys import processes
from wherry.sys.files import atomic_write, make_dirs, remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from wherry.oci.runtime import OciRuntime

_CHUNK = 65536
#: Bytes of output that are kept when there is no limit; the rest is read and thrown away.
MOST_OUTPUT = 1 << 20
#: Seconds a killed command, and then the runtime, get to end.
_DEATH = 5.0
_GRANULARITY = 0.02


class Probe(Record):
    """What to run. ``directory`` belongs to this run alone and is removed with it."""

    container: str = ""
    directory: str = ""
    process: Mapping[str, Any] = EMPTY      # ``process`` object of the OCI runtime spec, without a terminal
    timeout: float = 0                      # seconds, 0 for no limit
    most_output: int = MOST_OUTPUT          # bytes
    unseen: bool = False                    # keep the runtime's mounts to itself; takes root


class Outcome(Record):
    """How it ended: ``code`` is the exit status, -1 after the timeout; ``failure`` what the runtime could not do."""

    code: int = 0
    output: bytes = b""                     # standard output and error as they came
    timed_out: bool = False
    failure: str = ""


def run(runtime: OciRuntime, probe: Probe) -> Outcome:
    """Run the probe to its end or its timeout. Raises a :class:`wherry.errors.WherryError` when it cannot be tried."""
    try:
        make_dirs(probe.directory)
        data = dumps(dict(probe.process)).encode("utf-8", "surrogateescape")
        atomic_write(f"{probe.directory}/process.json", data, sync=False)
        return _Run(runtime, probe).finish()
    except OSError as error:
        raise from_os_error(error, "running health check") from error
    finally:
        remove_tree(probe.directory)


def kill_left(directory: str) -> None:
    """End the command of a probe whose wherry was killed, and remove what is left of it."""
    pid = read_pid(f"{directory}/pid")
    if pid and directory in " ".join(processes.arguments(processes.parent(pid))):
        _kill_group(pid)
    remove_tree(directory)


class _Run:
    """The runtime at work on one probe."""

    def __init__(self, runtime: OciRuntime, probe: Probe) -> None:
        self._probe = probe
        self._log = f"{probe.directory}/log"
        self._pid_file = f"{probe.directory}/pid"
        self._deadline = time.monotonic() + probe.timeout if probe.timeout > 0 else None
        self._output: list[bytes] = []
        self._left = probe.most_output
        argv = [
            *(_unseen() if probe.unseen else ()),
            runtime.path, "--log", self._log, *(("--log-format=json",) if runtime.supports_json else ()),
            *runtime.arguments(), "exec", "--process", f"{probe.directory}/process.json", "--pid-file", self._pid_file,
            probe.container,
        ]
        self._pipe, writer = os.pipe()
        null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._pid = processes.spawn(
                argv, env=runtime.env, fds={0: null, 1: writer, 2: writer}, new_session=True
            )
        except BaseException:
            os.close(self._pipe)
            raise
        finally:
            os.close(null)
            os.close(writer)

    def finish(self) -> Outcome:
        pidfd = os.pidfd_open(self._pid)
        try:
            os.set_blocking(self._pipe, False)
            timed_out = not self._wait(pidfd, self._deadline)
            if timed_out:
                self._kill(pidfd)
            self._drain()
            status = processes.wait(self._pid)
        except BaseException:               # an interrupt: nothing is left running
            self._kill(pidfd)
            processes.wait(self._pid)
            raise
        finally:
            os.close(pidfd)
            os.close(self._pipe)
        output = b"".join(self._output)
        if timed_out:
            return Outcome(code=-1, output=output, timed_out=True)
        failure = logged(self._log) if status else ""
        return Outcome(code=status, output=output, failure=failure)

    def _wait(self, pidfd: int, deadline: float | None) -> bool:
        """Read the output until the runtime has ended; False when the deadline comes first."""
        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        poller.register(self._pipe, select.POLLIN)
        while True:
            left = None if deadline is None else max(0.0, (deadline - time.monotonic()) * 1000)
            ready = dict(poller.poll(left))
            if self._pipe in ready and self._drain():
                poller.unregister(self._pipe)
            if pidfd in ready:
                return True
            if not ready and left is not None:
                return False

    def _drain(self) -> bool:
        """Take what is there; True at the end of the stream."""
        while True:
            try:
                chunk = os.read(self._pipe, _CHUNK)
            except BlockingIOError:
                return False
            if not chunk:
                return True
            if self._left > 0:
                self._output.append(chunk[:self._left])
                self._left -= len(chunk)

    def _kill(self, pidfd: int) -> None:
        """Kill the command with its group and wait for the runtime to see it; then the runtime, should it not.

        A runtime that has only just begun is given time to say what it started: killed first, it would leave that.
        """
        last = time.monotonic() + _DEATH
        while time.monotonic() < last:
            pid = read_pid(self._pid_file)
            if pid and processes.parent(pid) == self._pid:
                _kill_group(pid)
                if self._wait(pidfd, time.monotonic() + _DEATH):
                    return
                break
            if self._wait(pidfd, time.monotonic() + _GRANULARITY):
                return
        os.killpg(self._pid, processes.SIGKILL)


def _unseen() -> list[str]:
    """Words that give what follows a mount namespace of its own.

    Against CVE-2019-5736, crun and runc mount themselves somewhere for a moment each time they run, and systemd notes
    every mount it sees come and go in the journal.
    """
    program = processes.find_program("unshare")
    return [program, "--mount", "--propagation", "slave", "--"] if program else []


def _kill_group(pid: int) -> None:
    """Kill the command *pid* with the process group it was started in: the first one of a session made for it."""
    try:
        group = os.getpgid(pid)
        if group == os.getsid(pid) != os.getsid(0):
            os.killpg(group, processes.SIGKILL)
        os.kill(pid, processes.SIGKILL)
    except ProcessLookupError:
        pass
