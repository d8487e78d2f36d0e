"""Creating a container: conmon is started, starts the OCI runtime, and stays as the container's parent.

What conmon (2.1.6, 2.2.1) does, in this order; the whole package relies on it:

1. It forks once. The first process writes ``--conmon-pidfile`` and ends; the second disconnects from our standard
   streams, makes a session, becomes a child subreaper, and takes the attach socket (``attach``, SOCK_SEQPACKET) and
   two fifos (``ctl``, ``winsz``) in the bundle directory into service.  ``_OCI_STARTPIPE``, if set, is read before the
   fork: until then the caller may move conmon to another cgroup.
2. It runs ``RUNTIME create`` with pipes (or a console socket) as the container's standard streams, and waits.
3. It answers on ``_OCI_SYNCPIPE``: ``{"data": PID}``, or a negative number with what the runtime wrote to standard
   error.  A runtime that writes nothing there (it may have used its log) leaves old versions mute: end of file.
   After a failure it goes on to run the exit command; wherry kills it, but the command may have begun by then.
4. While the container runs it copies output to the log and to every attached client; a client that does not read
   stops it, and with it the container.  ``{"data": PID}`` precedes the first byte of output.
5. After the container's process: see :mod:`wherry.oci.exits`.

The descriptors conmon inherited are closed before it makes an exit known, except the sync pipe, which it closes after.
With ``--full-attach`` the socket stays at its full path, so no directory of links is needed.
A terminal's container is started without ``--stdin``: with it, conmon would close the terminal when the first client
detaches.

Moving conmon into a cgroup of its own is what Podman does with the cgroupfs manager.  On a version 1 host that is one
write per controller, on every host the first write to a ``cgroup.procs`` after a quiet moment waits for a kernel grace
period (5-20 ms).  What it buys is that conmon's 2 MB are not counted against the caller's cgroup and that killing the
caller's cgroup spares it.  So it is done only when ``Launch.conmon_cgroup`` names one.
"""

from __future__ import annotations

import os

from wherry.errors import WherryError, from_os_error
from wherry.model.jsontext import loads
from wherry.model.record import EMPTY, Record, field
from wherry.oci.monitor import Handover, Monitor
from wherry.spec.cgroup import actual_path
from wherry.sys import cgroups, log, processes
from wherry.sys.files import make_dirs, try_read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wherry.oci.runtime import OciRuntime


class Launch(Record):
    """Everything needed to create one container; directories must exist, except ``exit_dir`` and ``persist_dir``."""

    id: str = ""
    name: str = ""
    bundle: str = ""                        # directory of config.json; attach socket and fifos appear in it
    run_dir: str = ""                       # pid files and the runtime's log
    log_driver: str = "k8s-file"            # k8s-file, json-file, journald, none, passthrough, passthrough-tty
    log_path: str = ""
    log_size: int = -1                      # bytes after which the log starts anew, -1 for never
    log_tag: str = ""                       # journald only
    sync_log: bool = True                   # False: do not fsync the log at the end (containers that are removed then)
    terminal: bool = False
    stdin: bool = False                     # keep a pipe to the container's standard input
    leave_stdin_open: bool = False          # a client that leaves does not close it
    exit_command: Sequence[str] = ()
    exit_delay: int = 0                     # seconds between exit and exit command
    exit_dir: str = ""                      # the exit status appears here in a file named by the id
    persist_dir: str = ""                   # of this container; ``exit`` and ``oom`` appear in it
    pid_file: str = ""                      # default: pidfile in run_dir
    conmon_pid_file: str = ""               # default: conmon.pid in run_dir
    timeout: int = 0                        # seconds the container may run, 0 for no limit
    conmon_cgroup: str = ""                 # cgroup path conmon is moved to, empty to leave it in ours
    no_cgroups: bool = False                # crun only: make no cgroup
    plain_cgroup: bool = False              # make the cgroup directly even where systemd manages cgroups
    no_pivot: bool = False
    no_new_keyring: bool = False
    preserve_fds: int = 0                   # so many of our descriptors from 3 on reach the container
    fds: Mapping[int, int] = field(default=EMPTY)   # conmon's number -> ours; not preserved: held until the exit
    sdnotify_socket: str = ""               # socket on the host that the container's messages are relayed to
    restore_from: str = ""                  # checkpoint image directory: restore instead of create
    runtime_options: Sequence[str] = ()     # further options of the runtime's create or restore
    env: Sequence[str] = ()                 # NAME=VALUE for conmon, runtime and exit command, besides runtime.env
    log_level: str = ""                     # conmon's own messages, which go to syslog
    syslog: bool = False

    @property
    def container_pid_path(self) -> str:
        return self.pid_file or f"{self.run_dir}/pidfile"

    @property
    def conmon_pid_path(self) -> str:
        return self.conmon_pid_file or f"{self.run_dir}/conmon.pid"

    @property
    def runtime_log(self) -> str:
        return f"{self.run_dir}/oci-log"


