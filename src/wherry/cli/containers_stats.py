"""``wherry stats``."""

from __future__ import annotations

import time

from wherry.cli.containers_stop import LATEST
from wherry.cli.flags import Flag, UsageError
from wherry.cli.gotemplate.values import View
from wherry.cli.units import binary_size, human_size
from wherry.errors import NoSuchContainer
from wherry.model.ids import short
from wherry.model.timespec import format_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from wherry.cli.call import Call
    from wherry.engine.stats import ContainerStats

STATS = (
    Flag("all", "a", "bool", "Show all containers, not only those that run"),
    Flag("format", metavar="template", help="Show as json or through a Go template"),
    Flag("interval", "i", "int", "Seconds between readings", default="5", metavar="seconds"),
    LATEST,
    Flag("no-reset", kind="bool", help="Do not clear the screen between readings"),
    Flag("no-stream", kind="bool", help="Show one reading and end"),
    Flag("no-trunc", kind="bool", help="Do not shorten ids"),
)
HEADINGS = {
    "ID": "ID", "Name": "NAME", "CPUPerc": "CPU %", "MemUsage": "MEM USAGE / LIMIT",
    "MemUsageBytes": "MEM USAGE / LIMIT", "MemPerc": "MEM %", "NetIO": "NET IO", "BlockIO": "BLOCK IO", "PIDS": "PIDS",
    "UpTime": "CPU TIME", "AVGCPU": "AVG CPU %",
}
COLUMNS = ("ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDS", "UpTime", "AVGCPU")
INDENT = 1


def stats(call: Call) -> int:
    """Show what containers use, again and again."""
    flags = call.flags
    if sum((bool(call.args), flags.on("all"), flags.on("latest"))) > 1:
        raise UsageError("--all, --latest and containers cannot be used together", see=False)
    if flags.number("interval") < 1:
        raise UsageError("invalid interval, must be a positive number greater zero", see=False)
    fixed = _named(call)
    before: dict[str, ContainerStats] = {}
    while True:
        found = _readings(call, fixed, before)
        text = _render(call, found)
        if not flags.on("no-stream") and not flags.on("no-reset"):
            text = "\x1b[H\x1b[2J" + text
        call.out(text)
        if flags.on("no-stream") or (fixed is not None and not any(reading.running for reading in found)):
            return 0
        call.flush()
        before = {reading.id: reading for reading in found}
        time.sleep(flags.number("interval"))


def _named(call: Call) -> list[str] | None:
    """Ids of the containers asked for; None: those that are there at each reading."""
    if call.flags.on("latest"):
        from wherry.cli.targets import latest

        return [latest(call.runtime)]
    if not call.args:
        return None
    try:
        return [call.runtime.containers.get(name).id for name in call.args]
    except NoSuchContainer as error:
        name = next(name for name in call.args if not call.runtime.containers.exists(name))
        raise NoSuchContainer(
            f"unable to get list of containers: unable to look up container {name}: {error}"
        ) from None


def _readings(call: Call, fixed: list[str] | None, before: dict[str, ContainerStats]) -> list[ContainerStats]:
    from wherry.engine.stats import read

    runtime = call.runtime
    chosen = fixed if fixed is not None else [
        summary.id for summary in runtime.containers.list(all=call.flags.on("all"))
    ]
    found = []
    for identity in chosen:
        try:
            found.append(read(runtime, identity, before.get(identity)))
        except NoSuchContainer:
            continue        # removed since
    return found


def _render(call: Call, found: Sequence[ContainerStats]) -> str:
    from wherry.cli.formatting import is_json, render_rows, title
    from wherry.cli.tables import table
    from wherry.model import jsontext

    rows = [StatsView(reading, call.flags.on("no-trunc")) for reading in found]
    text = call.flags.text("format")
    if not text:
        cells = [[row.go_value(name) for name in COLUMNS] for row in rows]
        return table(cells, [HEADINGS[name] for name in COLUMNS])
    if is_json(text):
        return jsontext.dumps_pretty([row.json for row in rows], INDENT) + "\n"
    headings = {name: HEADINGS.get(name, title(name)) for name in StatsView.go_names}
    return render_rows("stats", text, rows, headings)


