"""Child processes and facts about other processes."""

from __future__ import annotations

import _signal  # the C part of signal, without enum
import errno
import os
import select
import time

from wherry.errors import TimedOut
from wherry.model.record import Record
from wherry.sys.files import read_all, read_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Where programs are looked for when no PATH is given.
STANDARD_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")

SIGKILL: int = _signal.SIGKILL
_PYTHON_IGNORES: tuple[int, ...] = (_signal.SIGPIPE, _signal.SIGXFSZ)
_PIPE_CHUNK = 65536
_boot_id = ""


class Completed(Record):
    """A process that ended. ``returncode`` is the exit status, or minus the number of the signal that killed it."""

    returncode: int = 0
    stdout: bytes = b""
    stderr: bytes = b""


def spawn(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: str = "",
    fds: Mapping[int, int] | None = None,
    new_session: bool = False,
) -> int:
    """Start *argv* and return its pid; the caller must wait for it.

    The child gets descriptors 0, 1 and 2 and those of *fds* (child number -> our number), nothing else.  Signal
    dispositions Python changed and the signal mask are reset.  ``env`` None hands on our own environment.  A program
    name without a slash is searched in the standard directories.  Raises :class:`OSError` when it cannot be executed.
    """
    program = argv[0] if "/" in argv[0] else find_program(argv[0])
    if not program:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), argv[0])
    environment = os.environ if env is None else env
    wanted = fds or {}
    moves, temporary = _plan_moves(wanted)
    try:
        keep = {0, 1, 2, *wanted}
        close = [fd for fd in _inheritable() if fd not in keep]
        if cwd:
            return _fork_in(cwd, program, argv, environment, moves, close, new_session)
        actions: list[tuple[int, ...]] = [(os.POSIX_SPAWN_DUP2, ours, child) for child, ours in moves]
        actions += [(os.POSIX_SPAWN_CLOSE, fd) for fd in close]
        return os.posix_spawn(
            program, tuple(argv), environment, file_actions=actions, setsid=new_session, setsigmask=(),
            setsigdef=_PYTHON_IGNORES,
        )
    finally:
        for fd in temporary:
            os.close(fd)


def _plan_moves(wanted: Mapping[int, int]) -> tuple[list[tuple[int, int]], list[int]]:
    """Moves (child number, our number) safe to do one after the other, and the duplicates made for that.

    A descriptor that an earlier move would overwrite is first duplicated out of the way.
    """
    moves = []
    temporary = []
    for child, ours in wanted.items():
        if child != ours and ours in wanted:
            import fcntl

            ours = fcntl.fcntl(ours, fcntl.F_DUPFD_CLOEXEC, max(wanted) + 1)
            temporary.append(ours)
        moves.append((child, ours))
    return moves, temporary


