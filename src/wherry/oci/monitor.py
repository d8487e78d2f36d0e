"""Starting conmon and hearing from it: what creating a container and an exec session have in common."""

from __future__ import annotations

import os
import select

from wherry.errors import InternalError, RuntimeFailed, from_os_error
from wherry.model.jsontext import JSONError, loads
from wherry.oci.failures import classify, logged
from wherry.sys import cgroups, processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Seconds conmon may take for one answer (libpod's ContainerCreateTimeout).
ANSWER_TIMEOUT = 240.0
_CHUNK = 16384
_DEATH_TIMEOUT = 5.0        # seconds a killed process may take to end
_NO_ANSWER = 'container create failed (no logs from conmon): conmon bytes "": unexpected end of JSON input'


class Message:
    """One line conmon wrote: a number (pid, exit status, or below zero for failure) and the runtime's words."""

    __slots__ = ("data", "text")

    def __init__(self, data: int, text: str) -> None:
        self.data = data
        self.text = text


class Channel:
    """The reading end of a pipe conmon answers on, one JSON object per line (``{"data": N, "message": "..."}``)."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._rest = b""

    def ready(self, timeout: float | None) -> bool:
        """Wait up to *timeout* seconds for a message or the end of file."""
        if self._rest:
            return True
        poller = select.poll()
        poller.register(self._fd, select.POLLIN)
        return bool(poller.poll(None if timeout is None else timeout * 1000))

    def read(self) -> Message | None:
        """The next message, or None at end of file. Raises :class:`wherry.errors.RuntimeFailed` for anything else."""
        while b"\n" not in self._rest:
            chunk = os.read(self._fd, _CHUNK)
            if not chunk:
                return None
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        try:
            entry = loads(line.decode("utf-8", "replace"))
            return Message(int(entry["data"]), str(entry.get("message", "")))
        except (JSONError, AttributeError, KeyError, TypeError, ValueError):
            raise RuntimeFailed(f"container create failed (no logs from conmon): conmon bytes {line!r}") from None

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class Handover:
    """The descriptors and the environment a conmon gets, and our copies of what only it is to keep."""

    def __init__(self, base: Mapping[str, str], env: Sequence[str], fds: Mapping[int, int], preserve_fds: int) -> None:
        """``base`` and the NAME=VALUE lines of ``env`` make the environment; ``fds`` maps conmon's numbers to ours;
        the container gets those from 3 on, as many as ``preserve_fds``: ours of the same number where ``fds`` does
        not say otherwise, /dev/null for one that is closed here.
        """
        self.env = {**base, **dict(line.partition("=")[::2] for line in env)}
        # A gap would be filled by what conmon or the runtime opens next, and that handed to the container.
        preserved = {number: number if _is_open(number) else -1 for number in range(3, 3 + preserve_fds)}
        self.null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        self._given = [self.null]
        self._kept: list[int] = []
        self.fds = {**{number: self.null if fd < 0 else fd for number, fd in preserved.items()}, **fds}

    def pipe(self, variable: str, *, conmon_reads: bool) -> int:
        """Make a pipe whose one end conmon finds through an environment *variable*; the other end is ours to close."""
        reader, writer = os.pipe()
        theirs, ours = (reader, writer) if conmon_reads else (writer, reader)
        number = max(self.fds, default=2) + 1
        self.fds[number] = theirs
        self.env[variable] = str(number)
        self._given.append(theirs)
        self._kept.append(ours)
        return ours

    def silence(self) -> int:
        """Give conmon no input, and a pipe for what it prints; our end of that."""
        reader, writer = os.pipe()
        self._given.append(writer)
        self._kept.append(reader)
        self.fds.update({0: self.null, 1: writer, 2: writer})
        return reader

    def close(self) -> None:
        """Drop our copies, so that conmon's death is seen as end of file."""
        for fd in self._given:
            os.close(fd)
        self._given = []

    def abort(self) -> None:
        """Close our ends of the pipes too: conmon could not be started."""
        for fd in self._kept:
            os.close(fd)
        self._kept = []


class Monitor:
    """A conmon being started.

    conmon forks once and its first process ends as soon as the second runs, so the second is nobody's child here and
    this process never has to wait for it.  What the first prints says why conmon itself refused (a bad option, an
    unwritable log); with the log driver *passthrough* it has our standard streams instead and hands them on.
    """

    def __init__(
        self,
        argv: Sequence[str],
        handover: Handover,
        *,
        directory: str,
        pid_file: str,
        passthrough: bool = False,
        attach: bool = False,
        cgroup: str = "",
    ) -> None:
        """Start conmon in *directory* (old versions drop their ``oom`` file there); it writes its pid to *pid_file*.

        ``attach`` makes the pipe on which an exec session says that it can be attached to.  ``cgroup`` is a cgroup
        path conmon is moved into before it starts anything.  *handover* is used up.  Raises a
        :class:`wherry.errors.WherryError` when conmon cannot be executed.
        """
        self.pid_file = pid_file
        self._pid = 0
        self._released = not (attach or cgroup)
        try:
            self.sync = Channel(handover.pipe("_OCI_SYNCPIPE", conmon_reads=False))
            self.attach = Channel(handover.pipe("_OCI_ATTACHPIPE", conmon_reads=False)) if attach else None
            self._start = -1 if self._released else handover.pipe("_OCI_STARTPIPE", conmon_reads=True)
            self._output = -1 if passthrough else handover.silence()
            self._pid = processes.spawn(
                argv, env=handover.env, cwd=directory, fds=handover.fds, new_session=True
            )
            if cgroup:
                cgroups.create(cgroup)
                cgroups.move(cgroup, self._pid)
        except BaseException as error:
            self.kill()
            handover.abort()
            if isinstance(error, OSError):
                raise from_os_error(error, "starting conmon") from error
            raise
        finally:
            handover.close()
        self.release()

    def release(self) -> None:
        """Write the byte conmon (and the second time its exec child) waits for, if it does."""
        self._released = True
        if self._start >= 0:
            try:
                os.write(self._start, b"x")
            except BrokenPipeError:     # it is gone already; the sync pipe tells
                pass

    def answer(self, runtime: str, runtime_log: str) -> int:
        """The pid of the process conmon started.

        Raises :class:`wherry.errors.RuntimeFailed` with what the runtime named *runtime* said, in its log or through
        conmon, and :class:`wherry.errors.InternalError` when conmon does not answer at all.
        """
        if not self.sync.ready(ANSWER_TIMEOUT):
            raise InternalError("container creation timeout: internal libpod error")
        message = self.sync.read()
        if message is not None and message.data >= 0:
            self._reap()
            return message.data
        text = logged(runtime_log) or (message.text if message else "")
        if text:
            raise classify(runtime, text)
        raise RuntimeFailed("container create failed: internal libpod error" if message else self._no_answer())

    def _no_answer(self) -> str:
        """What to say when conmon ended without a word on the sync pipe."""
        if self._output < 0:
            return _NO_ANSWER
        os.set_blocking(self._output, False)
        try:
            said = os.read(self._output, _CHUNK).decode("utf-8", "replace").strip()
        except BlockingIOError:
            said = ""
        return f"conmon failed: {said}" if said else _NO_ANSWER

    def conmon_pid(self) -> int:
        """The pid of the conmon that stays; 0 while it has not written its pid file."""
        return read_pid(self.pid_file)

    def _reap(self) -> None:
        """Wait for the first process; by now the second has spoken, so this does not block."""
        if self._pid:
            pid, self._pid = self._pid, 0
            processes.wait(pid)

    def kill(self) -> None:
        """End conmon and what it has running outside the container: the runtime, or already the exit command."""
        if self._pid:
            # Let the first process write the pid file and end by itself, or the second would be lost sight of.
            if not self._released or not processes.wait_gone(self._pid, timeout=1):
                os.killpg(self._pid, processes.SIGKILL)
            self._reap()
        conmon = self.conmon_pid()
        if conmon:
            group = _group(conmon)
            for send in (os.killpg, os.kill):       # it leads a group of its own, a moment after its birth
                try:
                    send(conmon, processes.SIGKILL)
                except ProcessLookupError:
                    pass
            for pid in {conmon, *group}:
                _wait_dead(pid)

    def close(self) -> None:
        """Close every descriptor. conmon and the container go on."""
        self.sync.close()
        if self.attach is not None:
            self.attach.close()
        for fd in (self._output, self._start):
            if fd >= 0:
                os.close(fd)
        self._output = self._start = -1


def _group(leader: int) -> list[int]:
    """The processes of a process group, whether or not its leader is alive."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if os.getpgid(int(name)) == leader:
                    found.append(int(name))
            except ProcessLookupError:
                pass
    return found


def _wait_dead(pid: int) -> None:
    """Wait for a killed process, all its threads: a runtime goes on making cgroups until the last one is dead."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    poller.poll(_DEATH_TIMEOUT * 1000)
    os.close(pidfd)


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def read_pid(path: str) -> int:
    """The pid in a pid file, 0 when there is none."""
    try:
        with open(path, "rb") as file:
            return int(file.read(32) or 0)
    except (OSError, ValueError):
        return 0
