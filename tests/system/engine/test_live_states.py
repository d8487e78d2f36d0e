"""Random sequences of verbs on a real container, compared with the table of states after each."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.system.engine.conftest import IMAGE
from tests.system.engine.recovering import until

from wherry.engine.runtime import Runtime
from wherry.errors import NoSuchContainer, StateError
from wherry.model import status

pytestmark = pytest.mark.system

NAME = "random"
GONE = "gone"

#: Moves of a verb, one list per way it may go; the first way whose moves are all legal is taken, none: an error.
#: An empty way does nothing and is no error.
WAYS: dict[str, list[list[str]]] = {
    "init": [[status.INIT]],
    "start": [[status.RUN], [status.INIT, status.RUN]],
    "pause": [[status.PAUSE]],
    "unpause": [[status.UNPAUSE]],
    "stop": [[status.STOP, status.EXIT, status.CLEANUP], [status.UNPAUSE, status.STOP, status.EXIT, status.CLEANUP]],
    "kill": [[status.KILL, status.EXIT, status.CLEANUP]],
    "restart": [
        [status.STOP, status.EXIT, status.CLEANUP, status.INIT, status.RUN], [status.INIT, status.RUN],
        [status.UNPAUSE, status.STOP, status.EXIT, status.CLEANUP, status.INIT, status.RUN],
    ],
    "exec": [[status.EXEC]],
    "rm": [[status.REMOVE]],
    "rm -f": [[status.REMOVE], [status.STOP, status.EXIT, status.REMOVE], [status.UNPAUSE, status.STOP, status.EXIT,
                                                                             status.REMOVE]],
    "cleanup": [[]],
}
#: What a verb does without any move: (verb, state).
NOTHING_TO_DO = {("start", status.RUNNING), ("stop", status.EXITED)}


def expected(state: str, verb: str) -> str | None:
    """The state after *verb* by the table, or None for a :class:`StateError`."""
    if (verb, state) in NOTHING_TO_DO:
        return state
    for way in WAYS[verb]:
        after = state
        for action in way:
            if not status.can(after, action):
                break
            after = status.after(after, action)
        else:
            return GONE if after == status.REMOVING else after
    return None


def verbs(rt: Runtime) -> dict[str, Callable[[], object]]:
    container = rt.containers.get(NAME)
    return {
        "init": container.init,
        "start": container.start,
        "pause": container.pause,
        "unpause": container.unpause,
        "stop": lambda: container.stop(timeout=0),
        "kill": lambda: container.kill("KILL"),
        "restart": lambda: container.restart(timeout=0),
        "exec": lambda: container.exec(["true"]),
        "rm": container.remove,
        "rm -f": lambda: container.remove(force=True, timeout=0),
        "cleanup": container.cleanup,
    }


@settings(
    max_examples=15, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(st.sampled_from(sorted(WAYS)), min_size=10, max_size=16))
def test_verbs_follow_the_table(rt: Runtime, sequence: list[str]) -> None:
    state = GONE
    done: list[str] = []
    try:
        for verb in sequence:
            if state == GONE:
                rt.containers.create(IMAGE, ["sleep", "1000"], name=NAME, network="none")
                state = status.CONFIGURED
                done.append("create")
            done.append(verb)
            if state == status.PAUSED and verb == "kill":
                continue        # what is frozen dies when it is thawed, or not before: the cgroup version decides
            should = expected(state, verb)
            if should is None:
                with pytest.raises(StateError):
                    verbs(rt)[verb]()
            else:
                verbs(rt)[verb]()
                state = should
            assert_state(rt, state)
    except BaseException as error:
        error.add_note(" ".join(done))
        raise
    finally:
        try:
            rt.containers.get(NAME).remove(force=True, timeout=0)
        except NoSuchContainer:
            pass


def assert_state(rt: Runtime, state: str) -> None:
    """After a kill the exit command takes a moment to clean up."""
    if state == GONE:
        assert not rt.containers.exists(NAME)
    elif state == status.EXITED:
        until(lambda: rt.containers.get(NAME).status == "exited")
    else:
        assert rt.containers.get(NAME).status == status.display(state)
