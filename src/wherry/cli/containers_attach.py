"""``wherry attach`` and ``wherry start --attach``."""

from __future__ import annotations

from wherry.cli import streams as standard_streams
from wherry.cli import targets
from wherry.cli.containers_stop import LATEST
from wherry.cli.flags import Flag, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.call import Call
    from wherry.engine.container import Container
    from wherry.engine.foreground import Streams

ATTACH = (
    Flag("detach-keys", default="ctrl-p,ctrl-q", metavar="sequence",
         help="Keys that leave the container without ending it; empty for none"),
    LATEST,
    Flag("no-stdin", kind="bool", help="Do not attach standard input"),
    Flag("sig-proxy", kind="bool", default="true", help="Pass signals on to the container"),
)


def attach(call: Call) -> int:
    """Connect this terminal to a running container; returns its exit code, 0 after the detach keys."""
    targets.check_one(call)
    container = targets.one(call)
    if container.status not in ("running", "stopping"):
        raise UsageError("you can only attach to running containers", see=False)
    config = container.config
    streams = standard_streams.standard(
        stdin=config.stdin and not call.flags.on("no-stdin"),
        terminal=config.terminal,
        keys=standard_streams.detach_keys(call),
    )
    return _follow(container, streams, proxy=call.flags.on("sig-proxy"))


def _follow(container: Container, streams: Streams, *, proxy: bool) -> int:
    """Attach to a container that runs and wait for its end or the detach keys."""
    from wherry.engine.foreground import pass_through

    attachment = container.attach()
    state = container.state()
    signals = standard_streams.SignalProxy(proxy)
    signals.started(state.pid, state.pid_start)
    try:
        with signals, standard_streams.raw_mode(streams):
            how = pass_through(attachment, streams)
            return 0 if how == "detached" else max(container.wait(), 0)
    finally:
        attachment.close()


def start_attached(call: Call) -> int:
    """Start one container with this process's streams attached; one that runs already is only attached to."""
    from wherry.engine.foreground import run_attached

    flags = call.flags
    target = targets.select(call)[0]
    container = call.runtime.containers.get(target.text)
    config = container.config
    streams = standard_streams.standard(
        stdin=flags.on("interactive") and config.stdin,
        terminal=config.terminal,
        keys=standard_streams.detach_keys(call),
    )
    proxied = flags.on("sig-proxy") if flags.given("sig-proxy") else flags.on("attach")
    if container.status == "running":
        return _follow(container, streams, proxy=proxied)
    proxy = standard_streams.SignalProxy(proxied)
    with proxy, standard_streams.raw_mode(streams):
        ended = run_attached(call.runtime, config, streams, proxy.started)
    return ended if isinstance(ended, int) else 0