class Created(Record):
    """A container that exists and waits to be started. Start times are clock ticks since boot."""

    pid: int = 0
    pid_start: int = 0
    conmon_pid: int = 0
    conmon_start: int = 0


def create(conmon_path: str, runtime: OciRuntime, launch: Launch) -> Created:
    """Create the container of *launch* from the bundle's ``config.json``.

    Raises :class:`wherry.errors.RuntimeFailed` (or its subclasses for a command that is missing or may not be run);
    nothing of the attempt is left then.
    """
    return begin(conmon_path, runtime, launch).finish()


def begin(conmon_path: str, runtime: OciRuntime, launch: Launch) -> Creation:
    """:func:`create` in two steps: do other work, then call ``finish()`` (or ``abandon()``) on the result."""
    return Creation(conmon_path, runtime, launch)


class Creation:
    """A container being created. Exactly one of :meth:`finish` and :meth:`abandon` must be called."""

    def __init__(self, conmon_path: str, runtime: OciRuntime, launch: Launch) -> None:
        self._runtime = runtime
        self._launch = launch
        try:
            _prepare(launch)
        except OSError as error:
            raise from_os_error(error, "preparing to create container") from error
        self._monitor = Monitor(
            conmon_arguments(conmon_path, runtime, launch),
            Handover(runtime.env, launch.env, launch.fds, launch.preserve_fds),
            directory=launch.bundle,
            pid_file=launch.conmon_pid_path,
            passthrough=launch.log_driver.startswith("passthrough"),
            cgroup=launch.conmon_cgroup,
        )

    def finish(self) -> Created:
        """Wait until the container exists. Raises as :func:`create` does."""
        try:
            pid = self._monitor.answer(self._runtime.name, self._launch.runtime_log)
            conmon_pid = self._monitor.conmon_pid()
            created = Created(
                pid=pid,
                pid_start=processes.start_time(pid),
                conmon_pid=conmon_pid,
                conmon_start=processes.start_time(conmon_pid) if conmon_pid else 0,
            )
        except BaseException:
            try:
                self.abandon()
            except WherryError as trouble:      # what went wrong first is what counts
                log.warning(f"cleaning up after creating container {self._launch.id}: {trouble}")
            raise
        self._monitor.close()
        return created

    def abandon(self) -> None:
        """Undo what was done so far. Raises a :class:`wherry.errors.WherryError` when something cannot be undone."""
        self._monitor.kill()
        self._monitor.close()
        try:
            self._runtime.delete(self._launch.id, force=True)
            _remove_cgroup(self._launch)
        finally:
            remove_files(self._launch)


def _remove_cgroup(launch: Launch) -> None:
    """Remove the container's cgroup: a runtime that was killed early knows nothing of the one it had begun."""
    spec = try_read_text(f"{launch.bundle}/config.json")
    asked = ((loads(spec).get("linux") or {}).get("cgroupsPath") or "") if spec else ""
    path = actual_path(asked)
    if not path.startswith("/") or launch.id not in os.path.basename(path):
        return      # not made for this container
    layout = cgroups.layout()
    for pid in cgroups.processes(path, layout):
        try:
            os.kill(pid, processes.SIGKILL)
        except ProcessLookupError:
            pass
    if path != asked:
        return      # a scope goes with its last process
    try:
        cgroups.remove(path, layout)
    except OSError as error:
        raise from_os_error(error, f"removing cgroup of container {launch.id}") from error


def _prepare(launch: Launch) -> None:
    """Make the directories conmon writes to and remove what an earlier run of the same container left in them.

    A stale exit file would be taken for the new exit, and the runtimes append to a log that is there.
    """
    _unlink(
        launch.runtime_log, launch.container_pid_path, launch.conmon_pid_path, f"{launch.exit_dir}/{launch.id}",
        f"{launch.persist_dir}/exit", f"{launch.persist_dir}/oom", f"{launch.bundle}/oom",
    )
    for directory in (launch.exit_dir, launch.persist_dir):
        if directory:
            make_dirs(directory)


