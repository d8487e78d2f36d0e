"""What state a pod is in: a summary of its containers' states (libpod ``createPodStatusResults``)."""

from __future__ import annotations

from wherry.model import status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

CREATED = "Created"
RUNNING = "Running"
DEGRADED = "Degraded"       # some of its containers run
STOPPED = "Stopped"         # some of its containers have ended, none runs
PAUSED = "Paused"
EXITED = "Exited"           # all have ended
ERROR = "Error"
ALL = (CREATED, RUNNING, DEGRADED, STOPPED, PAUSED, EXITED, ERROR, "Dead")

_ENDED = (status.STOPPED, status.EXITED, status.STOPPING)
_NEW = (status.CONFIGURED, status.CREATED, status.display(status.CREATED))


def of(states: Sequence[str]) -> str:
    """The pod's state from those of its containers, as they are stored or as they are shown."""
    count = len(states)
    if not count:
        return CREATED
    running = states.count(status.RUNNING)
    paused = states.count(status.PAUSED)
    ended = sum(state in _ENDED for state in states)
    new = sum(state in _NEW for state in states)
    if running == count:
        return RUNNING
    if running:
        return DEGRADED
    if paused == count:
        return PAUSED
    if ended == count:
        return EXITED
    if ended:
        return STOPPED
    if running + paused + ended + new < count:
        return ERROR
    return CREATED
