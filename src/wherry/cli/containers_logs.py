"""``wherry logs``."""

from __future__ import annotations

from wherry.cli.containers_stop import LATEST
from wherry.cli.flags import Flag, UsageError
from wherry.model.ids import short

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from wherry.cli.call import Call
    from wherry.engine.container import Container
    from wherry.logs.line import LogOptions, LogStream
    from wherry.logs.writer import LineWriter

LOGS = (
    Flag("color", kind="bool", help="Give the lines of every container a colour"),
    Flag("details", kind="bool", hidden=True),
    Flag("follow", "f", "bool", "Go on with new lines until the container stops"),
    LATEST,
    Flag("names", "n", "bool", "Begin every line with the container's name"),
    Flag("since", metavar="TIMESTAMP", help="Leave out lines before this time (or duration, such as 10m)"),
    Flag("tail", kind="int64", default="-1", metavar="LINES", help="Show only the last lines"),
    Flag("timestamps", "t", "bool", "Begin every line with its time"),
    Flag("until", metavar="TIMESTAMP", help="Leave out lines after this time"),
)
#: Log drivers whose log is a file that can be copied in large pieces.
FILES = ("k8s-file", "json-file", "")


def logs(call: Call) -> int:
    """Show what containers wrote, each line on the stream it came from."""
    flags = call.flags
    if not call.args and not flags.on("latest"):
        raise UsageError("specify at least one container name or ID to log", see=False)
    if call.args and flags.on("latest"):
        raise UsageError("--latest and containers cannot be used together", see=False)
    return show(call, _containers(call))


def show(call: Call, containers: Sequence[Container]) -> int:
    """Show the logs of *containers* as the flags of ``logs`` ask."""
    flags = call.flags
    options = _options(call)
    plain = len(containers) == 1 and not flags.on("color")
    if plain and containers[0].config.log_driver in FILES:
        _copy(call, containers[0], options)
        return 0
    pairs = [
        (_stream(call, container, options), _writer(call, container, index, len(containers)))
        for index, container in enumerate(containers)
    ]
    if len(pairs) > 1 and options.follow:
        _together(pairs)
    else:
        for stream, writer in pairs:
            _write(stream, writer)
    return 0


def _options(call: Call) -> LogOptions:
    from wherry.logs.line import LogOptions
    from wherry.model.timespec import parse_range

    flags = call.flags
    since, until = parse_range(flags.text("since"), flags.text("until"))
    return LogOptions(
        since_ns=since,
        until_ns=until,
        tail=flags.number("tail"),
        follow=flags.on("follow"),
        timestamps=flags.on("timestamps"),
    )


def _containers(call: Call) -> list[Container]:
    runtime = call.runtime
    if call.flags.on("latest"):
        from wherry.cli.targets import latest

        return [runtime.containers.get(latest(runtime))]
    return [runtime.containers.get(name) for name in call.args]


def _copy(call: Call, container: Container, options: LogOptions) -> None:
    from wherry.engine.container_logs import running
    from wherry.logs.copy import copy

    runtime, identity = call.runtime, container.id
    pid = runtime.state.container_state(identity).conmon_pid if options.follow else 0
    copy(
        container.config.log_path, 1, 2, options, finished=lambda: not running(runtime, identity), pid=pid
    )


def _stream(call: Call, container: Container, options: LogOptions) -> LogStream:
    from wherry.engine.container_logs import running
    from wherry.logs.reader import read

    runtime, identity = call.runtime, container.id
    pid = runtime.state.container_state(identity).conmon_pid if options.follow else 0
    return read(
        container.config.log_driver,
        container.config.log_path,
        container_id=identity,
        options=options,
        finished=lambda: not running(runtime, identity),
        pid=pid,
    )


def _writer(call: Call, container: Container, index: int, count: int) -> LineWriter:
    from wherry.logs.writer import LineWriter

    flags = call.flags
    prefix = "" if count == 1 else container.name if flags.on("names") else short(container.id)
    return LineWriter(
        1, 2, timestamps=flags.on("timestamps"), prefix=prefix, color=index if flags.on("color") else -1
    )


def _write(stream: LogStream, writer: LineWriter) -> None:
    with stream:
        for line in stream:
            writer.write(line)


def _together(pairs: Sequence[tuple[LogStream, LineWriter]]) -> None:
    """Follow several logs at once, a thread for each."""
    import threading

    threads = [threading.Thread(target=_write, args=pair, daemon=True) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
