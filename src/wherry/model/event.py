"""Events: what happened to which object, when."""

from __future__ import annotations

from wherry.model.record import EMPTY, Record, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class Event(Record):
    """One event. The JSON keys are those of Podman's file backend (reference: ``podman events --format json``)."""

    id: str = field(default="", key="ID")
    name: str = field(default="", key="Name")
    image: str = field(default="", key="Image")
    type: str = field(default="", key="Type")              # container, pod, image, volume, network, secret, system
    status: str = field(default="", key="Status")          # create, start, died, ...
    time_ns: int = field(default=0, key="timeNano")        # ns since the epoch
    pod_id: str = field(default="", key="PodID")
    network: str = ""
    exit_code: int | None = field(default=None, key="ContainerExitCode")
    health_status: str = ""
    health_failing_streak: int = 0
    health_log: str = ""                                   # JSON of the probe's result, destination events_logger only
    error: str = field(default="", key="Error")
    inspect_data: str = field(default="", key="ContainerInspectData")
    attributes: Mapping[str, str] = field(default=EMPTY, key="Attributes")
