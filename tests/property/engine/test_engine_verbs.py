"""Random verbs on the real engine, its OCI runtime replaced by plain processes, against the table of states."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.helpers.verbs import GONE, VERBS, Oracle

from wherry.engine import prepare
from wherry.engine.container import Container
from wherry.engine.locked import LockedContainer
from wherry.engine.runtime import Runtime
from wherry.model import status
from wherry.model.container import ContainerConfig, ContainerState
from wherry.state.memory import MemoryState
from wherry.sys.processes import is_alive, start_time, wait_gone

IDENTITY = "c" * 64
#: A shell in conmon's part: it starts the "container", tells both pids, and writes the exit file.
MONITOR = """
sleep 1000 & child=$!
echo $$ $child
wait $child; code=$?
echo -n $code > "$1.new"; mv "$1.new" "$1"
"""


class PlainProcesses:
    """An OCI runtime whose containers are the monitors' children; what it was told is remembered."""

    kind = name = "plain"

    def __init__(self) -> None:
        self.pid = 0
        self.status = ""

    def begin(self, pid: int) -> None:
        self.pid, self.status = pid, "created"

    def start(self, _container: str) -> None:
        assert self.status == "created"
        self.status = "running"

    def pause(self, _container: str) -> None:
        assert self.status == "running"
        self.status = "paused"

    def resume(self, _container: str) -> None:
        assert self.status == "paused"
        self.status = "running"

    def state(self, _container: str) -> dict[str, str] | None:
        return {"status": self.status} if self.status else None

    def begin_delete(self, _container: str, *, force: bool) -> PlainProcesses:
        if force and self.pid:
            try:
                os.kill(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.status = ""
        return self

    def finish(self) -> None:
        pass


class World:
    """An engine with one container and the oracle that says what its state must be."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.base = tempfile.mkdtemp(prefix="wherry-verbs-")
        self.oci = PlainProcesses()
        self.state = MemoryState()
        self.monitors: list[subprocess.Popen[bytes]] = []
        patch.setattr(prepare, "create_in_runtime", self.create_in_runtime)
        patch.setattr(Runtime, "warm_up", lambda _runtime: None)
        self.open()
        self.rt.paths.prepare()
        self.add()

    def open(self) -> None:
        """As another process would: nothing may hang on what a runtime object remembers."""
        self.rt = Runtime(root=f"{self.base}/root", runroot=f"{self.base}/run", storage_driver="vfs")
        self.rt._services |= {"state": self.state, "oci:plain": self.oci}

    def add(self) -> None:
        os.makedirs(f"{self.base}/static/userdata", exist_ok=True)
        self.config = ContainerConfig(
            id=IDENTITY, name="box", rootfs=self.base, static_dir=f"{self.base}/static/userdata", runtime="plain",
            stop_timeout=20, spec={"process": {}, "linux": {"namespaces": [{"type": "pid"}]}},
        )
        self.state.add_container(self.config, ContainerState())
        self.oracle = Oracle()

    def create_in_runtime(self, held: LockedContainer) -> None:
        exit_file = f"{self.rt.paths.exits}/{held.id}"
        Path(exit_file).unlink(missing_ok=True)
        monitor = subprocess.Popen(
            ["sh", "-c", MONITOR, "sh", exit_file], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self.monitors.append(monitor)
        assert monitor.stdout is not None
        conmon, pid = map(int, monitor.stdout.readline().split())
        monitor.stdout.close()
        state = held.state
        state.pid, state.pid_start = pid, start_time(pid)
        state.conmon_pid, state.conmon_start = conmon, start_time(conmon)
        state.runtime = "plain"
        self.oci.begin(pid)

    def do(self, step: str) -> None:
        if step == ANOTHER_PROCESS:
            self.open()
        elif step in ENDINGS:
            self.end(ENDINGS[step])
        else:
            paused = self.oracle.state == status.PAUSED
            process = self.state.container_state(IDENTITY)
            self.oracle.apply(step, Container(self.rt, self.config))
            if step == "kill" and paused:       # not waited for: a frozen process may die when it is thawed only
                assert wait_gone(process.pid, process.pid_start, 20)
        if self.oracle.state == GONE:
            assert not self.state.has_container(IDENTITY)
            assert os.listdir(self.rt.paths.locks) == []
            self.add()

    def end(self, number: int) -> None:
        state = self.state.container_state(IDENTITY)
        if self.oracle.state in status.ALIVE:
            os.kill(state.pid, number)
            assert wait_gone(state.pid, state.pid_start, 20)
            self.oracle.process_ended()

    def check(self) -> None:
        """State and process are what the table says."""
        seen = Container(self.rt, self.config).state()
        assert self.oracle.agrees(seen.status), (self.oracle.state, seen.status)
        self.oracle.state = seen.status
        assert is_alive(seen.pid, seen.pid_start) == (seen.status in status.ALIVE)
        assert not seen.owner_pid
        assert self.oci.status == {status.CREATED: "created", status.RUNNING: "running", status.PAUSED: "paused"}.get(
            seen.status, self.oci.status
        )

    def close(self) -> None:
        if self.state.has_container(IDENTITY):
            Container(self.rt, self.config).remove(force=True, timeout=0)
        for monitor in self.monitors:
            monitor.wait(20)
        shutil.rmtree(self.base)


ANOTHER_PROCESS = "another process"
ENDINGS = {"the process ends": signal.SIGTERM, "somebody kills the process": signal.SIGKILL}
#: What brings a container to life is drawn more often: elsewhere most verbs are refused.
STEPS = [*sorted(VERBS), *ENDINGS, ANOTHER_PROCESS, *["start"] * 4, *["init"] * 2, "pause", "unpause", "exec"]


@settings(max_examples=int(os.environ.get("WHERRY_TEST_VERBS", "25")), deadline=None)
@given(st.lists(st.sampled_from(STEPS), min_size=10, max_size=30))
def test_verbs_in_any_order(steps: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        world = World(patch)
        try:
            for number, step in enumerate(steps):
                try:
                    world.do(step)
                    world.check()
                except BaseException as error:
                    error.add_note(f"after {', '.join(steps[:number + 1])}")
                    raise
        finally:
            world.close()