def remove_files(launch: Launch) -> None:
    """Remove the files conmon and the runtime made for this container, its exit status among them."""
    bundle = launch.bundle
    _unlink(
        launch.runtime_log, launch.container_pid_path, launch.conmon_pid_path, f"{launch.exit_dir}/{launch.id}",
        f"{launch.persist_dir}/exit", f"{launch.persist_dir}/oom", f"{bundle}/oom", f"{bundle}/attach",
        f"{bundle}/ctl", f"{bundle}/winsz",
    )
    if launch.persist_dir:
        try:
            os.rmdir(launch.persist_dir)
        except OSError:
            pass


def _unlink(*paths: str) -> None:
    for path in paths:
        try:
            os.unlink(path)
        except (FileNotFoundError, NotADirectoryError):
            pass


def conmon_arguments(conmon_path: str, runtime: OciRuntime, launch: Launch) -> list[str]:
    """conmon's command line (conmon(8))."""
    argv = [
        conmon_path, "--api-version", "1", "--cid", launch.id, "--cuuid", launch.id, "--name", launch.name,
        "--runtime", runtime.path, "--bundle", launch.bundle, "--full-attach",
        "--container-pidfile", launch.container_pid_path, "--conmon-pidfile", launch.conmon_pid_path,
    ]
    if launch.exit_dir:
        argv += ["--exit-dir", launch.exit_dir]
    if launch.persist_dir:
        argv += ["--persist-dir", launch.persist_dir]
    argv += conmon_log_options(
        launch.log_driver, launch.log_path, size=launch.log_size, tag=launch.log_tag, sync=launch.sync_log
    )
    if runtime.systemd_cgroup and not launch.no_cgroups and not launch.plain_cgroup:
        argv.append("--systemd-cgroup")
    argv += runtime_arguments(runtime, launch.runtime_log, no_cgroups=launch.no_cgroups)
    if launch.terminal:
        argv.append("--terminal")
    elif launch.stdin:
        argv.append("--stdin")
        if launch.leave_stdin_open:
            argv.append("--leave-stdin-open")
    if launch.timeout > 0:
        argv += ["--timeout", str(launch.timeout)]
    if launch.no_pivot:
        argv.append("--no-pivot")
    if launch.no_new_keyring:
        argv.append("--no-new-keyring")
    if launch.sdnotify_socket:
        argv += ["--sdnotify-socket", launch.sdnotify_socket]
    if any(line.startswith("LISTEN_PID=") for line in launch.env):
        argv.append("--replace-listen-pid")
    if launch.restore_from:
        argv += ["--restore", launch.restore_from]
    for option in launch.runtime_options:
        argv += ["--runtime-opt", option]
    if launch.preserve_fds > 0:
        argv += ["--runtime-opt", "--preserve-fds", "--runtime-opt", str(launch.preserve_fds)]
    return argv + own_log_options(launch.log_level, launch.syslog) + exit_options(
        launch.exit_command, launch.exit_delay
    )


def conmon_log_options(driver: str, path: str, *, size: int = -1, tag: str = "", sync: bool = True) -> list[str]:
    """conmon's options for a log driver of containers.conf.

    ``json-file`` is written as ``k8s-file``, as Podman does.  *size* is in bytes, -1 for no limit.  A tag is only
    understood with ``journald``.  ``sync`` False saves an fsync of the log before the exit is made known.
    """
    if driver in ("journald", "none"):
        target = driver
    elif driver.startswith("passthrough"):
        target = "passthrough"
    else:
        target = f"k8s-file:{path}"
    options = ["--log-path", target]
    if size > 0:
        options += ["--log-size-max", str(size)]
    if tag and driver == "journald":
        options += ["--log-tag", tag]
    if not sync:
        options.append("--no-sync-log")
    return options


def runtime_arguments(runtime: OciRuntime, log: str, *, no_cgroups: bool = False) -> list[str]:
    """conmon's options that pass global options on to the runtime."""
    words = runtime.arguments()
    if runtime.supports_json:
        words += ["--log-format=json", "--log", log]
    if no_cgroups:
        words += ["--cgroup-manager", "disabled"]
    options = []
    for word in words:
        options += ["--runtime-arg", word]
    return options


def own_log_options(level: str, syslog: bool) -> list[str]:
    """conmon's options about its own messages; without syslog they go nowhere."""
    options = ["--log-level", level] if level else []
    return [*options, "--syslog"] if syslog else options


def exit_options(command: Sequence[str], delay: int) -> list[str]:
    """conmon's options for the command it runs at the end."""
    if not command:
        return []
    options = ["--exit-command", command[0]]
    for word in command[1:]:
        options += ["--exit-command-arg", word]
    return [*options, "--exit-delay", str(delay)] if delay > 0 else options
