"""``wherry stop`` and ``wherry kill``."""

from __future__ import annotations

from wherry.cli import targets
from wherry.cli.flags import Flag
from wherry.errors import StateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.call import Call
    from wherry.engine.container import Container

ALL = Flag("all", "a", "bool", "All containers")
LATEST = Flag("latest", "l", "bool", "The container created last")
CIDFILE = Flag("cidfile", many=True, metavar="file", help="Read the container's id from this file")
FILTER = Flag("filter", "f", many=True, metavar="filter", help="Containers that match this condition (key=value)")

STOP = (
    ALL,
    CIDFILE,
    FILTER,
    Flag("ignore", "i", "bool", "Missing containers are no error"),
    LATEST,
    Flag("service", kind="bool", hidden=True),
    Flag("time", "t", "int", "Seconds to wait before the container is killed", default="10", aliases=("timeout",),
         metavar="seconds"),
)
KILL = (
    ALL,
    CIDFILE,
    LATEST,
    Flag("signal", "s", default="KILL", metavar="signal", help="Signal to send, by name or number"),
)


def seconds(call: Call) -> int | None:
    """``--time``: None lets the container's own timeout count, a negative number waits for ever."""
    if not call.flags.given("time"):
        return None
    value = call.flags.number("time")
    return value if value >= 0 else 1 << 31


def stop(call: Call) -> int:
    """Stop containers; one that is not running already is fine."""
    targets.check(call, id_file="cidfile")
    ignore, everything = call.flags.on("ignore"), call.flags.on("all") or call.flags.given("filter")
    timeout = seconds(call)

    def work(container: Container) -> None:
        try:
            container.stop(timeout)
        except StateError:
            if not everything:
                raise

    chosen = targets.select(call, ignore_missing_file=ignore)
    if ignore:
        chosen = existing(call, chosen)
    return targets.each(call, chosen, work, parallel=True)


def existing(call: Call, chosen: list[targets.Target]) -> list[targets.Target]:
    """The targets that are there."""
    found = []
    for target in chosen:
        if call.runtime.containers.exists(target.text):
            found.append(target)
    return found


def kill(call: Call) -> int:
    """Send a signal to running containers."""
    from wherry.spec.signals import parse

    number = parse(call.flags.text("signal"))
    targets.check(call, id_file="cidfile")
    everything = call.flags.on("all")

    def work(container: Container) -> None:
        try:
            container.kill(number)
        except StateError:
            if not everything:
                raise

    return targets.each(call, targets.select(call), work, parallel=True)
