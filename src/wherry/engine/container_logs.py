"""logs: the lines of a container, as an iterator the caller closes."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.engine.runtime import Runtime
    from wherry.logs.line import LogStream


def open_logs(
    runtime: Runtime, identity: str, *, follow: bool = False, tail: int = -1, since: str = "", until: str = ""
) -> LogStream:
    """The container's log from its driver. Raises ``WherryError`` for drivers that keep none."""
    from wherry.logs.options import LogOptions
    from wherry.logs.read import read
    from wherry.model.timespec import parse_since, parse_until

    config = runtime.state.container_config(identity)
    options = LogOptions(
        since_ns=parse_since(since) if since else 0,
        until_ns=parse_until(until) if until else 0,
        tail=tail,
        follow=follow,
    )
    return read(config.log_driver, config.log_path, identity, options, finished=lambda: not running(runtime, identity))


def running(runtime: Runtime, identity: str) -> bool:
    """May more lines come? False as soon as the process is gone."""
    from wherry.errors import NoSuchContainer
    from wherry.model.status import ALIVE
    from wherry.sys.processes import is_alive

    try:
        state = runtime.state.container_state(identity)
    except NoSuchContainer:
        return False
    return state.status in ALIVE and is_alive(state.conmon_pid, state.conmon_start)
