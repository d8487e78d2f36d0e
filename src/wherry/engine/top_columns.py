"""The columns of ``top``: descriptor names, titles and how each is read from /proc (proc(5)).

Names, AIX codes and titles are those of podman-top(1).
"""

from __future__ import annotations

import os

from wherry.model.timespec import format_duration
from wherry.spec import users
from wherry.sys import capabilities
from wherry.sys.files import read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

DEFAULT = ("user", "pid", "ppid", "pcpu", "etime", "tty", "time", "args")

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024
_SECOND = 10**9


class Names:
    """Turns ids into names, for the container and for the host."""

    def __init__(
        self,
        *,
        passwd: str,
        group: str,
        host_passwd: str,
        host_group: str,
        uid_map: Sequence[tuple[int, int, int]],
        gid_map: Sequence[tuple[int, int, int]],
    ) -> None:
        self._users = {user.uid: user.name for user in reversed(list(users.users(passwd)))}
        self._groups = {group.gid: group.name for group in reversed(list(users.groups(group)))}
        self._host_users = {user.uid: user.name for user in reversed(list(users.users(host_passwd)))}
        self._host_groups = {group.gid: group.name for group in reversed(list(users.groups(host_group)))}
        self._uid_map = uid_map
        self._gid_map = gid_map

    def uid(self, number: int) -> int:
        return _inside(number, self._uid_map)

    def user(self, number: int) -> str:
        inner = self.uid(number)
        return self._users.get(inner, str(inner))

    def group(self, number: int) -> str:
        inner = _inside(number, self._gid_map)
        return self._groups.get(inner, str(inner))

    def host_user(self, number: int) -> str:
        return self._host_users.get(number, str(number))

    def host_group(self, number: int) -> str:
        return self._host_groups.get(number, str(number))


def _inside(number: int, lines: Sequence[tuple[int, int, int]]) -> int:
    for inner, outer, size in lines:
        if 0 <= number - outer < size:
            return inner + number - outer
    return number


