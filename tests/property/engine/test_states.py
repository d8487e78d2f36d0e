"""The table of container states against an independent idea of what a container is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from wherry.errors import StateError
from wherry.model import status

ACTIONS = sorted({action for _state, action in status.MOVES})
PROCESS = (status.CREATED, status.RUNNING, status.PAUSED, status.STOPPING)


def reachable(start: str) -> set[str]:
    found = {start}
    while True:
        more = {after for (state, _action), after in status.MOVES.items() if state in found} - found
        if not more:
            return found
        found |= more


def test_every_state_is_reached() -> None:
    """``unknown`` is what is left for records somebody else wrote: nothing leads there, removal leads out."""
    assert reachable(status.CONFIGURED) == set(status.ALL) - {status.UNKNOWN}
    assert {action for state, action in status.MOVES if state == status.UNKNOWN} == {status.REMOVE}


def test_the_table_speaks_of_known_states_only() -> None:
    for (state, _action), after in status.MOVES.items():
        assert {state, after} <= set(status.ALL)


@pytest.mark.parametrize("state", status.ALL)
def test_exactly_what_lives_can_exit(state: str) -> None:
    assert (state in status.ALIVE) == (state in PROCESS) == status.can(state, status.EXIT)
    if state in status.ALIVE:
        assert status.after(state, status.EXIT) == status.STOPPED


@pytest.mark.parametrize("state", status.ALL)
def test_every_container_can_be_brought_to_its_end(state: str) -> None:
    assert status.REMOVING in reachable(state)
    if status.can(state, status.REMOVE):
        assert status.after(state, status.REMOVE) == status.REMOVING


def test_removal_is_final() -> None:
    assert reachable(status.REMOVING) == {status.REMOVING}


def test_shown_names_are_distinct() -> None:
    assert len({status.display(state) for state in status.ALL}) == len(status.ALL)


@given(st.sampled_from(status.ALL), st.sampled_from(ACTIONS) | st.text(max_size=8))
def test_can_and_after_agree(state: str, action: str) -> None:
    if status.can(state, action):
        assert status.after(state, action) == status.MOVES[state, action]
    else:
        with pytest.raises(StateError, match=f"in state {status.display(state)}"):
            status.after(state, action, "ID")


class Life(RuleBasedStateMachine):
    """A container as things in the world - what the OCI runtime has, the process, resources, the row - beside its
    state.  Each action says for itself whether the world allows it; the table must say the same."""

    @initialize()
    def configure(self) -> None:
        self.state = status.CONFIGURED
        self.in_runtime = False         # the OCI runtime knows the container
        self.process = ""               # waiting, running, frozen; empty without one
        self.ran = False                # it has been in the runtime in this or an earlier life
        self.asked_to_stop = False
        self.row_goes = False           # it is being removed

    def act(self, action: str, allowed: bool) -> bool:
        assert status.can(self.state, action) == (allowed and not self.row_goes), (self.state, action)
        try:
            self.state = status.after(self.state, action)
        except StateError:
            return False
        return True

    @rule()
    def init(self) -> None:
        if self.act(status.INIT, not self.process):
            self.in_runtime, self.process, self.ran, self.asked_to_stop = True, "waiting", True, False

    @rule()
    def start(self) -> None:
        if self.act(status.RUN, self.process == "waiting" and not self.asked_to_stop):
            self.process = "running"

    @rule()
    def pause(self) -> None:
        if self.act(status.PAUSE, self.process == "running" and not self.asked_to_stop):
            self.process = "frozen"

    @rule()
    def unpause(self) -> None:
        if self.act(status.UNPAUSE, self.process == "frozen"):
            self.process = "running"

    @rule()
    def stop(self) -> None:
        if self.act(status.STOP, self.process in ("waiting", "running")):
            self.asked_to_stop = True

    @rule()
    def kill(self) -> None:
        self.act(status.KILL, self.process in ("running", "frozen") or (self.process != "" and self.asked_to_stop))

    @rule()
    def execute(self) -> None:
        self.act(status.EXEC, self.process == "running" and not self.asked_to_stop)

    @rule()
    def attach(self) -> None:
        self.act(status.ATTACH, self.process in ("waiting", "running"))

    @rule()
    def process_ends(self) -> None:
        if self.act(status.EXIT, bool(self.process)):
            self.process, self.asked_to_stop = "", False

    @rule()
    def clean_up(self) -> None:
        idle = self.process == "" or (self.process == "waiting" and not self.asked_to_stop)
        if self.act(status.CLEANUP, idle):
            self.in_runtime, self.process = False, ""

    @rule()
    def remove(self) -> None:
        idle = self.process == "" or (self.process == "waiting" and not self.asked_to_stop)
        was_going = self.row_goes
        if was_going:
            assert status.after(self.state, status.REMOVE) == status.REMOVING
        elif self.act(status.REMOVE, idle):
            self.row_goes, self.process, self.in_runtime = True, "", False

    @invariant()
    def state_tells_of_the_process(self) -> None:
        state = getattr(self, "state", None)
        if state is None:
            return
        assert (state in status.ALIVE) == bool(self.process)
        assert (state == status.PAUSED) == (self.process == "frozen")
        assert (state == status.CONFIGURED) == (not self.ran and not self.row_goes)
        assert (state == status.STOPPED) == (self.in_runtime and not self.process)
        assert (state == status.REMOVING) == self.row_goes


TestLife = Life.TestCase
