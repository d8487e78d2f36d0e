"""``wherry events``."""

from __future__ import annotations

from wherry.cli.flags import Flag
from wherry.cli.gotemplate.gotime import GoTime
from wherry.cli.gotemplate.values import View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from wherry.cli.call import Call
    from wherry.model.event import Event

EVENTS = (
    Flag("filter", "f", many=True, metavar="filter", help="Show events that match this condition (key=value)"),
    Flag("format", metavar="template", help="Show as json lines or through a Go template"),
    Flag("no-trunc", kind="bool", default="true", help="Do not shorten ids"),
    Flag("since", metavar="timestamp", help="Begin with events after this time (or duration, such as 10m)"),
    Flag("stream", kind="bool", default="true", help="Go on with new events"),
    Flag("until", metavar="timestamp", help="End with events before this time"),
)


def events(call: Call) -> int:
    """Show what happened, and what happens."""
    flags = call.flags
    show = _renderer(call)
    stream = call.runtime.events(
        since=flags.text("since"), until=flags.text("until"), filters=flags.many("filter"), follow=flags.on("stream")
    )
    with stream:
        for event in stream:
            call.out(show(event))
            call.flush()
    return 0


def _renderer(call: Call) -> Callable[[Event], str]:
    from wherry.cli.formatting import is_json

    text = call.flags.text("format")
    if not text:
        from wherry.events.human import line

        truncate = not call.flags.on("no-trunc")
        return lambda event: line(event, truncate=truncate) + "\n"
    if is_json(text):
        from wherry.events.codec import to_json
        from wherry.model.jsontext import dumps

        return lambda event: dumps(to_json(event)) + "\n"
    from wherry.cli.formatting import render_one

    return lambda event: render_one("events", text, EventView(event))


class EventView(View):
    """What a template of ``events`` sees."""

    type_name = "events.Event"
    go_names = {
        "Attributes": "attributes", "ContainerExitCode": "exit_code", "ContainerInspectData": "inspect_data",
        "Details": "details", "Error": "error", "HealthStatus": "health_status", "ID": "id", "Image": "image",
        "Name": "name", "Network": "network", "PodID": "pod_id", "Status": "status", "Time": "time",
        "TimeNano": "time_ns", "Type": "type",
    }

    def __init__(self, event: Event) -> None:
        self._event = event

    @property
    def json(self) -> Any:
        from wherry.events.codec import to_json

        return to_json(self._event)

    @property
    def attributes(self) -> dict[str, str]:
        return dict(sorted(self._event.attributes.items()))

    @property
    def details(self) -> dict[str, Any]:
        return {"ID": self._event.pod_id, "Attributes": self.attributes}

    @property
    def exit_code(self) -> int | None:
        return self._event.exit_code

    @property
    def inspect_data(self) -> str:
        return self._event.inspect_data

    @property
    def error(self) -> str:
        return self._event.error

    @property
    def health_status(self) -> str:
        return self._event.health_status

    @property
    def id(self) -> str:
        return self._event.id

    @property
    def image(self) -> str:
        return self._event.image

    @property
    def name(self) -> str:
        return self._event.name

    @property
    def network(self) -> str:
        return self._event.network

    @property
    def pod_id(self) -> str:
        return self._event.pod_id

    @property
    def status(self) -> str:
        return self._event.status

    @property
    def time(self) -> GoTime:
        return GoTime(self._event.time_ns)

    @property
    def time_ns(self) -> int:
        return self._event.time_ns

    @property
    def type(self) -> str:
        return self._event.type
