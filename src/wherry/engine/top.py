"""top: the processes of a container, read from the host's /proc.

Nothing of the container is run and nobody enters it (CVE-2022-1227): a process belongs to the container by its PID
namespace or, where that is the host's, by its cgroup.  Numbers are those inside: ``NSpid`` of proc(5) and the user
namespace's map; names come from the container's passwd and group files, read beneath its root.
"""

from __future__ import annotations

import os

from wherry.engine import rootfs_files
from wherry.engine.top_columns import CODES, COLUMNS, DEFAULT, Names, Process
from wherry.errors import StateError, Unavailable, WherryError
from wherry.model import status
from wherry.model.record import Record
from wherry.sys import cgroups
from wherry.sys.files import try_read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from wherry.engine.runtime import Runtime


class Top(Record):
    """What :meth:`Container.top` returns: column titles, and one row of texts per process, by process id."""

    titles: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()


def parse(words: Sequence[str]) -> list[str] | None:
    """Names of the columns *words* (separate or comma-separated) ask for; None if one is no descriptor of ours."""
    wanted = [part for word in words for part in word.split(",")] or list(DEFAULT)
    names = [CODES.get(name, name) for name in wanted]
    return names if all(name in COLUMNS for name in names) else None


def top(runtime: Runtime, identity: str, columns: Sequence[str]) -> Top:
    """The container's processes. Raises ``StateError`` if it does not run."""
    pid = _running_pid(runtime, identity)
    names = Names(
        passwd=rootfs_files.read_text(f"/proc/{pid}/root", "etc/passwd"),
        group=rootfs_files.read_text(f"/proc/{pid}/root", "etc/group"),
        host_passwd=try_read_text("/etc/passwd") or "",
        host_group=try_read_text("/etc/group") or "",
        uid_map=_id_map(pid, "uid_map"),
        gid_map=_id_map(pid, "gid_map"),
    )
    processes = _processes(pid)
    inner = {process.host_pid: process.pid for process in processes}
    rows = []
    for process in sorted(processes, key=lambda process: process.pid):
        process.names = names
        process.inner = inner
        rows.append([COLUMNS[name][1](process) for name in columns])
    return Top(titles=[COLUMNS[name][0] for name in columns], rows=rows)


def _running_pid(runtime: Runtime, identity: str) -> int:
    with runtime.lock(identity) as held:
        if held.state.status not in (status.RUNNING, status.STOPPING, status.PAUSED):
            raise NotRunning("top can only be used on running containers")
        return held.state.pid


class NotRunning(StateError):
    """The container does not run; the words are the whole message."""

    cause = ""


def _processes(pid: int) -> list[Process]:
    wanted = _namespace(pid)
    depth = len(_levels(pid))
    shares_hosts = wanted == _namespace(os.getpid())
    cgroup = _cgroup(pid)
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        number = int(name)
        try:
            levels = _levels(number)
            if shares_hosts:
                mine = _within(_cgroup(number), cgroup)
            else:
                mine = _namespace(number) == wanted or (len(levels) > depth and _within(_cgroup(number), cgroup))
            if mine:
                found.append(Process(number, levels[depth - 1], depth))
        except (OSError, IndexError):
            continue        # it ended meanwhile
    return found


def _namespace(pid: int) -> str:
    return os.readlink(f"/proc/{pid}/ns/pid")


def _levels(pid: int) -> list[int]:
    """The process's number in each PID namespace it is in, ours first."""
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("NSpid:"):
                return [int(word) for word in line.split()[1:]]
    return [pid]


def _cgroup(pid: int) -> str:
    layout = cgroups.layout()
    return cgroups.path_of(pid, "" if layout.mode == cgroups.V2 else "pids" if "pids" in layout.controllers else "")


def _within(path: str, parent: str) -> bool:
    return parent not in ("", "/") and (path + "/").startswith(parent + "/")


def _id_map(pid: int, name: str) -> list[tuple[int, int, int]]:
    """Lines of a uid_map: (first inside, first on the host, how many)."""
    text = try_read_text(f"/proc/{pid}/{name}") or ""
    return [(int(line[0]), int(line[1]), int(line[2])) for line in map(str.split, text.splitlines()) if len(line) == 3]


def host_ps(runtime: Runtime, identity: str, arguments: Sequence[str]) -> str:
    """What the host's own ps(1) prints, called with *arguments* in the container's PID namespace.

    The program and its libraries are the host's; only /proc shows the container's processes.  It keeps all
    capabilities, so that no process of an unprivileged container may look into it or reach its program file.
    """
    from wherry.sys.processes import find_program, run

    pid = _running_pid(runtime, identity)
    programs = [find_program(name) for name in ("nsenter", "unshare", "ps")]
    if not all(programs):
        raise Unavailable("showing processes with ps arguments needs nsenter, unshare (util-linux) and ps (procps)")
    enter, unshare, ps = programs
    done = run(
        [enter, "--target", str(pid), "--pid", "--", unshare, "--mount-proc", "--", ps, *arguments],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"},
    )
    if done.returncode != 0:
        text = done.stderr.decode(errors="replace").strip().partition("\n")[0]
        raise WherryError(f"ps failed: {text or f'exit status {done.returncode}'}")
    return done.stdout.decode(errors="replace")
