"""``wherry ps``."""

from __future__ import annotations

import time

from wherry.cli.containers_stop import LATEST
from wherry.cli.flags import Flag, UsageError
from wherry.cli.targets import filters
from wherry.cli.units import human_duration, human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from wherry.cli.call import Call
    from wherry.engine.listing import Summary

SORTS = ("command", "created", "id", "image", "names", "runningfor", "size", "status")
PS = (
    Flag("all", "a", "bool", "Show all containers, not only those that run"),
    Flag("external", kind="bool", aliases=("storage",), help="Show containers of other engines on the same store"),
    Flag("filter", "f", many=True, metavar="filter", help="Show containers that match this condition (key=value)"),
    Flag("format", metavar="format", help="Show as json or through a Go template"),
    Flag("last", "n", "int", "Show the last containers created, this many, in any state", default="-1"),
    LATEST,
    Flag("no-trunc", kind="bool", aliases=("notruncate",), help="Do not shorten ids and commands"),
    Flag("noheading", kind="bool", help="Leave out the heading"),
    Flag("ns", kind="bool", aliases=("namespace",), help="Show the namespaces"),
    Flag("pod", "p", "bool", "Show id and name of the pod"),
    Flag("quiet", "q", "bool", "Show ids only"),
    Flag("size", "s", "bool", "Show sizes"),
    Flag("sort", metavar="created", choices=SORTS, help=f"Sort by {', '.join(SORTS)}"),
    Flag("sync", kind="bool", help="Accepted and ignored: states are always those of the OCI runtime"),
    Flag("watch", "w", "uint", "Show the list again every so many seconds"),
)
SHORT = 12
COMMAND_WIDTH = 17
SECOND = 1_000_000_000


class Row:
    """A container as ``ps`` shows it: one method per column, named as in :data:`COLUMNS`."""

    __slots__ = ("full", "now", "summary")

    def __init__(self, summary: Summary, now: int, full: bool) -> None:
        self.summary = summary
        self.now = now              # seconds since the epoch
        self.full = full

    def cut(self, text: str) -> str:
        return text if self.full else text[:SHORT]

    def id(self) -> str:
        return self.cut(self.summary.id)

    def image(self) -> str:
        return self.summary.image

    def command(self) -> str:
        text = " ".join(self.summary.command)
        return text if self.full or len(text) <= COMMAND_WIDTH else text[:COMMAND_WIDTH] + "..."

    def created(self) -> str:
        return self.since(self.summary.created) + " ago"

    def since(self, moment: int) -> str:
        return human_duration((self.now - moment) * SECOND)

    def status(self) -> str:
        summary = self.summary
        if summary.state == "running":
            text = "Up " + self.since(summary.started_at)
        elif summary.state in ("exited", "stopped"):
            text = f"Exited ({summary.exit_code}) {self.since(summary.exited_at)} ago"
        else:
            text = summary.state.title()
        return f"{text} ({summary.health})" if summary.health else text

    def ports(self) -> str:
        summary = self.summary
        return ports_text(summary) if summary.ports or summary.exposed_ports else ""

    def names(self) -> str:
        return ",".join(self.summary.names)

    def size(self) -> str:
        if self.summary.size is None:
            from wherry.sys import log

            log.error("Size format requires --size option")
            return ""
        own, total = self.summary.size
        return f"{human_size(own, 3)} (virtual {human_size(total, 3)})"

    def pod(self) -> str:
        return self.cut(self.summary.pod)

    def pod_name(self) -> str:
        return self.summary.pod_name

    def pid(self) -> str:
        return str(self.summary.pid)

    def namespace(self, kind: str) -> str:
        return namespace_of(self.summary.pid, kind)


COLUMNS: tuple[tuple[str, Callable[[Row], str]], ...] = (
    ("CONTAINER ID", Row.id),
    ("IMAGE", Row.image),
    ("COMMAND", Row.command),
    ("CREATED", Row.created),
    ("STATUS", Row.status),
    ("PORTS", Row.ports),
    ("NAMES", Row.names),
)
POD_COLUMNS = (("POD ID", Row.pod), ("PODNAME", Row.pod_name))
SIZE_COLUMN = (("SIZE", Row.size),)
#: Heading -> name below /proc/PID/ns.
NAMESPACES = {
    "CGROUPNS": "cgroup", "IPC": "ipc", "MNT": "mnt", "NET": "net", "PIDNS": "pid", "USERNS": "user", "UTS": "uts",
}


