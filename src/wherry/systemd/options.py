"""What can be asked of a generated unit."""

from __future__ import annotations

from wherry.errors import InvalidArgument
from wherry.model.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

#: systemd.service(5), "Restart=".
RESTART_POLICIES = ("no", "on-success", "on-failure", "on-abnormal", "on-watchdog", "on-abort", "always")


class UnitOptions(Record):
    """Options of ``generate systemd``; times are seconds, None means not said."""

    new: bool = False                       # the unit makes the container anew with every start
    names: bool = False                     # name units and containers by name, not by id
    restart_policy: str | None = None
    restart_sec: int = 0
    start_timeout: int | None = None
    stop_timeout: int | None = None
    container_prefix: str = "container"
    pod_prefix: str = "pod"
    separator: str = "-"
    wants: Sequence[str] = ()
    after: Sequence[str] = ()
    requires: Sequence[str] = ()
    env: Sequence[str] = ()                 # NAME=value
    header: bool = True
    template: bool = False                  # NAME@.service; implies new


def check(options: UnitOptions) -> None:
    """Raises ``InvalidArgument``."""
    policy = options.restart_policy
    if policy is not None and policy not in RESTART_POLICIES:
        raise InvalidArgument(f"{policy} is not a valid restart policy")


def service_name(prefix: str, separator: str, name: str) -> str:
    """``container-web``; without a prefix the separator goes too."""
    return f"{prefix}{separator}{name}" if prefix else name
