"""Exec sessions that are made first and started later."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.helpers.leaks import processes_of
from tests.system.engine.recovering import until
from tests.system.fixtures.engine import IMAGE

from wherry.engine.container import Container
from wherry.engine.execs import run_detached
from wherry.engine.runtime import Runtime
from wherry.errors import ExecStateError, NoSuchExecSession, RuntimeCommandNotFound, StateError
from wherry.model.exec_session import ExecConfig

pytestmark = pytest.mark.system


@pytest.fixture
def box(rt: Runtime) -> Iterator[Container]:
    with rt.containers.create(IMAGE, ["sleep", "1000"], network="none") as container:
        container.start()
        yield container


def test_life_of_a_session(rt: Runtime, box: Container) -> None:
    session = box.exec_create(["sh", "-c", "sleep 0.2; exit 7"], user="user")
    assert session.state == "created"
    assert box.inspect()["ExecIDs"] == [session.id]
    session.start()
    with pytest.raises(ExecStateError, match='state is "running": exec session state improper'):
        session.start()
    with pytest.raises(ExecStateError, match="as it is still running"):
        session.remove()
    assert session.wait(timeout=10) == 7
    seen = rt.exec_session(session.id[:12]).inspect()
    assert (seen["Running"], seen["ExitCode"], seen["Pid"], seen["CanRemove"]) == (False, 7, 0, True)
    assert seen["ProcessConfig"] == {
        "arguments": ["-c", "sleep 0.2; exit 7"], "entrypoint": "sh", "privileged": False, "tty": False, "user": "user",
    }
    session.remove()
    with pytest.raises(NoSuchExecSession):
        rt.exec_session(session.id)


def test_attached_with_input(box: Container) -> None:
    session = box.exec_create(["sh", "-c", "cat; echo err >&2; exit 3"], stdin=True)
    done = session.run(b"some input\n")
    assert (done.exit_code, done.stdout, done.stderr) == (3, "some input\n", "err\n")
    assert (session.state, session.exit_code) == ("stopped", 3)


def test_a_session_that_cannot_be_started_is_stopped(box: Container) -> None:
    session = box.exec_create(["nope"])
    with pytest.raises(RuntimeCommandNotFound):
        session.start()
    assert (session.state, session.exit_code) == ("stopped", 127)


def test_stop_and_forced_removal(box: Container) -> None:
    deaf = ["sh", "-c", "trap '' TERM; touch /tmp/deaf; while :; do sleep 1; done"]
    session = box.exec_create(deaf)
    session.start()
    deadline = time.monotonic() + 10
    while box.exec(["test", "-e", "/tmp/deaf"]).exit_code and time.monotonic() < deadline:
        time.sleep(0.01)
    session.stop(timeout=0.1)
    assert session.wait(timeout=10) == 137
    other = box.exec_create(deaf)
    other.start()
    other.remove(force=True)
    assert [one.id for one in box.exec_sessions()] == [session.id]


def test_terminal_and_size(box: Container) -> None:
    session = box.exec_create(["sh", "-c", "sleep 0.3; stty size"], terminal=True, stdin=True)
    session.start()
    attachment = session.attach()
    session.resize(33, 77)
    out, _err = attachment.collect(None)
    attachment.close()
    assert out.strip() == b"33 77"


def test_sessions_end_with_their_container(rt: Runtime, box: Container) -> None:
    waiting, running = box.exec_create(["true"]), box.exec_create(["sleep", "1000"])
    running.start()
    box.stop(timeout=0)
    deadline = time.monotonic() + 10
    while box.exec_sessions() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert box.exec_sessions() == []
    with pytest.raises(NoSuchExecSession):
        rt.exec_session(waiting.id)
    with pytest.raises(StateError, match="can only create exec sessions on running containers"):
        box.exec_create(["true"])


def test_many_leave_nothing(rt: Runtime, box: Container) -> None:
    """Of every kind; WHERRY_TEST_EXECS says how many (a few thousand show what grows slowly)."""
    def memory(pid: int) -> int:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def one(number: int) -> None:
        kind = number % 3
        if kind == 0:
            assert box.exec(["sh", "-c", f"exit {number % 100}"]).exit_code == number % 100
        elif kind == 1:
            session = box.exec_create(["true"])
            session.start()
            assert session.wait(timeout=20) == 0
            session.remove()
        else:
            run_detached(rt, box.id, ExecConfig(command=["true"]))

    def idle() -> None:
        until(lambda: box.exec_sessions() == [] and len(processes_of(str(rt.paths.run_dir))) == 1)      # conmon
        gc.collect()

    for number in range(3):     # opens what stays open, such as the database
        one(number)
    idle()
    conmon = box.state().conmon_pid
    places = {pid: f"/proc/{pid}/fd" for pid in (os.getpid(), conmon)}
    open_before = {pid: len(os.listdir(place)) for pid, place in places.items()}
    memory_before = {pid: memory(pid) for pid in places}
    for number in range(int(os.environ.get("WHERRY_TEST_EXECS", "45"))):
        one(number)
    idle()
    for pid, place in places.items():
        assert len(os.listdir(place)) <= open_before[pid]
        assert memory(pid) - memory_before[pid] < 4 << 20
    assert os.listdir(f"{rt.paths.run_dir}/exec") == []
    assert rt.state.exec_ids(box.id) == []
