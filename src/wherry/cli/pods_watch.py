"""``wherry pod logs``, ``pod top`` and ``pod stats``."""

from __future__ import annotations

import time

from wherry.cli.containers_logs import LOGS as CONTAINER_LOGS
from wherry.cli.flags import Flag, UsageError
from wherry.cli.pods import LATEST, latest
from wherry.errors import InvalidArgument, NoSuchContainer, NoSuchPod, StateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.call import Call
    from wherry.engine.pod import Pod
    from wherry.engine.stats import ContainerStats

LOGS = (
    *CONTAINER_LOGS,
    Flag("container", "c", metavar="container", help="Show only the log of this container"),
)
TOP = (
    LATEST,
    Flag("list-descriptors", kind="bool", hidden=True),
)
STATS = (
    Flag("all", "a", "bool", "Show all pods"),
    Flag("format", metavar="template", help="Show as json or through a Go template"),
    LATEST,
    Flag("no-reset", kind="bool", help="Do not clear the screen between readings"),
    Flag("no-stream", kind="bool", help="Show one reading and end"),
)
#: Seconds between two readings.
INTERVAL = 1
COLUMNS = ("Pod", "CID", "Name", "CPU", "MemUsage", "Mem", "NetIO", "BlockIO", "PIDS")
HEADINGS = {
    "Pod": "POD", "CID": "CID", "Name": "NAME", "CPU": "CPU %", "MemUsage": "MEM USAGE/ LIMIT",
    "MemUsageBytes": "MEM USAGE/ LIMIT", "Mem": "MEM %", "NetIO": "NET IO", "BlockIO": "BLOCK IO", "PIDS": "PIDS",
}
ROW = """*entities.PodStatsReport{CPU:str, MemUsage:str, MemUsageBytes:str, Mem:str, NetIO:str, BlockIO:str, PIDS:str,
    Pod:str, CID:str, Name:str}"""


def logs(call: Call) -> int:
    """Show what the containers of a pod wrote."""
    from wherry.cli.containers_logs import show

    pod = _one(call)
    name = call.flags.text("container")
    members = [summary for summary in pod.containers() if not summary.is_infra]
    if name:
        try:
            identity = call.runtime.containers.get(name).id
        except NoSuchContainer:
            identity = ""
        members = [summary for summary in members if summary.id == identity]
        if not members:
            raise NoSuchContainer(f"container {name} is not in pod {pod.name}")
    if not members:
        return 0
    return show(call, [call.runtime.containers.get(summary.id) for summary in members])


def _one(call: Call) -> Pod:
    if len(call.args) > 1:
        raise UsageError(f"`{call.command}` accepts at most one argument", see=False)
    if call.flags.on("latest"):
        if call.args:
            raise UsageError("--latest and pods cannot be used together", see=False)
        return latest(call)
    if not call.args:
        raise UsageError("specify at least one pod name or ID to log", see=False)
    return call.runtime.pods.get(call.args[0])


def _found(call: Call, text: str, what: str) -> Pod:
    """The pod; raises ``NoSuchPod`` in the words of the command that wanted it."""
    try:
        return call.runtime.pods.get(text)
    except NoSuchPod as error:
        raise NoSuchPod(f"{what}: {error.message}") from None


def top(call: Call) -> int:
    """Show the processes of all running containers of a pod."""
    from wherry.cli.tables import table
    from wherry.engine.top import parse
    from wherry.engine.top import top as container_top
    from wherry.engine.top_columns import COLUMNS as DESCRIPTORS

    if call.flags.on("list-descriptors"):
        call.out("\n".join(sorted(DESCRIPTORS)) + "\n")
        return 0
    if not call.args and not call.flags.on("latest"):
        raise UsageError("you must provide the name or id of a running pod", see=False)
    what = "unable to look up requested container"
    pod = latest(call) if call.flags.on("latest") else _found(call, call.args[0], what)
    words = call.args if call.flags.on("latest") else call.args[1:]
    columns = parse(words)
    if columns is None:
        unknown = next(word for word in ",".join(words).split(",") if word not in DESCRIPTORS)
        raise InvalidArgument(f"'{unknown}': unknown descriptor")
    rows: list[list[str]] = []
    titles: list[str] = []
    for summary in pod.containers():
        if summary.state == "running":
            found = container_top(call.runtime, summary.id, columns)
            titles = list(found.titles)
            rows += [list(row) for row in found.rows]
    if not titles:
        raise StateError(f"pod {pod.name} has no running containers: pod top can only be used on running pods")
    call.out(table(rows, titles))
    return 0


def stats(call: Call) -> int:
    """Show what the containers of pods use, again and again."""
    flags = call.flags
    if sum((bool(call.args), flags.on("all"), flags.on("latest"))) > 1:
        raise UsageError("--all, --latest and arguments cannot be used together", see=False)
    before: dict[str, ContainerStats] = {}
    while True:
        text = _render(call, _readings(call, before))
        if not flags.on("no-stream") and not flags.on("no-reset"):
            text = "\x1b[H\x1b[2J" + text
        call.out(text)
        if flags.on("no-stream"):
            return 0
        call.flush()
        time.sleep(INTERVAL)


def _readings(call: Call, before: dict[str, ContainerStats]) -> list[dict[str, str]]:
    from wherry.engine.stats import read

    if call.flags.on("latest"):
        pods = [latest(call)]
    else:
        pods = [_found(call, name, "unable to get list of pods") for name in call.args] or call.runtime.pods.list()
    rows = []
    for pod in pods:
        for summary in pod.containers():
            if summary.state != "running":
                continue
            try:
                reading = read(call.runtime, summary.id, before.get(summary.id))
            except NoSuchContainer:
                continue
            before[summary.id] = reading
            rows.append(_row(pod, reading))
    return rows


def _row(pod: Pod, reading: ContainerStats) -> dict[str, str]:
    from wherry.cli.containers_stats import StatsView
    from wherry.model.ids import short

    view = StatsView(reading, False)
    return {
        "CPU": view.cpu(), "MemUsage": view.memory(), "MemUsageBytes": view.memory_binary(),
        "Mem": view.memory_share(), "NetIO": view.net(), "BlockIO": view.block(), "PIDS": view.pids(),
        "Pod": short(pod.id), "CID": view.id(), "Name": view.name(),
    }


def _render(call: Call, rows: list[dict[str, str]]) -> str:
    from wherry.cli.formatting import is_json, render_rows
    from wherry.cli.shapes import parse, wrap
    from wherry.cli.tables import table
    from wherry.model.jsontext import dumps_pretty

    text = call.flags.text("format")
    if not text:
        cells = [[row[name] for name in COLUMNS] for row in rows] or [["--"] * len(COLUMNS)]
        return table(cells, [HEADINGS[name] for name in COLUMNS])
    if is_json(text):
        return dumps_pretty(rows, 5) + "\n"
    shape = parse(ROW)
    return render_rows("stats", text, [wrap(shape, row) for row in rows], HEADINGS)
