"""Many processes on one database, and processes that die."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from wherry.model.container import ContainerState
from wherry.model.event import Event
from wherry.model.exec_session import ExecSession
from wherry.model.ids import generate_id
from wherry.state.sqlite import SqliteState
from wherry.testing.state_builders import add, container, full

IDENTITY = {"graph root": "/g"}
PROCESSES = 8
ROUNDS = 40


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "wherry" / "state.db")


def fork(work) -> int:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException as error:
            os.write(2, f"child: {error!r}\n".encode())
        finally:
            os._exit(code)
    return pid


def all_succeed(pids: list[int]) -> bool:
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids] == [0] * len(pids)


@pytest.mark.parametrize("_turn", range(10))
def test_all_may_be_the_first(path: str, _turn: int) -> None:
    gate, opener = os.pipe()

    def work(number: int) -> None:
        os.close(opener)
        os.read(gate, 1)        # end of file: everybody at once
        add(SqliteState(path, identity=IDENTITY), f"c{number}")

    pids = [fork(lambda number=number: work(number)) for number in range(PROCESSES)]
    os.close(opener)
    assert all_succeed(pids)
    os.close(gate)
    assert len(SqliteState(path, identity=IDENTITY).container_rows()) == PROCESSES


def test_no_update_is_lost(path: str) -> None:
    """Counters that everybody increments, and objects that come and go."""
    state = SqliteState(path, identity=IDENTITY)
    shared = add(state, "f00d", "shared")
    state.close()

    def work(number: int) -> None:
        mine = SqliteState(path, identity=IDENTITY)
        for turn in range(ROUNDS):
            with mine.transaction():
                current = mine.container_state(shared.id)
                current.restart_count += 1
                mine.save_state(shared.id, current, Event(status=f"{number}-{turn}"))
            config = container(generate_id(), f"n{number}-{turn}")
            mine.add_container(config, ContainerState())
            session = ExecSession(id=generate_id(), container_id=config.id)
            mine.add_exec(session)
            if turn % 2:
                mine.remove_container(config.id, exit_code=turn)
            if turn % 10 == 0:
                mine.close()

    assert all_succeed([fork(lambda number=number: work(number)) for number in range(PROCESSES)])
    assert state.container_state(shared.id).restart_count == PROCESSES * ROUNDS
    assert len(state.container_rows()) == 1 + PROCESSES * ROUNDS // 2
    statuses = [event.status for _, event in state.pending_events()]
    assert sorted(statuses) == sorted(f"{number}-{turn}" for number in range(PROCESSES) for turn in range(ROUNDS))
    assert state._rows("SELECT count(*) FROM execs") == [(PROCESSES * ROUNDS // 2,)]
    assert state._rows("SELECT count(*) FROM exit_codes") == [(PROCESSES * ROUNDS // 2,)]
    assert state.check() == []


def test_every_event_is_published_once(path: str, tmp_path: Path) -> None:
    published = tmp_path / "published"

    def publish(events: list[Event]) -> None:
        with open(published, "ab", buffering=0) as file:
            file.write(b"".join(f"{event.status}\n".encode() for event in events))

    def work(number: int) -> None:
        state = SqliteState(path, identity=IDENTITY)
        for turn in range(ROUNDS):
            state.add_events(Event(status=f"{number}-{turn}"))
            state.drain_events(publish)

    assert all_succeed([fork(lambda number=number: work(number)) for number in range(PROCESSES)])
    lines = published.read_text().split()
    assert sorted(lines) == sorted(f"{number}-{turn}" for number in range(PROCESSES) for turn in range(ROUNDS))


@pytest.mark.parametrize("moment", ["in", "after"])
def test_a_killed_writer(path: str, moment: str) -> None:
    """What was committed is there, what was not is not, and nobody has to wait or repair."""
    state = SqliteState(path, identity=IDENTITY, busy_timeout_ms=1000)
    config = add(state)
    state.close()
    reader, writer = os.pipe()

    def work() -> None:
        mine = SqliteState(path, identity=IDENTITY)
        with mine.transaction():
            mine.save_state(config.id, ContainerState(pid=1), Event(status="start"))
            mine.add_container(container("c2", labels={"l": "x" * 50_000}), ContainerState())
            if moment == "in":
                os.write(writer, b"x")
                signal.pause()
        os.write(writer, b"x")
        signal.pause()

    pid = fork(work)
    os.read(reader, 1)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    committed = moment == "after"
    assert state.container_state(config.id).pid == int(committed)
    assert state.has_container(full("c2")) == committed
    assert len(state.pending_events()) == int(committed)
    state.save_state(config.id, ContainerState(pid=7))
    assert state.check() == []


def test_killed_at_any_moment(path: str) -> None:
    """A writer is killed again and again; each transaction of its three rows is there whole or not at all."""
    state = SqliteState(path, identity=IDENTITY)
    state.container_rows()
    state.close()

    def work() -> None:
        mine = SqliteState(path, identity=IDENTITY)
        while True:
            identity = generate_id()
            with mine.transaction():
                mine.add_container(container(identity, f"n{identity}"), ContainerState(), Event(id=identity))
                mine.add_intent("made", identity, {})

    for turn in range(12):
        pid = fork(work)
        before = len(state.container_rows())
        while turn % 3 and len(state.container_rows()) == before:
            pass        # kill some before, some after their first commit
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        made = {row.id for row in state.container_rows()}
        assert {event.id for _, event in state.pending_events()} == made
        assert {intent.object_id for intent in state.intents()} == made
        if turn % 4 == 0:
            state.close(fast=False)
    assert state.check() == []
