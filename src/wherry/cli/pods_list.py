"""``wherry pod ps`` and ``pod inspect``."""

from __future__ import annotations

import time

from wherry.cli.flags import Flag, UsageError
from wherry.cli.listings import show_inspect, show_list
from wherry.cli.pods import LATEST, latest
from wherry.cli.targets import finish
from wherry.errors import NoSuchPod, NotFound, WherryError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from wherry.cli.call import Call
    from wherry.engine.listing import Summary
    from wherry.engine.pod import Pod

SORTS = ("created", "id", "name", "number", "status")
PS = (
    Flag("ctr-ids", kind="bool", help="Show the containers' ids"),
    Flag("ctr-names", kind="bool", help="Show the containers' names"),
    Flag("ctr-status", kind="bool", help="Show the containers' states"),
    Flag("filter", "f", many=True, metavar="filter", help="Show pods that match this condition (key=value)"),
    Flag("format", metavar="format", help="Show as json or through a Go template"),
    LATEST,
    Flag("no-trunc", kind="bool", aliases=("notruncate",), help="Do not shorten ids"),
    Flag("noheading", "n", "bool", "Leave out the heading"),
    Flag("ns", kind="bool", aliases=("namespace",), help="Show namespaces"),
    Flag("quiet", "q", "bool", "Show ids only"),
    Flag("sort", metavar="choice", default="created", help=f"Sort by {', '.join(SORTS)}"),
)
INSPECT = (
    Flag("format", "f", default="json", metavar="format", help="Show as json or through a Go template"),
    LATEST,
)
SHORT = 12
ROW = """*pods.ListPodReporter{Cgroup:str, ContainerIds:str, ContainerNames:str, ContainerStatuses:str, Created:str,
    Id:str, ID:str, InfraId:str, InfraID:str, Labels:map[str], Name:str, Namespace:str, Networks:str,
    NumberOfContainers:int, Restarts:int, Status:str,
    Containers:[]entities.ListPodContainer{Id:str, Names:str, Status:str, RestartCount:int}}"""
HEADINGS = {
    "Id": "POD ID", "ID": "POD ID", "InfraId": "INFRA ID", "InfraID": "INFRA ID", "ContainerIds": "IDS",
    "ContainerNames": "NAMES", "ContainerStatuses": "STATUS", "NumberOfContainers": "# OF CONTAINERS",
    "Namespace": "NAMESPACES",
}
SHAPE = """*define.InspectPodData{ID=Id:str, Name:str, Namespace:str, Created:time, CreateCommand:[]str, ExitPolicy:str,
    State:str, Hostname:str, Labels:map[str], CreateCgroup:bool, CgroupParent:str, CgroupPath:str, CreateInfra:bool,
    InfraContainerID:str,
    InfraConfig:*define.InspectPodInfraConfig{PortBindings:map[[]define.InspectHostPort{HostIP=HostIp:str,
    HostPort:str}], HostNetwork:bool, StaticIP:str, StaticMAC:str, NoManageResolvConf:bool, DNSServer:[]str,
    DNSSearch:[]str, DNSOption:[]str, NoManageHostname:bool, NoManageHosts:bool, HostAdd:[]str, HostsFile:str,
    Networks:[]str, NetworkOptions:map[[]str], PidNS=pid_ns:str, UserNS=userns:str, UtsNS=uts_ns:str},
    SharedNamespaces:[]str, NumContainers:int,
    Containers:[]define.InspectPodContainerInfo{ID=Id:str, Name:str, State:str},
    CPUPeriod=cpu_period:int, CPUQuota=cpu_quota:int, CPUShares=cpu_shares:int, CPUSetCPUs=cpuset_cpus:str,
    CPUSetMems=cpuset_mems:str, MemoryLimit=memory_limit:int, MemorySwap=memory_swap:int, BlkioWeight=blkio_weight:int,
    RestartPolicy:str, LockNumber:int}"""


def ps(call: Call) -> int:
    """List pods."""
    from wherry.cli.formatting import is_json

    flags = call.flags
    if flags.on("quiet") and flags.given("format"):
        raise UsageError("quiet and format cannot be used together", see=False)
    order = flags.text("sort")
    if order not in SORTS:
        raise UsageError("invalid option for --sort, options are: id, names, or number", see=False)
    rows = _rows(call)
    text = flags.text("format")
    if flags.on("quiet"):
        call.out("".join(row["Id"] + "\n" for row in rows))
    elif is_json(text):
        from wherry.model.jsontext import dumps_pretty

        call.out(dumps_pretty([_json(row) for row in rows], 2) + "\n")
    elif text:
        show_list(call, "list", ROW, [_shown(call, row) for row in rows], HEADINGS)
    else:
        _table(call, rows)
    return 0