class Process:
    """One process; *depth* is how many PID namespaces deep the container is. Raises OSError if it is gone."""

    names: Names
    inner: Mapping[int, int]        # pid on the host -> in the container, of all that are shown

    def __init__(self, host_pid: int, pid: int, depth: int) -> None:
        self.host_pid = host_pid
        self.pid = pid
        self._depth = depth
        text = read_text(f"/proc/{host_pid}/stat")
        name, _, rest = text.partition("(")[2].rpartition(")")
        self.command_name = name
        self.stat = rest.split()
        lines = read_text(f"/proc/{host_pid}/status").splitlines()
        self.status = {key: value.split() for key, _, value in (line.partition(":") for line in lines)}

    def command(self) -> str:
        try:
            line = read_text(f"/proc/{self.host_pid}/cmdline")
        except OSError:
            line = ""
        return line.rstrip("\0").replace("\0", " ") or f"[{self.command_name}]"

    def ids(self, key: str) -> tuple[int, int]:
        """Real and effective number of ``Uid`` or ``Gid``."""
        return int(self.status[key][0]), int(self.status[key][1])

    def parent(self) -> int:
        return self.inner.get(int(self.stat[1]), 0)

    def group_leader(self) -> str:
        words = self.status.get("NSpgid") or []
        return words[self._depth - 1] if len(words) >= self._depth else self.stat[2]

    def elapsed(self) -> int:
        """Nanoseconds since it was started."""
        up = float(read_text("/proc/uptime").split()[0])
        return max(0, int(up * _SECOND) - int(self.stat[19]) * _SECOND // _TICKS)

    def cpu(self) -> int:
        """Nanoseconds of processor time."""
        return (int(self.stat[11]) + int(self.stat[12])) * _SECOND // _TICKS

    def cpu_percent(self) -> str:
        elapsed = self.elapsed()
        return f"{100 * self.cpu() / elapsed if elapsed else 0:.3f}"

    def terminal(self) -> str:
        number = int(self.stat[4])
        if not number:
            return "?"
        major, minor = number >> 8 & 0xFFF, number & 0xFF | number >> 12 & 0xFFF00
        if 136 <= major <= 143:
            return f"pts/{minor + (major - 136) * 256}"
        return f"tty{minor}" if major == 4 else f"{major}:{minor}"

    def groups(self) -> list[int]:
        return [int(word) for word in self.status.get("Groups") or ()] or [self.ids("Gid")[1]]

    def capability_set(self, key: str) -> str:
        held = int((self.status.get(key) or ["0"])[0], 16)
        if not held:
            return "none"
        names = capabilities.ALL[:capabilities.last_cap() + 1]
        found = [name for bit, name in enumerate(names) if held >> bit & 1]
        if len(found) == len(names):
            return "full"
        return ",".join(sorted(name.upper().removeprefix("CAP_") for name in found))

    def started(self) -> str:
        from wherry.model.timestamps import format_ns, now_ns

        return format_ns((now_ns() - self.elapsed()) // _SECOND * _SECOND, local=True)

    def label(self) -> str:
        try:
            return read_text(f"/proc/{self.host_pid}/attr/current").rstrip("\0\n") or "?"
        except OSError:
            return "?"


_SECCOMP = {"0": "disabled", "1": "strict", "2": "filter"}

#: descriptor -> (title, how to read it)
COLUMNS: dict[str, tuple[str, Callable[[Process], str]]] = {
    "args": ("COMMAND", Process.command),
    "capamb": ("AMBIENT CAPS", lambda process: process.capability_set("CapAmb")),
    "capbnd": ("BOUNDING CAPS", lambda process: process.capability_set("CapBnd")),
    "capeff": ("EFFECTIVE CAPS", lambda process: process.capability_set("CapEff")),
    "capinh": ("INHERITED CAPS", lambda process: process.capability_set("CapInh")),
    "capprm": ("PERMITTED CAPS", lambda process: process.capability_set("CapPrm")),
    "comm": ("COMMAND", lambda process: process.command_name),
    "etime": ("ELAPSED", lambda process: format_duration(process.elapsed())),
    "group": ("GROUP", lambda process: process.names.group(process.ids("Gid")[1])),
    "groups": ("GROUPS", lambda process: ",".join(map(process.names.group, process.groups()))),
    "hgroup": ("HGROUP", lambda process: process.names.host_group(process.ids("Gid")[1])),
    "hgroups": ("HGROUPS", lambda process: ",".join(map(process.names.host_group, process.groups()))),
    "hpid": ("HPID", lambda process: str(process.host_pid)),
    "huid": ("HUID", lambda process: str(process.ids("Uid")[1])),
    "huser": ("HUSER", lambda process: process.names.host_user(process.ids("Uid")[1])),
    "label": ("LABEL", Process.label),
    "nice": ("NI", lambda process: process.stat[16]),
    "pcpu": ("%CPU", Process.cpu_percent),
    "pgid": ("PGID", Process.group_leader),
    "pid": ("PID", lambda process: str(process.pid)),
    "ppid": ("PPID", lambda process: str(process.parent())),
    "rgroup": ("RGROUP", lambda process: process.names.group(process.ids("Gid")[0])),
    "rss": ("RSS", lambda process: str(int(process.stat[21]) * _PAGE_KIB)),
    "ruser": ("RUSER", lambda process: process.names.user(process.ids("Uid")[0])),
    "seccomp": ("SECCOMP", lambda process: _SECCOMP.get((process.status.get("Seccomp") or ["?"])[0], "?")),
    "state": ("STATE", lambda process: process.stat[0]),
    "stime": ("STIME", Process.started),
    "time": ("TIME", lambda process: format_duration(process.cpu())),
    "tty": ("TTY", Process.terminal),
    "uid": ("UID", lambda process: str(process.names.uid(process.ids("Uid")[1]))),
    "user": ("USER", lambda process: process.names.user(process.ids("Uid")[1])),
    "vsz": ("VSZ", lambda process: str(int(process.stat[20]) // 1024)),
}

#: Codes of AIX's ps(1) -> descriptor.
CODES = {
    "%C": "pcpu", "%G": "group", "%P": "ppid", "%U": "user", "%a": "args", "%c": "comm", "%g": "rgroup", "%n": "nice",
    "%p": "pid", "%r": "pgid", "%t": "etime", "%u": "ruser", "%x": "time", "%y": "tty", "%z": "vsz",
}
