"""``wherry wait``."""

from __future__ import annotations

from wherry.cli import targets
from wherry.cli.containers_stop import LATEST
from wherry.cli.flags import Flag, UsageError
from wherry.errors import NoSuchContainer, NoSuchExitCode, WherryError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from wherry.cli.call import Call

WAIT = (
    Flag("condition", many=True, split=True, metavar="state",
         help="Wait for this state instead of the container's end; the first that holds counts"),
    Flag("exit-first-match", kind="bool", help="Return as soon as one of the containers fulfils the condition"),
    Flag("ignore", kind="bool", help="Print -1 for containers that do not exist"),
    Flag("interval", "i", default="250ms", metavar="duration", help="How often to look (milliseconds without a unit)"),
    LATEST,
)


def wait(call: Call) -> int:
    """Wait for containers and print an exit code per line, in the order of the arguments."""
    flags = call.flags
    if call.args and flags.on("latest"):
        raise UsageError("--latest and containers cannot be used together", see=False)
    if not call.args and not flags.on("latest"):
        raise UsageError(f'"{call.command}" requires a name, id, or the "--latest" flag', see=False)
    interval = _seconds(flags.text("interval"))
    conditions = flags.many("condition") or ["stopped"]
    chosen = targets.select(call)
    if flags.on("exit-first-match") and len(chosen) > 1:
        return _first(call, chosen, conditions, interval)
    errors: list[WherryError] = []
    for target in chosen:
        try:
            call.out(f"{_wait_for(call, target.text, conditions, interval)}\n")
        except WherryError as error:
            errors.append(error)
    return targets.finish(errors)


def _wait_for(call: Call, text: str, conditions: Sequence[str], interval: float) -> int:
    try:
        container = call.runtime.containers.get(text)
    except NoSuchContainer:
        try:
            return call.runtime.state.exit_code(text)       # removed a short while ago
        except NoSuchExitCode:
            pass
        if call.flags.on("ignore"):
            return -1
        raise
    return container.wait(conditions, interval=interval)


def _first(call: Call, chosen: Sequence[targets.Target], conditions: Sequence[str], interval: float) -> int:
    """Look at the containers in turn until one is where it should be."""
    import time

    from wherry.errors import TimedOut

    while True:
        for target in chosen:
            try:
                code = call.runtime.containers.get(target.text).wait(conditions, timeout=0)
            except TimedOut:
                continue
            except NoSuchContainer:
                if not call.flags.on("ignore"):
                    raise
                code = -1
            call.out(f"{code}\n")
            return 0
        time.sleep(interval)


def _seconds(text: str) -> float:
    """``--interval``: a duration, or a number of milliseconds."""
    from wherry.spec.parse_values import duration

    return int(text) / 1000 if text.isdigit() else duration(text) / 1e9
