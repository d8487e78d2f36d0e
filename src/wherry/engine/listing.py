"""ps: summaries of containers from the list columns, without decoding a configuration."""

from __future__ import annotations

import os

from wherry.model import status
from wherry.model.network import PortMapping
from wherry.model.record import EMPTY, Record, field
from wherry.model.timestamps import SECOND
from wherry.sys.processes import boot_id, is_alive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wherry.engine.runtime import Runtime
    from wherry.state.rows import ContainerRow

#: What a container of another engine (Buildah, Podman) on the same store is shown as.
EXTERNAL = "storage"


class Summary(Record):
    """One line of ``ps``. The JSON keys are those of ``podman ps --format json``."""

    id: str = field(default="", key="Id")
    names: Sequence[str] = field(default=(), key="Names")
    image: str = field(default="", key="Image")
    image_id: str = field(default="", key="ImageID")
    command: Sequence[str] = field(default=(), key="Command")
    created: int = field(default=0, key="Created")             # seconds since the epoch
    started_at: int = field(default=0, key="StartedAt")
    exited_at: int = field(default=0, key="ExitedAt")
    exited: bool = field(default=False, key="Exited")
    exit_code: int = field(default=0, key="ExitCode")
    state: str = field(default="", key="State")
    pid: int = field(default=0, key="Pid")
    labels: Mapping[str, str] = field(default=EMPTY, key="Labels")
    mounts: Sequence[str] = field(default=(), key="Mounts")
    networks: Sequence[str] = field(default=(), key="Networks")
    ports: Sequence[PortMapping] = field(default=(), key="Ports", records=PortMapping)
    exposed_ports: Mapping[str, Sequence[str]] = field(default=EMPTY, key="ExposedPorts")
    pod: str = field(default="", key="Pod")
    pod_name: str = field(default="", key="PodName")
    is_infra: bool = field(default=False, key="IsInfra")
    auto_remove: bool = field(default=False, key="AutoRemove")
    cid_file: str = field(default="", key="CIDFile")
    restarts: int = field(default=0, key="Restarts")
    health: str = field(default="", key="Health")
    size: Sequence[int] | None = field(default=None, key="Size")   # (read-write, total) bytes

    @property
    def name(self) -> str:
        return self.names[0] if self.names else ""


def listing(
    runtime: Runtime,
    *,
    all: bool = False,
    filters: Mapping[str, Sequence[str]] = EMPTY,
    size: bool = False,
    external: bool = False,
    last: int = 0,
) -> list[Summary]:
    """Summaries, oldest first.

    Without *all* (or a status filter, or *last*) only running containers; *last* keeps the n newest; *external* adds
    containers that other engines have on the same store.  Raises ``InvalidArgument`` for a bad filter.
    """
    everything = all or last > 0 or "status" in filters or "exited" in filters
    rows = runtime.state.container_rows(all=True, namespace=runtime.settings.options.namespace)
    if _settled(runtime):
        rows = runtime.state.container_rows(all=True, namespace=runtime.settings.options.namespace)
    rows = _reconciled(runtime, rows)
    found = [_summary(row) for row in rows]
    if any(row.is_infra and row.ports for row in rows):
        found = _with_pod_ports(runtime, found)
    if external:
        found += _external(runtime, {row.id for row in rows})
    if filters:
        from wherry.engine.container_filters import select

        found = select(runtime, found, filters)
    if not everything:
        found = [summary for summary in found if summary.state in (status.RUNNING, status.PAUSED, status.STOPPING)]
    if last > 0:
        found = sorted(found, key=lambda summary: summary.created)[-last:]
    if size:
        found = [_with_size(runtime, summary) for summary in found]
    return found


def _settled(runtime: Runtime) -> bool:
    """Put replacements in order whose process was killed; was there one?"""
    from wherry.engine.intents import REPLACE

    if not any(intent.kind == REPLACE for intent in runtime.state.intents()):
        return False
    from wherry.engine.replace import settle_all

    return settle_all(runtime)


