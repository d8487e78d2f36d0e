"""Events as JSON: a record of the log file, and an object of ``events --format json``.

The log file's keys and their order are those libpod writes (observed: Podman 4.3.1 with ``events_logger="file"``):
``Time`` is RFC 3339 with nanoseconds, ``Attributes`` is null rather than absent.
"""

from __future__ import annotations

from wherry.model.event import Event
from wherry.model.jsontext import dumps, loads
from wherry.model.timestamps import SECOND, format_ns, parse_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Key of the log file -> attribute of Event, in the order they are written. Time and Attributes are special.
_FILE_KEYS = {
    "ContainerExitCode": "exit_code",
    "ID": "id",
    "Image": "image",
    "Name": "name",
    "network": "network",
    "Status": "status",
    "Time": "time_ns",
    "Type": "type",
    "health_status": "health_status",
    "health_log": "health_log",
    "health_failing_streak": "health_failing_streak",
    "error": "error",
    "ContainerInspectData": "inspect_data",
    "PodID": "pod_id",
    "Attributes": "attributes",
}
#: Keys that are written even when they are empty.
_ALWAYS = ("Status", "Time", "Type", "Attributes")


def to_line(event: Event) -> str:
    """The record of the log file, without a newline."""
    record: dict[str, Any] = {}
    for key, name in _FILE_KEYS.items():
        value = getattr(event, name)
        if key == "Time":
            value = format_ns(event.time_ns)
        elif key == "Attributes":
            value = dict(sorted(event.attributes.items())) or None
        if key in _ALWAYS or not (value is None or value == "" or (key == "health_failing_streak" and not value)):
            record[key] = value
    return dumps(record)


def from_line(line: str | bytes) -> Event:
    """Decode a record of the log file. Raises :class:`ValueError` when it is none."""
    record = loads(line)
    if not isinstance(record, dict):
        raise ValueError(f"{line!r} is not an event")
    values = {name: record[key] for key, name in _FILE_KEYS.items() if record.get(key) is not None}
    values["time_ns"] = parse_ns(str(values.get("time_ns", "")))
    return Event(**values)


def to_json(event: Event) -> dict[str, Any]:
    """The object ``events --format json`` prints: keys and order of Podman 5."""
    shown: dict[str, Any] = {}
    for key, value in (
        ("ContainerExitCode", event.exit_code),
        ("ID", event.id),
        ("Image", event.image),
        ("Name", event.name),
        ("network", event.network),
        ("Status", event.status),
        ("time", event.time_ns // SECOND),
        ("timeNano", event.time_ns),
        ("Type", event.type),
        ("health_status", event.health_status),
        ("Error", event.error),
        ("ContainerInspectData", event.inspect_data),
        ("PodID", event.pod_id),
    ):
        if key in ("Status", "Type") or (value != 0 if key in ("time", "timeNano") else value not in (None, "")):
            shown[key] = value
    shown["Attributes"] = dict(sorted(event.attributes.items())) or None
    return shown
