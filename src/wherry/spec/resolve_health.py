"""Health checks: what the request says over what the image says."""

from __future__ import annotations

from wherry.errors import InvalidArgument
from wherry.model.health import HealthConfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.spec.resolve_inputs import Inputs

_SECOND = 10**9
INTERVAL = 30 * _SECOND
TIMEOUT = 30 * _SECOND
RETRIES = 3


def checks(inputs: Inputs) -> tuple[HealthConfig | None, HealthConfig | None]:
    """The regular check and the startup check; ``None`` where there is none."""
    spec = inputs.spec
    regular = _regular(inputs)
    startup = None
    if spec.startup_command:
        startup = HealthConfig(
            test=spec.startup_command,
            interval=INTERVAL if spec.startup_interval is None else max(spec.startup_interval, 0),
            timeout=TIMEOUT if spec.startup_timeout is None else spec.startup_timeout,
            retries=spec.startup_retries or 0,
            successes=spec.startup_successes or 0,
        )
        if regular is None:
            raise InvalidArgument(
                "cannot set a startup healthcheck when there is no regular healthcheck: invalid argument"
            )
    action = spec.health_on_failure or "none"
    if action != "none" and regular is None:
        raise InvalidArgument(f"cannot set on-failure action to {action} without a health check")
    if spec.sdnotify == "healthy" and regular is None and startup is None:
        raise InvalidArgument('invalid argument: sdnotify policy "healthy" requires a healthcheck to be set')
    return regular, startup


def _regular(inputs: Inputs) -> HealthConfig | None:
    spec = inputs.spec
    if spec.health_disabled:
        return HealthConfig(test=["NONE"])
    if spec.health_command:
        return HealthConfig(
            test=spec.health_command,
            interval=INTERVAL if spec.health_interval is None else max(spec.health_interval, 0),
            retries=RETRIES if spec.health_retries is None else spec.health_retries,
            timeout=TIMEOUT if spec.health_timeout is None else spec.health_timeout,
            start_period=spec.health_start_period or 0,
        )
    document = inputs.defaults.get("Healthcheck")
    if not document:
        return None
    image = HealthConfig.from_json(document)
    interval = spec.health_interval or image.interval or INTERVAL
    return image.replace(
        interval=max(interval, 0),
        retries=spec.health_retries or image.retries or RETRIES,
        timeout=spec.health_timeout or image.timeout or TIMEOUT,
        start_period=spec.health_start_period or image.start_period,
    )
