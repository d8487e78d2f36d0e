"""Events as lines for people: the default output of ``events``, and the journal's MESSAGE."""

from __future__ import annotations

import time

from wherry.model.ids import short
from wherry.model.timestamps import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.model.event import Event


def go_time(stamp_ns: int) -> str:
    """Local time as Go prints one by default: ``2006-01-02 15:04:05.999999999 -0700 MST``."""
    seconds, rest = divmod(stamp_ns, SECOND)
    at = time.localtime(seconds)
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    offset = at.tm_gmtoff // 60
    sign = "-" if offset < 0 else "+"
    zone = f"{sign}{abs(offset) // 60:02d}{abs(offset) % 60:02d} {at.tm_zone}"
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', at)}{fraction} {zone}"


def line(event: Event, *, truncate: bool = False) -> str:
    """One line without a newline; *truncate* cuts ids to twelve digits. The forms are those of podman-events(1)."""
    identity = short(event.id) if truncate else event.id
    head = f"{go_time(event.time_ns)} {event.type} {event.status}"
    if event.type in ("container", "pod"):
        return f"{head} {identity} ({', '.join(_details(event))})"
    if event.type == "network":
        if event.status in ("create", "remove"):
            return f"{head} {event.id} (name={event.network}, type={event.attributes.get('driver', '')})"
        return f"{head} {identity} (container={identity}, name={event.network})"
    if event.type == "image":
        return f"{head} {identity} {event.name}" + (f" {event.error}" if event.error else "")
    if event.type == "secret":
        return f"{head} {identity}"
    return f"{head} {event.name}" if event.name else head


def _details(event: Event) -> list[str]:
    details = [f"image={event.image}", f"name={event.name}"]
    if event.pod_id:
        details.append(f"pod_id={event.pod_id}")
    if event.status == "health_status":
        details += [
            f"health_status={event.health_status}",
            f"health_failing_streak={event.health_failing_streak}",
            f"health_log={event.health_log}",
        ]
    details += [f"{key}={value}" for key, value in sorted(event.attributes.items())]
    return details