def _inheritable() -> list[int]:
    """Open descriptors above 2 that an exec would pass on: Python makes none, but our parent may have."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        fd = int(name)
        if fd > 2:
            try:
                if os.get_inheritable(fd):
                    found.append(fd)
            except OSError:     # the listing's own descriptor
                pass
    return found


def _fork_in(
    cwd: str,
    program: str,
    argv: Sequence[str],
    environment: Mapping[str, str],
    moves: list[tuple[int, int]],
    close: list[int],
    new_session: bool,
) -> int:
    """fork, chdir, exec: posix_spawn cannot change the directory. A failure comes back through a pipe."""
    reader, writer = os.pipe()
    report = max([writer, *(child for child, _ in moves)]) + 1
    import fcntl

    moved = fcntl.fcntl(writer, fcntl.F_DUPFD_CLOEXEC, report)
    os.close(writer)
    pid = os.fork()
    if pid == 0:
        try:
            if new_session:
                os.setsid()
            os.chdir(cwd)
            for child, ours in moves:
                os.dup2(ours, child) if child != ours else os.set_inheritable(child, True)
            for fd in close:
                os.close(fd)
            for number in _PYTHON_IGNORES:
                _signal.signal(number, _signal.SIG_DFL)
            _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
            os.execve(program, tuple(argv), environment)
        except OSError as error:
            os.write(moved, f"{error.errno} {error.filename or ''}".encode())
        finally:
            os._exit(127)
    os.close(moved)
    try:
        failure = read_all(reader).decode()
    finally:
        os.close(reader)
    if failure:
        os.waitpid(pid, 0)
        code, _, path = failure.partition(" ")
        raise OSError(int(code), os.strerror(int(code)), path or program)
    return pid


def wait(pid: int) -> int:
    """Wait for a child; its exit status, or minus the number of the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def run(
    argv: Sequence[str],
    *,
    input: bytes = b"",
    env: Mapping[str, str] | None = None,
    cwd: str = "",
    fds: Mapping[int, int] | None = None,
    timeout: float | None = None,
) -> Completed:
    """Run *argv* to its end with *input* on its standard input and collect what it writes.

    Returns once the process itself has ended, even when a descendant still holds its output open.  After *timeout*
    seconds the process is killed and :class:`wherry.errors.TimedOut` raised.  Raises :class:`OSError` when it cannot
    be executed.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    talk = _Conversation(input)
    try:
        talk.pid = spawn(argv, env=env, cwd=cwd, fds={**(fds or {}), **talk.theirs})
        status = talk.finish(deadline)
        if status is None:
            raise TimedOut(f"{argv[0]} did not finish within {timeout:g} seconds")
        return Completed(returncode=status, stdout=b"".join(talk.output[0]), stderr=b"".join(talk.output[1]))
    finally:
        talk.close()


class _Conversation:
    """Feeding one child and draining its two pipes until it ends; :meth:`close` leaves no descriptor and no child."""

    def __init__(self, data: bytes) -> None:
        self.pid = 0
        self.output: tuple[list[bytes], list[bytes]] = ([], [])
        self.theirs: dict[int, int] = {}
        self.into = -1
        self.data = memoryview(data)
        if data:
            self.theirs[0], self.into = os.pipe()
            os.set_blocking(self.into, False)
        else:
            self.theirs[0] = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        out, self.theirs[1] = os.pipe()
        err, self.theirs[2] = os.pipe()
        self.pipes = (out, err)
        for fd in self.pipes:
            os.set_blocking(fd, False)

    def close(self) -> None:
        for fd in (*self.pipes, self.into, *self.theirs.values()):
            if fd >= 0:
                os.close(fd)
        if self.pid:
            os.kill(self.pid, SIGKILL)
            os.waitpid(self.pid, 0)

    def finish(self, deadline: float | None) -> int | None:
        """The exit status, or None when the deadline passed first."""
        for fd in self.theirs.values():
            os.close(fd)
        self.theirs = {}
        pidfd = os.pidfd_open(self.pid)
        try:
            return self._poll(pidfd, deadline)
        finally:
            os.close(pidfd)

    def _poll(self, pidfd: int, deadline: float | None) -> int | None:
        poller = select.poll()
        for fd in (pidfd, *self.pipes):
            poller.register(fd, select.POLLIN)
        if self.into >= 0:
            poller.register(self.into, select.POLLOUT)
        while True:
            left = None if deadline is None else max(0.0, (deadline - time.monotonic()) * 1000)
            ready = [fd for fd, _ in poller.poll(left)]
            if not ready:
                return None
            for index, fd in enumerate(self.pipes):
                if fd in ready and self._drain(index):
                    poller.unregister(fd)
            if self.into in ready and self._feed():
                poller.unregister(self.into)
                os.close(self.into)
                self.into = -1
            if pidfd in ready:
                for index in range(2):
                    self._drain(index)
                status = wait(self.pid)
                self.pid = 0
                return status

    def _drain(self, index: int) -> bool:
        """Take what is there; True at the end of the stream."""
        while True:
            try:
                chunk = os.read(self.pipes[index], _PIPE_CHUNK)
            except BlockingIOError:
                return False
            if not chunk:
                return True
            self.output[index].append(chunk)

    def _feed(self) -> bool:
        """Write what fits; True when everything is written or nobody reads any more."""
        try:
            self.data = self.data[os.write(self.into, self.data):]
        except BlockingIOError:
            return False
        except BrokenPipeError:
            return True
        return not self.data


def _stat_fields(pid: int) -> list[bytes]:
    """The fields of ``/proc/PID/stat`` after the command name: state is first, start time 20th. Empty when gone."""
    try:
        text = read_bytes(f"/proc/{pid}/stat")
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text[text.rindex(b")") + 2:].split()


def start_time(pid: int) -> int:
    """When *pid* started, in clock ticks after boot; 0 when there is no such process.

    A pid and its start time name a process for good; the pid alone is reused.
    """
    fields = _stat_fields(pid)
    return int(fields[19]) if fields else 0


def is_alive(pid: int, start: int = 0) -> bool:
    """Does *pid* (started at *start*, if known) still run? A zombie does not."""
    if pid <= 0:
        return False
    fields = _stat_fields(pid)
    return bool(fields) and fields[0] not in (b"Z", b"X", b"x") and (not start or int(fields[19]) == start)


def wait_gone(pid: int, start: int = 0, timeout: float | None = None) -> bool:
    """Wait until *pid* (any process, not only a child) has ended; False when *timeout* seconds pass first."""
    if pid <= 0:
        return True
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        if not is_alive(pid, start):
            return True
        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        return bool(poller.poll(None if timeout is None else timeout * 1000))
    finally:
        os.close(pidfd)


def arguments(pid: int) -> list[str]:
    """The arguments of *pid*, its program first; empty when it is gone (or has none)."""
    try:
        line = read_bytes(f"/proc/{pid}/cmdline")
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [os.fsdecode(word) for word in line.rstrip(b"\0").split(b"\0")] if line else []


def with_argument(text: str) -> dict[int, list[str]]:
    """pid -> arguments of every process that has *text* in one of them, this process left out."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            words = arguments(int(name))
            if any(text in word for word in words):
                found[int(name)] = words
    return found


def parent(pid: int) -> int:
    """The parent of *pid*, 0 when there is no such process."""
    fields = _stat_fields(pid)
    return int(fields[1]) if fields else 0


def boot_id() -> str:
    """A UUID that changes with every boot."""
    global _boot_id
    if not _boot_id:
        _boot_id = read_bytes("/proc/sys/kernel/random/boot_id").decode().strip()
    return _boot_id


def find_program(name: str, directories: Sequence[str] = ()) -> str:
    """The path of an executable *name* in *directories* or the standard ones; empty when there is none.

    A name that contains a slash is only checked.
    """
    if "/" in name:
        return name if _is_program(name) else ""
    for directory in (*directories, *STANDARD_PATH):
        path = f"{directory}/{name}"
        if _is_program(path):
            return path
    return ""


def _is_program(path: str) -> bool:
    return os.access(path, os.X_OK) and os.path.isfile(path)
