"""container prune."""

from __future__ import annotations

from wherry.errors import InvalidArgument, WherryError
from wherry.model import status
from wherry.sys import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wherry.engine.runtime import Runtime

KEYS = ("label", "label!", "until")


def prune(runtime: Runtime, filters: Mapping[str, Sequence[str]]) -> list[str]:
    """Remove containers that do not run and pass *filters*; returns the ids that are gone.

    Those an update has set aside until the new one has proven itself stay.
    """
    from wherry.engine.intents import REPLACE
    from wherry.engine.listing import listing
    from wherry.engine.remove import remove

    for key in filters:
        if key not in KEYS:
            raise InvalidArgument(f"{key} is an invalid filter")
    if len(filters.get("until") or ()) > 1:
        raise InvalidArgument("only one until filter is allowed: invalid argument")
    aside = {
        str(intent.data.get(key)) for intent in runtime.state.intents() if intent.kind == REPLACE
        for key in ("old", "new")
    }
    gone = []
    idle = (status.display(status.CONFIGURED), status.display(status.CREATED), status.STOPPED, status.EXITED)
    for summary in listing(runtime, all=True, filters=filters):
        if summary.state not in idle or summary.id in aside:
            continue
        try:
            remove(runtime, summary.id)
        except WherryError as error:
            log.debug(f"container {summary.id} is not pruned: {error}")
            continue
        gone.append(summary.id)
    return gone
