"""stats: what a running container uses, from its control groups (cgroups(7), version 1 and 2) and network devices."""

from __future__ import annotations

import time

from wherry.model import status
from wherry.model.record import EMPTY, Record, field
from wherry.model.timestamps import parse_ns
from wherry.sys import cgroups
from wherry.sys.files import try_read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from wherry.engine.runtime import Runtime

_MICROSECOND = 1000
_BLKIO = ("blkio.throttle.io_service_bytes_recursive", "blkio.throttle.io_service_bytes", "blkio.io_service_bytes")


class Traffic(Record):
    """Counters of one network device of the container."""

    received_bytes: int = 0
    received_packets: int = 0
    received_errors: int = 0
    received_dropped: int = 0
    sent_bytes: int = 0
    sent_packets: int = 0
    sent_errors: int = 0
    sent_dropped: int = 0


class ContainerStats(Record):
    """One reading. A container that does not run has zeros."""

    id: str = ""
    name: str = ""
    running: bool = False
    time_ns: int = 0            # when it was read (ns since the epoch)
    cpu_ns: int = 0             # processor time used, user and system
    cpu_system_ns: int = 0
    cpu_percent: float = 0.0    # of one processor, since the reading before (or the start)
    average_percent: float = 0.0    # of one processor, since the start
    memory_bytes: int = 0
    memory_limit: int = 0       # bytes; the host's memory when there is no limit
    network: Mapping[str, Traffic] = field(default=EMPTY)
    block_input: int = 0        # bytes read from block devices
    block_output: int = 0
    pids: int = 0

    @property
    def memory_percent(self) -> float:
        return 100.0 * self.memory_bytes / self.memory_limit if self.memory_limit else 0.0

    @property
    def network_input(self) -> int:
        """Bytes received on all devices."""
        return sum(device.received_bytes for device in self.network.values())

    @property
    def network_output(self) -> int:
        return sum(device.sent_bytes for device in self.network.values())


def read(runtime: Runtime, identity: str, before: ContainerStats | None = None) -> ContainerStats:
    """One reading; *before* is the last one, for the present use of the processor. Raises ``NoSuchContainer``."""
    config, state = runtime.state.container(identity)
    base = ContainerStats(id=config.id, name=config.name, time_ns=time.time_ns())
    if state.status not in (status.RUNNING, status.PAUSED, status.STOPPING) or not state.pid:
        return base
    try:
        groups = _Groups(state.pid, identity)
        used, in_kernel = groups.cpu()
    except OSError:
        return base             # it ended at this moment
    now = time.time_ns()
    started = parse_ns(state.started_time)
    input_bytes, output_bytes = groups.block()
    return base.replace(
        running=True,
        time_ns=now,
        cpu_ns=used,
        cpu_system_ns=in_kernel,
        average_percent=_percent(used, now - started),
        cpu_percent=_percent(used - before.cpu_ns, now - before.time_ns)
        if before is not None and before.running and used >= before.cpu_ns else _percent(used, now - started),
        memory_bytes=groups.memory(),
        memory_limit=groups.memory_limit(),
        network={} if config.network_mode == "host" else _network(state.pid),
        block_input=input_bytes,
        block_output=output_bytes,
        pids=groups.pids(),
    )


def follow(runtime: Runtime, identity: str, interval: float) -> Iterator[ContainerStats]:
    """Readings every *interval* seconds until the container does not run."""
    reading = read(runtime, identity)
    while reading.running:
        yield reading
        time.sleep(interval)
        reading = read(runtime, identity, reading)


def _percent(part: int, whole: int) -> float:
    return 100.0 * part / whole if whole > 0 else 0.0


class _Groups:
    """The files of one container's control groups, in whichever hierarchy a controller is."""

    def __init__(self, pid: int, identity: str) -> None:
        self._layout = cgroups.layout()
        self._pid = pid
        self._identity = identity

    def _directory(self, controller: str) -> str:
        """The group's directory where *controller* is; empty if nowhere."""
        layout = self._layout
        if controller in layout.controllers:
            return layout.directory(layout.controllers[controller], self._own(cgroups.path_of(self._pid, controller)))
        if layout.unified and controller in layout.unified_controllers:
            return layout.directory(layout.unified, self._own(cgroups.path_of(self._pid)))
        return ""

    def _own(self, path: str) -> str:
        """The container's own group: its process may sit in one below (an init that manages groups itself)."""
        parts = path.split("/")
        for index, part in enumerate(parts):
            if self._identity in part:
                return "/".join(parts[:index + 1])
        return path

    def _text(self, controller: str, *names: str) -> str:
        directory = self._directory(controller)
        if directory:
            for name in names:
                text = try_read_text(f"{directory}/{name}")
                if text is not None:
                    return text
        return ""

    def _number(self, controller: str, *names: str) -> int:
        text = self._text(controller, *names).strip()
        return int(text) if text.isdigit() else 0

    def cpu(self) -> tuple[int, int]:
        """Nanoseconds of processor time: all, and in the kernel."""
        if "cpuacct" in self._layout.controllers:
            return self._number("cpuacct", "cpuacct.usage"), self._number("cpuacct", "cpuacct.usage_sys")
        values = dict(line.split()[:2] for line in self._text("cpu", "cpu.stat").splitlines())
        return (
            int(values.get("usage_usec", 0)) * _MICROSECOND, int(values.get("system_usec", 0)) * _MICROSECOND
        )

    def memory(self) -> int:
        return self._number("memory", "memory.current", "memory.usage_in_bytes")

    def memory_limit(self) -> int:
        total = _host_memory()
        limit = self._number("memory", "memory.max", "memory.limit_in_bytes")
        return min(limit, total) if limit else total

    def pids(self) -> int:
        return self._number("pids", "pids.current")

    def block(self) -> tuple[int, int]:
        """Bytes read and written."""
        done = {"rbytes": 0, "wbytes": 0, "Read": 0, "Write": 0}
        for line in self._text("io", "io.stat").splitlines():
            for word in line.split()[1:]:
                key, _, value = word.partition("=")
                if key in done:
                    done[key] += int(value)
        for line in self._text("blkio", *_BLKIO).splitlines():
            words = line.split()
            if len(words) == 3 and words[1] in done:
                done[words[1]] += int(words[2])
        return done["rbytes"] + done["Read"], done["wbytes"] + done["Write"]


def _host_memory() -> int:
    for line in (try_read_text("/proc/meminfo") or "").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return 0


def _network(pid: int) -> dict[str, Traffic]:
    """Counters per device of the process's network namespace (proc_pid_net(5)), the loopback left out."""
    found = {}
    for line in (try_read_text(f"/proc/{pid}/net/dev") or "").splitlines()[2:]:
        name, _, rest = line.partition(":")
        values = [int(word) for word in rest.split()]
        if name.strip() != "lo" and len(values) >= 12:
            found[name.strip()] = Traffic(
                received_bytes=values[0], received_packets=values[1], received_errors=values[2],
                received_dropped=values[3], sent_bytes=values[8], sent_packets=values[9], sent_errors=values[10],
                sent_dropped=values[11],
            )
    return found
