"""``wherry system df``."""

from __future__ import annotations

import time

from wherry.cli.flags import Flag, UsageError
from wherry.cli.units import human_duration, human_size
from wherry.model.timestamps import parse_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.cli.call import Call
    from wherry.engine.disk_usage import DiskUsage

DF = (
    Flag("format", metavar="format", help="Show as json or through a Go template"),
    Flag("verbose", "v", "bool", "Show every image, container and volume"),
)
SHORT = 12


def df(call: Call) -> int:
    """Show what images, containers and volumes take."""
    from wherry.engine.disk_usage import disk_usage

    flags = call.flags
    if flags.on("verbose") and flags.given("format"):
        raise UsageError("cannot combine --format and --verbose flags", see=False)
    usage = disk_usage(call.runtime)
    if flags.on("verbose"):
        call.out(_verbose(usage))
        return 0
    rows = _rows(usage)
    format = flags.text("format")
    if format:
        from wherry.cli.formatting import is_json, render_rows, title
        from wherry.model.jsontext import dumps_pretty

        if is_json(format):
            call.out(dumps_pretty(rows, 4) + "\n")
        else:
            call.out(render_rows("df", format, rows, {name: title(name) for name in rows[0]}))
        return 0
    from wherry.cli.tables import table

    names = ("Type", "Total", "Active", "Size", "Reclaimable")
    call.out(table([[str(row[name]) for name in names] for row in rows], [name.upper() for name in names]))
    return 0


def _rows(usage: DiskUsage) -> list[dict[str, Any]]:
    running = [one for one in usage.containers if one.summary.state == "running"]
    written = sum(one.size for one in usage.containers)
    volumes = sum(one.size for one in usage.volumes)
    return [
        _row("Images", len(usage.images), sum(1 for one in usage.images if one.containers), usage.layers,
             usage.layers - usage.layers_in_use),
        _row("Containers", len(usage.containers), len(running), written, written - sum(one.size for one in running)),
        _row("Local Volumes", len(usage.volumes), sum(1 for one in usage.volumes if one.links), volumes,
             sum(one.size for one in usage.volumes if not one.links)),
    ]


def _row(kind: str, total: int, active: int, size: int, reclaimable: int) -> dict[str, Any]:
    percent = round(reclaimable * 100 / size) if size else 0
    return {
        "Type": kind, "Total": total, "Active": active, "RawSize": size, "RawReclaimable": reclaimable,
        "TotalCount": total, "Size": human_size(size), "Reclaimable": f"{human_size(reclaimable)} ({percent}%)",
    }


def _verbose(usage: DiskUsage) -> str:
    from wherry.cli.images_list import split_name
    from wherry.cli.tables import table

    now = time.time_ns()
    images = [
        [
            *split_name(name), one.record.id[:SHORT], human_duration(now - parse_ns(one.record.created)),
            human_size(one.size), human_size(one.shared), human_size(one.unique), str(one.containers),
        ]
        for one in usage.images for name in (one.record.names or [""])
    ]
    containers = [
        [
            one.summary.id[:SHORT], one.summary.image_id[:SHORT], " ".join(one.summary.command), str(one.volumes),
            human_size(one.size), human_duration(now - one.summary.created * 1_000_000_000), one.summary.state,
            one.summary.name,
        ]
        for one in usage.containers
    ]
    volumes = [[one.name, str(one.links), human_size(one.size)] for one in usage.volumes]
    return "\n".join((
        "Images space usage:\n",
        table(images, ("REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE", "SHARED SIZE", "UNIQUE SIZE",
                       "CONTAINERS")),
        "Containers space usage:\n",
        table(containers, ("CONTAINER ID", "IMAGE", "COMMAND", "LOCAL VOLUMES", "SIZE", "CREATED", "STATUS",
                           "NAMES")),
        "Local Volumes space usage:\n",
        table(volumes, ("VOLUME NAME", "LINKS", "SIZE")),
    ))