class StatsView(View):
    """What a template of ``stats`` sees of a container."""

    type_name = "containers.containerStats"
    go_names = {
        "AVGCPU": "average", "AvgCPU": "average_number", "BlockIO": "block", "BlockInput": "block_input",
        "BlockOutput": "block_output", "CPU": "cpu_number", "CPUNano": "cpu_ns", "CPUPerc": "cpu",
        "CPUSystemNano": "cpu_system_ns", "ContainerID": "full_id", "Duration": "cpu_ns", "ID": "id",
        "MemLimit": "memory_limit", "MemPerc": "memory_share", "MemUsage": "memory", "MemUsageBytes": "memory_binary",
        "Name": "name", "NetIO": "net", "Network": "network", "PIDS": "pids", "PIDs": "pids_number",
        "PerCPU": "per_cpu", "SystemNano": "time_ns", "Up": "up", "UpTime": "up",
    }

    def __init__(self, reading: ContainerStats, full: bool) -> None:
        self._reading = reading
        self._full = full

    def go_value(self, name: str) -> str:
        """The text of one of the table's columns."""
        text: str = getattr(self, self.go_names[name])()
        return text

    @property
    def json(self) -> Any:
        return {
            "id": self.id(), "name": self.name(), "cpu_time": self.up(), "cpu_percent": self.cpu(),
            "avg_cpu": self.average(), "mem_usage": self.memory(), "mem_percent": self.memory_share(),
            "net_io": self.net(), "block_io": self.block(), "pids": self.pids(),
        }

    def id(self) -> str:
        return self._reading.id if self._full else short(self._reading.id)

    def name(self) -> str:
        return self._reading.name

    def cpu(self) -> str:
        return f"{self._reading.cpu_percent:.2f}%"

    def average(self) -> str:
        return f"{self._reading.average_percent:.2f}%"

    def memory(self) -> str:
        return f"{human_size(self._reading.memory_bytes)} / {human_size(self._reading.memory_limit)}"

    def memory_binary(self) -> str:
        return f"{binary_size(self._reading.memory_bytes)} / {binary_size(self._reading.memory_limit)}"

    def memory_share(self) -> str:
        return f"{self._reading.memory_percent:.2f}%"

    def net(self) -> str:
        return f"{human_size(self._reading.network_input)} / {human_size(self._reading.network_output)}"

    def block(self) -> str:
        return f"{human_size(self._reading.block_input)} / {human_size(self._reading.block_output)}"

    def pids(self) -> str:
        return str(self._reading.pids)

    def up(self) -> str:
        return format_duration(self._reading.cpu_ns)

    @property
    def full_id(self) -> str:
        return self._reading.id

    @property
    def average_number(self) -> float:
        return self._reading.average_percent

    @property
    def cpu_number(self) -> float:
        return self._reading.cpu_percent

    @property
    def cpu_ns(self) -> int:
        return self._reading.cpu_ns

    @property
    def cpu_system_ns(self) -> int:
        return self._reading.cpu_system_ns

    @property
    def time_ns(self) -> int:
        return self._reading.time_ns

    @property
    def memory_limit(self) -> int:
        return self._reading.memory_limit

    @property
    def block_input(self) -> int:
        return self._reading.block_input

    @property
    def block_output(self) -> int:
        return self._reading.block_output

    @property
    def pids_number(self) -> int:
        return self._reading.pids

    @property
    def per_cpu(self) -> list[int]:
        return []

    @property
    def network(self) -> dict[str, dict[str, int]]:
        return {name: device.to_json() for name, device in self._reading.network.items()}