def _rows(call: Call) -> list[dict[str, Any]]:
    from wherry.engine.pods import summaries

    flags = call.flags
    pods = [latest(call)] if flags.on("latest") else call.runtime.pods.list(_filters(call))
    members = summaries(call.runtime)
    rows = [_row(pod, members.get(pod.id, ())) for pod in pods]
    order = flags.text("sort")
    if order == "created":
        rows.sort(key=lambda row: str(row["Created"]), reverse=True)
    else:
        key = {"id": "Id", "name": "Name", "number": "NumberOfContainers", "status": "Status"}[order]
        rows.sort(key=lambda row: row[key])
    return rows


def _filters(call: Call) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for text in call.flags.many("filter"):
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"filter input must be in the form of filter=value: {text} is invalid", see=False)
        found.setdefault(key, []).append(value)
    return found


def _row(pod: Pod, members: Sequence[Summary]) -> dict[str, Any]:
    from wherry.engine import pod_status

    state = pod.state()
    return {
        "Cgroup": pod.config.cgroup_parent,
        "Containers": [
            {"Id": member.id, "Names": member.name, "Status": member.state, "RestartCount": member.restarts}
            for member in members
        ],
        "Created": pod.config.created_time,
        "Id": pod.id,
        "InfraId": state.infra_id,
        "Name": pod.name,
        "Namespace": pod.config.namespace,
        "Networks": [name for member in members if member.is_infra for name in member.networks],
        "Status": pod_status.of([member.state for member in members]),
        "Labels": dict(pod.labels),
        "NumberOfContainers": len(members),
        "Shares": list(pod.config.shares),
        "Restarts": sum(member.restarts for member in members),
    }


def _json(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in ("NumberOfContainers", "Shares", "Restarts")}


def _shown(call: Call, row: dict[str, Any]) -> dict[str, Any]:
    """The row as templates and tables show it: ids cut, times told, lists joined."""
    from wherry.cli.units import human_duration
    from wherry.model.timestamps import parse_ns

    full = call.flags.on("no-trunc")
    shown = dict(row)
    for key in ("Id", "InfraId"):
        shown[key] = shown[key.upper().replace("INFRAID", "InfraID")] = row[key] if full else row[key][:SHORT]
    shown["Created"] = human_duration(time.time_ns() - parse_ns(row["Created"])) + " ago"
    members = row["Containers"]
    shown["ContainerIds"] = ",".join(member["Id"] if full else member["Id"][:SHORT] for member in members)
    shown["ContainerNames"] = ",".join(member["Names"] for member in members)
    shown["ContainerStatuses"] = ",".join(member["Status"] for member in members)
    shown["Networks"] = ",".join(row["Networks"])
    shown["Namespace"] = ",".join(row["Shares"])
    return shown


def _table(call: Call, rows: Sequence[dict[str, Any]]) -> None:
    from wherry.cli.tables import table

    flags = call.flags
    fields = ["Id", "Name", "Status", "Created", "InfraId"]
    fields += ["Cgroup", "Namespace"] if flags.on("ns") else []
    chosen = [("ctr-names", "ContainerNames"), ("ctr-ids", "ContainerIds"), ("ctr-status", "ContainerStatuses")]
    extra = [field for flag, field in chosen if flags.on(flag)]
    fields += extra or ["NumberOfContainers"]
    titles = [HEADINGS.get(field, field.upper()) for field in fields]
    cells = [[str(_shown(call, row)[field]) for field in fields] for row in rows]
    call.out(table(cells, () if flags.on("noheading") else titles))


def inspect(call: Call) -> int:
    """Show everything about pods."""
    flags = call.flags
    if flags.on("latest") and call.args:
        raise UsageError("--latest and arguments cannot be used together", see=False)
    if not call.args and not flags.on("latest"):
        raise UsageError("no names or ids specified", see=False)
    trees: list[dict[str, Any]] = []
    errors: list[WherryError] = []
    if flags.on("latest"):
        trees.append(latest(call).inspect())
    for name in call.args:
        try:
            trees.append(tree(call, name))
        except WherryError as error:
            errors.append(error)
    show_inspect(call, "pod inspect", SHAPE, trees)
    return finish(errors)


def tree(call: Call, name: str) -> dict[str, Any]:
    """The tree of one pod. Raises ``NotFound`` in the words of inspect."""
    try:
        return call.runtime.pods.get(name).inspect()
    except NoSuchPod:
        raise NotFound(f"inspecting object: no such pod {name}") from None
