"""``wherry healthcheck``."""

from __future__ import annotations

from wherry.cli.flags import Flag
from wherry.errors import NoSuchContainer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.call import Call

RUN = (
    Flag("ignore-result", kind="bool", help="Exit with 0 whatever the health check finds"),
    Flag("scheduled", kind="bool", hidden=True, help="Run by a timer"),
)


def run(call: Call) -> int:
    """Run a container's health check; print what it says unless it is good."""
    from wherry.model.health import HEALTHY

    text = call.args[0]
    if call.flags.on("scheduled"):
        from wherry.engine.healthcheck import scheduled

        scheduled(call.runtime, text)
        return 0
    try:
        container = call.runtime.containers.get(text)
    except NoSuchContainer as error:
        error.message = f"unable to look up {text} to perform a health check: {error.message}"
        raise
    result = container.healthcheck()
    if result.status == HEALTHY:
        return 0
    call.out(result.status + "\n")
    return 0 if call.flags.on("ignore-result") else 1


def supervise(call: Call) -> int:
    """Run the probes that are scheduled in a directory; started by the engine on hosts without systemd."""
    from wherry.health.supervisor import supervise as look_after

    look_after(call.args[0], call.args[1:])
    return 0
