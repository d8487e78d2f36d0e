"""``wherry start``, ``wherry restart`` and ``wherry init``."""

from __future__ import annotations

from wherry.cli import targets
from wherry.cli.containers_stop import ALL, CIDFILE, FILTER, LATEST, seconds
from wherry.cli.flags import Flag, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.call import Call
    from wherry.engine.container import Container

START = (
    Flag("all", kind="bool", help="All containers that do not run"),
    Flag("attach", "a", "bool", "Attach the container's standard streams"),
    Flag("detach-keys", default="ctrl-p,ctrl-q", metavar="sequence",
         help="Keys that leave the container without ending it; empty for none"),
    FILTER,
    Flag("interactive", "i", "bool", "Attach standard input as well"),
    LATEST,
    Flag("sig-proxy", kind="bool", help="Pass signals on to the container (the default with --attach)"),
)
INIT = (ALL, LATEST)
RESTART = (
    ALL,
    CIDFILE,
    FILTER,
    LATEST,
    Flag("running", kind="bool", help="Only containers that run"),
    Flag("time", "t", "int", "Seconds to wait before the container is killed", default="10", metavar="seconds"),
)


def start(call: Call) -> int:
    """Start containers; with ``--attach`` one, whose exit code is returned."""
    _check_start(call)
    call.runtime.warm_up()
    flags = call.flags
    if flags.on("attach"):
        from wherry.cli.containers_attach import start_attached

        return start_attached(call)
    chosen = targets.select(call)
    if flags.on("all"):
        states = {summary.id: summary.state for summary in call.runtime.containers.list(all=True)}
        chosen = [target for target in chosen if states.get(target.text) not in ("running", "paused", "stopping")]
    return targets.each(call, chosen, lambda container: container.start())


def _check_start(call: Call) -> None:
    flags, args = call.flags, call.args
    everything, latest = flags.on("all"), flags.on("latest")
    if not (args or latest or everything or flags.given("filter")):
        raise UsageError("start requires at least one argument", see=False)
    if everything and latest:
        raise UsageError("--all and --latest cannot be used together", see=False)
    if args and latest:
        raise UsageError("--latest and containers cannot be used together", see=False)
    if args and everything:
        raise UsageError("either start all containers or the container(s) provided in the arguments", see=False)
    if flags.on("attach") and len(args) > 1:
        raise UsageError("you cannot start and attach multiple containers at once", see=False)
    if flags.on("attach") and everything:
        raise UsageError("you cannot start and attach all containers at once", see=False)
    if flags.on("sig-proxy") and not flags.on("attach"):
        raise UsageError("you cannot use sig-proxy without --attach: invalid argument", see=False)


def restart(call: Call) -> int:
    """Stop containers if they run and start them again."""
    flags = call.flags
    timeout = seconds(call)
    if flags.on("running") and not call.args:
        chosen = [targets.Target(found.id) for found in call.runtime.containers.list()]
    else:
        targets.check(call, id_file="cidfile")
        chosen = targets.select(call)
    return targets.each(call, chosen, lambda container: container.restart(timeout), parallel=True)


def init(call: Call) -> int:
    """Create containers in the OCI runtime without starting their processes."""
    from wherry.errors import StateError

    targets.check(call)
    everything = call.flags.on("all")

    def work(container: Container) -> None:
        try:
            container.init()
        except StateError:
            if not everything:
                raise

    return targets.each(call, targets.select(call), work)
