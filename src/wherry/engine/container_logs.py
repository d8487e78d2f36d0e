"""logs: the lines of a container, as an iterator the caller closes."""

from __future__ import annotations

from wherry.model.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from wherry.engine.runtime import Runtime
    from wherry.logs.line import LogStream
    from wherry.model.container import ContainerConfig, ContainerState


class LogLine(Record):
    """One line: when it was written (ns since the epoch), to which stream, and its text without the newline."""

    time_ns: int = 0
    stream: str = ""
    text: str = ""


class ContainerLogs:
    """An iterator over :class:`LogLine`; close it when you stop before the end."""

    def __init__(self, stream: LogStream) -> None:
        self.raw = stream

    def __iter__(self) -> Iterator[LogLine]:
        for line in self.raw:
            yield LogLine(time_ns=line.time_ns, stream=line.stream, text=line.text.decode(errors="surrogateescape"))

    def close(self) -> None:
        self.raw.close()


def open_logs(
    runtime: Runtime, identity: str, *, follow: bool = False, tail: int = -1, since: str = "", until: str = ""
) -> ContainerLogs:
    """The container's log from its driver. Raises ``WherryError`` for drivers that keep none."""
    from wherry.logs.line import LogOptions
    from wherry.logs.reader import read
    from wherry.model.timespec import parse_range

    config, state = runtime.state.container(identity)
    since_ns, until_ns = parse_range(since, until)
    options = LogOptions(since_ns=since_ns, until_ns=until_ns, tail=tail, follow=follow)
    stream = read(
        config.log_driver,
        config.log_path,
        container_id=identity,
        options=options,
        finished=lambda: not running(runtime, identity),
        pid=state.conmon_pid if follow else 0,
    )
    return ContainerLogs(stream)


def running(runtime: Runtime, identity: str) -> bool:
    """May more lines come? False as soon as the process is gone, unless the restart policy starts it again."""
    from wherry.errors import NoSuchContainer
    from wherry.model.status import ALIVE
    from wherry.sys.processes import is_alive

    try:
        state = runtime.state.container_state(identity)
        if state.status in ALIVE and is_alive(state.conmon_pid, state.conmon_start):
            return True
        return _starts_again(runtime.state.container_config(identity), state)
    except NoSuchContainer:
        return False


def _starts_again(config: ContainerConfig, state: ContainerState) -> bool:
    """Is the container being started, or will its restart policy do that?"""
    from wherry.model.status import EXITED, STOPPED
    from wherry.sys.processes import is_alive

    if state.restart_policy_match or (state.owner_pid and is_alive(state.owner_pid, state.owner_start)):
        return True
    policy = config.restart_policy
    if state.status == EXITED or state.stopped_by_user or policy not in ("always", "unless-stopped", "on-failure"):
        return False
    if policy != "on-failure" or state.status != STOPPED:
        return True         # or its end is not recorded yet: the exit command is about to
    return state.exit_code != 0 and (config.restart_retries <= 0 or state.restart_count < config.restart_retries)
