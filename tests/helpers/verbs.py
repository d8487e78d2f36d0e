"""The verbs of a container's life, each beside what the table of moves says of it.

A test applies verbs in any order to an engine and to :class:`Oracle`; the two must agree after each.
"""

from __future__ import annotations

from collections.abc import Callable

from wherry.engine.container import Container
from wherry.errors import StateError
from wherry.model import status

GONE = "gone"


def chain(state: str, *actions: str) -> str:
    """The state after *actions*, one after the other. Raises :class:`StateError` at the first illegal one."""
    for action in actions:
        state = status.after(state, action)
    return state


def initialized(state: str) -> str:
    return chain(state, status.INIT)


def started(state: str) -> str:
    if state in (status.RUNNING, status.STOPPING):
        return state
    return chain(state if state == status.CREATED else chain(state, status.INIT), status.RUN)


def stopped(state: str) -> str:
    if state in (status.STOPPED, status.EXITED):
        return chain(state, status.CLEANUP)
    if state == status.PAUSED:
        state = chain(state, status.UNPAUSE)
    return chain(state, status.STOP, status.EXIT, status.CLEANUP)


def restarted(state: str) -> str:
    if state in (status.RUNNING, status.PAUSED, status.STOPPING):
        state = stopped(state)
    return started(state)


def killed(state: str) -> str:
    return chain(state, status.KILL, status.EXIT)


def cleaned_up(state: str) -> str:
    return state if state in status.ALIVE else chain(state, status.CLEANUP)


def removed(state: str) -> str:
    chain(state, status.REMOVE)
    return GONE


def force_removed(state: str) -> str:
    return removed(stopped(state) if state in status.ALIVE else state)


def execed(state: str) -> str:
    return chain(state, status.EXEC)


def sessioned(container: Container) -> None:
    container.exec_create(["true"]).remove()


#: verb -> (how it is called, the state after it; raising StateError where it must)
VERBS: dict[str, tuple[Callable[[Container], object], Callable[[str], str]]] = {
    "init": (Container.init, initialized),
    "start": (Container.start, started),
    "stop": (lambda container: container.stop(timeout=0), stopped),
    "stop with a signal": (lambda container: container.stop(timeout=1), stopped),
    "restart": (lambda container: container.restart(timeout=0), restarted),
    "kill": (lambda container: container.kill("KILL"), killed),
    "pause": (Container.pause, lambda state: chain(state, status.PAUSE)),
    "unpause": (Container.unpause, lambda state: chain(state, status.UNPAUSE)),
    "exec": (sessioned, execed),
    "cleanup": (Container.cleanup, cleaned_up),
    "rm": (Container.remove, removed),
    "rm -f": (lambda container: container.remove(force=True, timeout=0), force_removed),
}


class Oracle:
    """What a container's state must be."""

    def __init__(self) -> None:
        self.state = status.CONFIGURED

    def apply(self, verb: str, container: Container) -> None:
        """Do *verb* to the container; fails unless it is refused exactly where the table says so."""
        call, after = VERBS[verb]
        before = self.state
        try:
            self.state = after(before)
        except StateError:
            try:
                call(container)
            except StateError:
                return
            raise AssertionError(f"{verb} was not refused in state {before}") from None
        call(container)

    def process_ended(self) -> None:
        """Somebody outside ended the process."""
        if self.state in status.ALIVE:
            self.state = chain(self.state, status.EXIT)

    def agrees(self, seen: str) -> bool:
        """Is *seen* the state? A process that ended may have been cleaned up after already."""
        return seen == self.state or (self.state == status.STOPPED and seen == status.EXITED)