def _reconciled(runtime: Runtime, rows: list[ContainerRow]) -> list[ContainerRow]:
    """Rows as reality has them: a container that seems to live but whose process is gone is reconciled first."""
    busy = [row for row in rows if row.status in status.ALIVE or row.owner_pid]
    if not busy:
        return rows
    boot = boot_id()
    try:
        exited = set(os.listdir(runtime.paths.exits))
    except FileNotFoundError:
        exited = set()
    stale = [
        row.id for row in busy
        if row.id in exited or row.boot_id != boot
        or (row.owner_pid and not is_alive(row.owner_pid, row.owner_start))
        or (row.status in status.ALIVE and not _exists(row))
    ]
    if not stale:
        return rows
    from wherry.errors import NoSuchContainer, WherryError
    from wherry.sys import log

    for identity in stale:
        try:
            with runtime.lock(identity):
                pass        # entering the lock reconciles
        except NoSuchContainer:
            pass
        except WherryError as error:
            log.warning(f"looking at container {identity}: {error}")
    return runtime.state.container_rows(all=True, namespace=runtime.settings.options.namespace)


def _exists(row: ContainerRow) -> bool:
    """Do container process and conmon exist? (A reused pid is found by the commands that take the lock.)"""
    try:
        os.kill(row.pid, 0)
        os.kill(row.conmon_pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _summary(row: ContainerRow) -> Summary:
    return Summary(
        id=row.id,
        names=[row.name],
        image=row.image_name,
        image_id=row.image_id,
        command=row.command,
        created=row.created_ns // SECOND,
        started_at=row.started_ns // SECOND,
        exited_at=row.finished_ns // SECOND,
        exited=row.exited,
        exit_code=row.exit_code,
        state=status.display(row.status),
        pid=row.pid if row.status in status.ALIVE else 0,
        labels=row.labels,
        mounts=row.mounts,
        networks=row.networks,
        ports=row.ports,
        exposed_ports=row.exposed_ports,
        pod=row.pod,
        pod_name=row.pod_name,
        is_infra=row.is_infra,
        auto_remove=row.auto_remove,
        cid_file=row.cid_file,
        restarts=row.restart_count,
        health=row.health_status,
    )


def _with_pod_ports(runtime: Runtime, found: list[Summary]) -> list[Summary]:
    """A member in the network namespace of its pod's infra container has that one's ports (as Podman shows it)."""
    from wherry.errors import NoSuchContainer

    infra = {summary.pod: summary for summary in found if summary.is_infra and summary.ports}

    def ports(summary: Summary) -> Summary:
        of_pod = infra.get(summary.pod) if summary.pod and not summary.is_infra else None
        try:
            if of_pod is not None and runtime.state.container_config(summary.id).net_ns_ctr == of_pod.id:
                return summary.replace(ports=of_pod.ports)
        except NoSuchContainer:     # removed meanwhile
            pass
        return summary

    return [ports(summary) for summary in found]


def _external(runtime: Runtime, known: set[str]) -> list[Summary]:
    """Containers on the store that are not in wherry's database."""
    from wherry.model.timestamps import parse_ns

    found = []
    names = {image.id: image.names for image in runtime.store.images()}
    for container in runtime.store.containers():
        if container.id in known:
            continue
        image_names = names.get(container.image) or ()
        found.append(
            Summary(
                id=container.id,
                names=list(container.names),
                image=image_names[0] if image_names else container.image,
                image_id=container.image,
                command=["buildah" if "buildah" in container.metadata else "storage"],
                created=parse_ns(container.created) // SECOND,
                state=EXTERNAL,
            )
        )
    return found


def _with_size(runtime: Runtime, summary: Summary) -> Summary:
    return summary.replace(size=runtime.store.container_size(summary.id))
