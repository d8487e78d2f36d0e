"""``wherry pause`` and ``wherry unpause``."""

from __future__ import annotations

from wherry.cli import targets
from wherry.cli.containers_stop import ALL, CIDFILE, FILTER, LATEST
from wherry.errors import StateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.call import Call
    from wherry.engine.container import Container

PAUSE = (ALL, CIDFILE, FILTER, LATEST)
UNPAUSE = PAUSE


def pause(call: Call) -> int:
    """Freeze all processes of containers."""
    return _each(call, "running", lambda container: container.pause())


def unpause(call: Call) -> int:
    """Let frozen containers run again."""
    return _each(call, "paused", lambda container: container.unpause())


def _each(call: Call, fitting: str, verb: object) -> int:
    targets.check(call, id_file="cidfile")
    lenient = call.flags.on("all") or call.flags.given("filter")

    def work(container: Container) -> None:
        try:
            verb(container)  # type: ignore[operator]
        except StateError:
            if not lenient:
                raise

    chosen = targets.select(call)
    if lenient:
        states = {summary.id: summary.state for summary in call.runtime.containers.list(all=True)}
        chosen = [target for target in chosen if states.get(target.text) == fitting]
    return targets.each(call, chosen, work)
