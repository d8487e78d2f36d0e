"""List rows: what ``ps`` and ``pod ps`` show of an object, read without decoding its configuration.

A row is a tuple of the list columns in the order given here; the same order is that of the INSERT and SELECT
statements, so that making 500 rows costs 500 tuples.  Columns that hold JSON are decoded when they are asked for.
"""

from __future__ import annotations

from _operator import itemgetter

from wherry.model.jsontext import dumps, loads
from wherry.model.network import PortMapping
from wherry.model.timestamps import parse_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wherry.model.container import ContainerConfig, ContainerState
    from wherry.model.pod import PodConfig, PodState

    Column = str | int | None

#: Columns derived from the configuration. ``configured_ports`` to ``cid_file`` hold JSON.
CONFIG_COLUMNS = (
    "id", "name", "namespace", "pod", "image_id", "image_name", "created_ns", "is_infra", "is_service", "auto_remove",
    "restart_policy", "network_mode", "net_ns_ctr",
    "configured_ports", "command", "labels", "exposed_ports", "networks", "mounts", "cid_file",
)
#: Columns derived from the state. ``live_ports`` holds JSON, or is NULL while nothing is published.
STATE_COLUMNS = (
    "status", "pid", "pid_start", "conmon_pid", "conmon_start", "owner_pid", "owner_start", "boot_id",
    "exit_code", "exited", "started_ns", "finished_ns", "restart_count", "stopped_by_user", "health_status",
    "live_ports",
)
#: Columns of a pod.
POD_COLUMNS = ("id", "name", "namespace", "created_ns", "infra_id", "cgroup_parent", "restart_policy", "labels")


def encode(value: object) -> str:
    """JSON for a column. ASCII only: SQLite text must be valid UTF-8 and a path or argument need not be."""
    return dumps(value, ascii_only=True)


def config_columns(config: ContainerConfig) -> tuple[Column, ...]:
    """The values of :data:`CONFIG_COLUMNS`."""
    return (
        config.id,
        config.name,
        config.namespace,
        config.pod or None,
        config.rootfs_image_id,
        config.rootfs_image_name,
        parse_ns(config.created_time),
        int(config.is_infra),
        int(config.is_service),
        int(config.auto_remove),
        config.restart_policy,
        config.network_mode,
        config.net_ns_ctr,
        encode(config.port_mappings),
        encode(config.command),
        encode(config.labels),
        encode(config.exposed_ports),
        encode(list(config.networks)),
        encode(config.user_volumes),
        encode(config.cid_file),
    )


def state_columns(state: ContainerState) -> tuple[Column, ...]:
    """The values of :data:`STATE_COLUMNS`."""
    return (
        state.status,
        state.pid,
        state.pid_start,
        state.conmon_pid,
        state.conmon_start,
        state.owner_pid,
        state.owner_start,
        state.boot_id,
        state.exit_code,
        int(state.exited),
        parse_ns(state.started_time),
        parse_ns(state.finished_time),
        state.restart_count,
        int(state.stopped_by_user),
        state.health_status,
        encode(state.port_mappings) if state.port_mappings else None,
    )


def pod_columns(config: PodConfig, state: PodState) -> tuple[Column, ...]:
    """The values of :data:`POD_COLUMNS`."""
    return (
        config.id,
        config.name,
        config.namespace,
        parse_ns(config.created_time),
        state.infra_id,
        config.cgroup_parent,
        config.restart_policy,
        encode(config.labels),
    )


class ContainerRow(tuple):  # type: ignore[type-arg]  # the bare class: subscripting one costs start-up time
    """What ``ps`` needs of a container: CONFIG_COLUMNS, STATE_COLUMNS and the pod's name.

    Times are ns since the epoch, 0 when unset.  The stored state may be stale: a status in
    :data:`wherry.model.status.ALIVE` holds only while ``boot_id`` is this boot's and ``conmon_pid`` (started at
    ``conmon_start``) lives.
    """

    __slots__ = ()

    if TYPE_CHECKING:
        id: str
        name: str
        namespace: str
        image_id: str
        image_name: str
        created_ns: int
        restart_policy: str
        network_mode: str
        net_ns_ctr: str
        status: str
        pid: int
        pid_start: int
        conmon_pid: int
        conmon_start: int
        owner_pid: int
        owner_start: int
        boot_id: str
        exit_code: int
        started_ns: int
        finished_ns: int
        restart_count: int
        health_status: str
        pod: str                                      # id, "" when in none
        pod_name: str
        is_infra: bool
        is_service: bool
        auto_remove: bool
        exited: bool
        stopped_by_user: bool
        command: Sequence[str]
        labels: Mapping[str, str]
        exposed_ports: Mapping[str, Sequence[str]]
        networks: Sequence[str]                       # names, in the order they were given
        mounts: Sequence[str]                         # destinations the user asked for
        cid_file: str

    @property
    def ports(self) -> list[PortMapping]:
        """Published ports: those in effect, or the configured ones while the container has none in effect."""
        return [PortMapping.from_json(item) for item in loads(self[_LIVE_PORTS] or self[_CONFIGURED_PORTS])]


class PodRow(tuple):  # type: ignore[type-arg]
    """What ``pod ps`` needs of a pod besides the rows of its containers. ``created_ns`` is ns since the epoch."""

    __slots__ = ()

    if TYPE_CHECKING:
        id: str
        name: str
        namespace: str
        created_ns: int
        infra_id: str
        cgroup_parent: str
        restart_policy: str
        labels: Mapping[str, str]


_CONTAINER_COLUMNS = (*CONFIG_COLUMNS, *STATE_COLUMNS, "pod_name")
_CONFIGURED_PORTS = _CONTAINER_COLUMNS.index("configured_ports")
_LIVE_PORTS = _CONTAINER_COLUMNS.index("live_ports")
_TEXT_OR_NULL = ("pod", "pod_name")
_FLAGS = ("is_infra", "is_service", "auto_remove", "exited", "stopped_by_user")
_JSON = ("command", "labels", "exposed_ports", "networks", "mounts", "cid_file")


def _decoded(index: int) -> property:
    return property(lambda row: loads(row[index]))


def _flag(index: int) -> property:
    return property(lambda row: bool(row[index]))


def _text_or_null(index: int) -> property:
    return property(lambda row: row[index] or "")


def _define(row: type, columns: tuple[str, ...]) -> None:
    """Give the row class one read-only attribute per column."""
    for index, name in enumerate(columns):
        if name in _JSON:
            value = _decoded(index)
        elif name in _FLAGS:
            value = _flag(index)
        elif name in _TEXT_OR_NULL:
            value = _text_or_null(index)
        else:
            value = property(itemgetter(index))
        setattr(row, name, value)


_define(ContainerRow, _CONTAINER_COLUMNS)
_define(PodRow, POD_COLUMNS)