def ps(call: Call) -> int:
    """List containers."""
    _check(call)
    if not call.flags.given("watch"):
        call.out(_render(call))
        return 0
    interval = call.flags.number("watch")
    while True:
        text = _render(call)
        call.out("\x1b[H\x1b[2J" + text)
        call.note("")
        time.sleep(interval or 1)


def _check(call: Call) -> None:
    flags = call.flags
    if flags.number("last") >= 0 and flags.on("latest"):
        raise UsageError("last and latest are mutually exclusive", see=False)
    if flags.on("quiet") and (flags.on("size") or flags.on("ns")):
        raise UsageError("quiet conflicts with size and namespace", see=False)
    if flags.on("size") and flags.on("ns"):
        raise UsageError("size and namespace options conflict", see=False)


def _render(call: Call) -> str:
    flags = call.flags
    rows = _rows(call)
    text = flags.text("format")
    if text:
        from wherry.cli import containers_ps_format

        return containers_ps_format.render(call, rows, text)
    if flags.on("quiet"):
        return "".join([row.id() + "\n" for row in rows])
    return _table(call, rows)


def _rows(call: Call) -> list[Row]:
    from wherry.engine.listing import listing

    flags = call.flags
    last = 1 if flags.on("latest") else max(flags.number("last"), 0)
    found = listing(
        call.runtime,
        all=flags.on("all"),
        filters=filters(call),
        size=flags.on("size"),
        external=flags.on("external"),
        last=last,
    )
    now = int(time.time())
    rows = [Row(summary, now, flags.on("no-trunc")) for summary in found]
    order = flags.text("sort")
    if order:
        rows.sort(key=_SORT_KEYS[order])
    return rows


_SORT_KEYS: dict[str, Callable[[Row], Any]] = {
    "command": lambda row: " ".join(row.summary.command),
    "created": lambda row: row.summary.created,
    "id": lambda row: row.summary.id,
    "image": lambda row: row.summary.image,
    "names": lambda row: row.summary.name,
    "runningfor": lambda row: row.summary.started_at,
    "size": lambda row: (row.summary.size or (0, 0))[1],
    "status": lambda row: row.status(),
}


def _table(call: Call, rows: Sequence[Row]) -> str:
    from wherry.cli.tables import table

    flags = call.flags
    if flags.on("ns"):
        heading = ["CONTAINER ID", "NAMES", "PID", *NAMESPACES]
        cells = [
            [row.id(), row.names(), row.pid(), *(row.namespace(kind) for kind in NAMESPACES.values())] for row in rows
        ]
    else:
        columns = COLUMNS
        if flags.on("pod"):
            columns += POD_COLUMNS
        if flags.on("size"):
            columns += SIZE_COLUMN
        heading = [name for name, _cell in columns]
        makers = [cell for _name, cell in columns]
        cells = [[make(row) for make in makers] for row in rows]
    return table(cells, () if flags.on("noheading") else heading)


def ports_text(summary: Summary) -> str:
    """``0.0.0.0:8080->80/tcp, 9000-9003/tcp``: published ports, then those that are only exposed."""
    out: list[str] = []
    published: set[tuple[int, str]] = set()
    for port in summary.ports:
        address = port.host_ip or "0.0.0.0"
        last = port.range - 1
        for protocol in port.protocol.split(","):
            host, inner = str(port.host_port), str(port.container_port)
            if last > 0:
                host, inner = f"{host}-{port.host_port + last}", f"{inner}-{port.container_port + last}"
            out.append(f"{address}:{host}->{inner}/{protocol}")
            published.update((port.container_port + step, protocol) for step in range(last + 1))
    exposed = sorted(
        (protocol, int(number)) for number, protocols in summary.exposed_ports.items() for protocol in protocols
    )
    first = previous = (("", -1))
    for protocol, number in [*exposed, ("", -1)]:
        if (number, protocol) in published:
            continue
        if (protocol, number - 1) != previous:
            if first[0]:
                end = f"-{previous[1]}" if previous != first else ""
                out.append(f"{first[1]}{end}/{first[0]}")
            first = (protocol, number)
        previous = (protocol, number)
    return ", ".join(out)


def namespace_of(pid: int, kind: str) -> str:
    """The number of a process's namespace, empty when there is no process."""
    import os

    if not pid:
        return ""
    try:
        return os.readlink(f"/proc/{pid}/ns/{kind}").partition("[")[2].rstrip("]")
    except OSError:
        return ""
