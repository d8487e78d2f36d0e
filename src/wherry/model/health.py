"""Health checks: configuration (Docker's image-spec extension; keys of containers/image ``Schema2HealthConfig``)."""

from __future__ import annotations

from wherry.model.record import Record, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


#: What the status of a container with a health check may be. Before its first start it is empty.
STARTING = "starting"
HEALTHY = "healthy"
UNHEALTHY = "unhealthy"
#: What a probe says that was overtaken by the end of its container.
STOPPED = "stopped"

#: What may be done to a container that turns unhealthy.
KILL = "kill"
RESTART = "restart"
STOP = "stop"


class HealthConfig(Record):
    """Durations are nanoseconds, as in the image configuration."""

    test: Sequence[str] = field(default=(), key="Test")
    start_period: int = field(default=0, key="StartPeriod")
    start_interval: int = field(default=0, key="StartInterval")
    interval: int = field(default=0, key="Interval")
    timeout: int = field(default=0, key="Timeout")
    retries: int = field(default=0, key="Retries")
    successes: int = field(default=0, key="Successes")     # startup checks only

    @property
    def active(self) -> bool:
        """Is there anything to run? ``["NONE"]`` says that the image's check is not wanted."""
        return bool(self.test) and self.test[0].upper() not in ("", "NONE")

    @property
    def command(self) -> list[str]:
        """The words to run in the container; empty if the check has none.

        ``CMD-SHELL`` means /bin/sh, whatever shell the image was built with: as Podman does.
        """
        words = list(self.test)
        if not self.active:
            return []
        if words[0] == "CMD":
            return words[1:]
        if words[0] == "CMD-SHELL":
            line = " ".join(words[1:])
            return ["/bin/sh", "-c", line] if line else []
        return words
