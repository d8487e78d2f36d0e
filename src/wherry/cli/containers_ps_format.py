"""``wherry ps --format``: JSON and templates."""

from __future__ import annotations

from wherry.cli.containers_ps import NAMESPACES, Row
from wherry.cli.formatting import is_json, is_table, render_rows, title
from wherry.cli.gotemplate.gotime import ZERO_SECONDS, GoTime
from wherry.cli.gotemplate.values import NilMap, View
from wherry.model import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from wherry.cli.call import Call

#: Column titles that are not the field's name taken apart.
HEADINGS = {
    "CGROUPNS": "cgroupns", "CreatedHuman": "created", "ID": "container id", "ImageID": "image id", "IPC": "ipc",
    "MNT": "mnt", "NET": "net", "Networks": "networks", "PIDNS": "pidns", "Pod": "pod id", "PodName": "podname",
    "RunningFor": "running for", "USERNS": "userns", "UTS": "uts",
}
_NAMESPACE_KEYS = {
    "Mnt": "mnt", "Cgroup": "cgroup", "Ipc": "ipc", "Net": "net", "Pidns": "pid", "Uts": "uts", "User": "user",
}


def render(call: Call, rows: Sequence[Row], text: str) -> str:
    """The listing as *text* (``--format``) asks for it."""
    if is_json(text):
        with_namespaces = call.flags.on("ns")
        return jsontext.dumps_pretty([tree(row, with_namespaces) for row in rows]) + "\n"
    if call.flags.on("quiet") and is_table(text):
        return "".join(row.id() + "\n" for row in rows)
    text = text.replace(".Namespaces.", ".")
    headings = {name: HEADINGS.get(name, title(name)).upper() for name in PsView.go_names}
    return render_rows(
        "ps", text, [PsView(row) for row in rows], headings, heading=not call.flags.on("noheading")
    )


def tree(row: Row, with_namespaces: bool = False) -> dict[str, Any]:
    """One element of ``ps --format json``."""
    summary = row.summary
    size = summary.size
    return {
        "AutoRemove": summary.auto_remove,
        "Command": list(summary.command),
        "CreatedAt": row.created(),
        "CIDFile": summary.cid_file,
        "Exited": summary.exited,
        "ExitedAt": summary.exited_at or ZERO_SECONDS,
        "ExitCode": summary.exit_code,
        "ExposedPorts": {port: list(summary.exposed_ports[port]) for port in sorted(summary.exposed_ports)} or None,
        "Id": summary.id,
        "Image": summary.image,
        "ImageID": summary.image_id,
        "IsInfra": summary.is_infra,
        "Labels": {key: summary.labels[key] for key in sorted(summary.labels)} or None,
        "Mounts": list(summary.mounts),
        "Names": list(summary.names),
        "Namespaces": _namespaces(row) if with_namespaces else {},
        "Networks": list(summary.networks),
        "Pid": summary.pid,
        "Pod": summary.pod,
        "PodName": summary.pod_name,
        "Ports": [_port(port) for port in summary.ports] or None,
        "Restarts": summary.restarts,
        "Size": None if size is None else {"rootFsSize": size[1], "rwSize": size[0]},
        "StartedAt": summary.started_at or ZERO_SECONDS,
        "State": summary.state,
        "Status": row.status(),
        "Created": summary.created,
    }


def _port(port: Any) -> dict[str, Any]:
    return {
        "host_ip": port.host_ip,
        "container_port": port.container_port,
        "host_port": port.host_port,
        "range": port.range,
        "protocol": port.protocol,
    }


def _namespaces(row: Row) -> dict[str, str]:
    found = {key: row.namespace(kind) for key, kind in _NAMESPACE_KEYS.items()}
    return {key: value for key, value in found.items() if value}


