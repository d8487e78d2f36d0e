"""Health check configuration (Docker's image-spec extension; keys of containers/image ``Schema2HealthConfig``)."""

from __future__ import annotations

from wherry.model.record import Record, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class HealthConfig(Record):
    """Durations are nanoseconds, as in the image configuration."""

    test: Sequence[str] = field(default=(), key="Test")
    start_period: int = field(default=0, key="StartPeriod")
    start_interval: int = field(default=0, key="StartInterval")
    interval: int = field(default=0, key="Interval")
    timeout: int = field(default=0, key="Timeout")
    retries: int = field(default=0, key="Retries")
    successes: int = field(default=0, key="Successes")     # startup checks only
