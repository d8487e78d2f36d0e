"""The health check of a container that exists, changed: what ``update --health-*`` makes of its configuration."""

from __future__ import annotations

from wherry.errors import InvalidArgument
from wherry.health.log import destination
from wherry.model.health import HealthConfig
from wherry.spec.resolve_health import INTERVAL, RETRIES, TIMEOUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.model.container import ContainerConfig
    from wherry.spec.container_spec import ContainerSpec

#: Field of the check -> field of the request.
_REGULAR = {
    "test": "health_command", "interval": "health_interval", "timeout": "health_timeout", "retries": "health_retries",
    "start_period": "health_start_period",
}
_STARTUP = {
    "test": "startup_command", "interval": "startup_interval", "timeout": "startup_timeout",
    "retries": "startup_retries", "successes": "startup_successes",
}
#: Field of the configuration, called the same in the request but for the first.
_REST = {
    "health_check_on_failure": "health_on_failure", "health_log_destination": "health_log_destination",
    "health_max_log_count": "health_max_log_count", "health_max_log_size": "health_max_log_size",
}


def health_changes(config: ContainerConfig, asked: ContainerSpec) -> dict[str, Any]:
    """Fields of the configuration and what they become. Raises ``InvalidArgument`` in Podman's words."""
    regular, startup, rest = (_given(asked, names) for names in (_REGULAR, _STARTUP, _REST))
    changes = dict(rest)
    if "health_log_destination" in rest:
        changes["health_log_destination"] = destination(rest["health_log_destination"])
    if asked.health_disabled:
        if regular or startup:
            raise InvalidArgument("cannot specify both --no-healthcheck and other HealthCheck flags")
        return {**changes, "health_check": HealthConfig(test=["NONE"]), "startup_health_check": None}
    if regular:
        changes["health_check"] = _check(config.health_check, regular, "")
    if startup:
        changes["startup_health_check"] = _check(config.startup_health_check, startup, "startup ")
    check = changes.get("health_check", config.health_check)
    if startup and check is None:
        raise InvalidArgument("cannot set a startup healthcheck when there is no regular healthcheck: invalid argument")
    action = changes.get("health_check_on_failure", "none")
    if action != "none" and check is None:
        raise InvalidArgument(f"cannot set on-failure action to {action} without a health check")
    return changes


def _given(asked: ContainerSpec, names: dict[str, str]) -> dict[str, Any]:
    found = {field: getattr(asked, name) for field, name in names.items()}
    return {field: value for field, value in found.items() if value is not None}


def _check(have: HealthConfig | None, wanted: dict[str, Any], kind: str) -> HealthConfig:
    """The check *have* with what is wanted; *kind* is "startup " or empty."""
    if have is None or not have.active:
        if "test" not in wanted:
            flag = "--health-startup-cmd" if kind else "--health-cmd"
            raise InvalidArgument(
                f"{kind}healthcheck command is not set", hint=f"the container has no such check: give {flag} as well"
            )
        have = HealthConfig(interval=INTERVAL, timeout=TIMEOUT, retries=0 if kind else RETRIES)
    if not kind and wanted.get("retries", 1) < 1:
        raise InvalidArgument("healthcheck-retries must be greater than 0")
    if "interval" in wanted:        # "disable" is negative
        wanted = {**wanted, "interval": max(wanted["interval"], 0)}
    return have.replace(**wanted)