class PsView(View):
    """What a template of ``ps`` sees of a container."""

    type_name = "containers.psReporter"
    go_names = {
        "AutoRemove": "auto_remove", "CGROUPNS": "cgroup_ns", "CIDFile": "cid_file", "Cgroup": "cgroup_ns",
        "Command": "command", "Created": "created", "CreatedAt": "created_at", "CreatedHuman": "created_human",
        "ExitCode": "exit_code", "Exited": "exited", "ExitedAt": "exited_at", "ExposedPorts": "exposed_ports",
        "ID": "id", "IPC": "ipc", "Id": "full_id", "Image": "image", "ImageID": "image_id", "IsInfra": "is_infra",
        "Label": "label", "Labels": "labels", "MNT": "mnt", "Mounts": "mounts", "NET": "net", "Names": "names",
        "Networks": "networks", "PIDNS": "pid_ns", "Pid": "pid", "Pod": "pod", "PodName": "pod_name", "Ports": "ports",
        "Restarts": "restarts", "RunningFor": "created_human", "Size": "size", "StartedAt": "started_at",
        "State": "state", "Status": "status", "USERNS": "user_ns", "UTS": "uts", "User": "user_ns",
    }

    def __init__(self, row: Row) -> None:
        self._row = row
        self._summary = row.summary

    @property
    def json(self) -> Any:
        return tree(self._row)

    def id(self) -> str:
        return self._row.id()

    def image_id(self) -> str:
        return self._row.cut(self._summary.image_id)

    def command(self) -> str:
        return self._row.command()

    def created_at(self) -> str:
        return str(self.created)

    def created_human(self) -> str:
        return self._row.created()

    def status(self) -> str:
        return self._row.status()

    def state(self) -> str:
        return self._summary.state

    def ports(self) -> str:
        return self._row.ports()

    def names(self) -> str:
        return self._row.names()

    def networks(self) -> str:
        return ",".join(self._summary.networks)

    def mounts(self) -> str:
        return ",".join(self._summary.mounts)

    def size(self) -> str:
        return self._row.size()

    def pod(self) -> str:
        return self._row.pod()

    def label(self, name: str) -> str:
        return self._summary.labels.get(name, "")

    def restarts(self) -> str:
        return str(self._summary.restarts)

    def cgroup_ns(self) -> str:
        return self._row.namespace(NAMESPACES["CGROUPNS"])

    def ipc(self) -> str:
        return self._row.namespace(NAMESPACES["IPC"])

    def mnt(self) -> str:
        return self._row.namespace(NAMESPACES["MNT"])

    def net(self) -> str:
        return self._row.namespace(NAMESPACES["NET"])

    def pid_ns(self) -> str:
        return self._row.namespace(NAMESPACES["PIDNS"])

    def user_ns(self) -> str:
        return self._row.namespace(NAMESPACES["USERNS"])

    def uts(self) -> str:
        return self._row.namespace(NAMESPACES["UTS"])

    @property
    def created(self) -> GoTime:
        return GoTime(self._summary.created * 1_000_000_000)

    @property
    def full_id(self) -> str:
        return self._summary.id

    @property
    def image(self) -> str:
        return self._summary.image

    @property
    def pid(self) -> int:
        return self._summary.pid

    @property
    def pod_name(self) -> str:
        return self._summary.pod_name

    @property
    def labels(self) -> dict[str, str]:
        return dict(self._summary.labels) or NilMap()

    @property
    def auto_remove(self) -> bool:
        return self._summary.auto_remove

    @property
    def cid_file(self) -> str:
        return self._summary.cid_file

    @property
    def exit_code(self) -> int:
        return self._summary.exit_code

    @property
    def exited(self) -> bool:
        return self._summary.exited

    @property
    def exited_at(self) -> int:
        return self._summary.exited_at or ZERO_SECONDS

    @property
    def started_at(self) -> int:
        return self._summary.started_at or ZERO_SECONDS

    @property
    def is_infra(self) -> bool:
        return self._summary.is_infra

    @property
    def exposed_ports(self) -> dict[str, list[str]]:
        return {str(port): list(protocols) for port, protocols in self._summary.exposed_ports.items()}
