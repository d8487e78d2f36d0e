"""conmon, the container's process or the whole boot is lost behind wherry's back."""

from __future__ import annotations

import os
import subprocess
import uuid
from pathlib import Path

import pytest
from tests.helpers import crash
from tests.helpers.leaks import assert_nothing_leaked, processes_of
from tests.system.engine.conftest import IMAGE, open_runtime, unmount
from tests.system.engine.recovering import OPEN, at_rest, ended_without_exit_command, kill, until

from wherry.engine.container import Container
from wherry.engine.runtime import Runtime
from wherry.errors import StateError
from wherry.sys import processes
from wherry.sys.files import remove_tree

pytestmark = pytest.mark.system


def sleeper(rt: Runtime, name: str = "sleeper", **options: object) -> Container:
    return rt.containers.start_detached(IMAGE, ["sleep", "1000"], **{"name": name, "network": "none", **options})  # type: ignore[arg-type]


def test_killed_conmon_leaves_a_container_that_can_be_stopped(rt: Runtime, capfd: pytest.CaptureFixture[str]) -> None:
    with sleeper(rt) as container:
        kill(rt.state.container_state(container.id), conmon=True)
        assert container.status == "running"
        assert [summary.state for summary in rt.containers.list()] == ["running"]
        assert container.exec(["echo", "alive"]).stdout == "alive\n"
        with pytest.raises(StateError):
            container.remove()
        container.stop(timeout=0)
        assert container.status == "exited"
        assert container.wait() == 255
        assert "exit code could not be retrieved: conmon process killed" in capfd.readouterr().err
        container.start()
        assert container.status == "running"


@pytest.mark.parametrize("paused", [False, True])
def test_killed_conmon_and_process(rt: Runtime, paused: bool) -> None:
    with sleeper(rt) as container:
        state = rt.state.container_state(container.id)
        if paused:
            container.pause()
        kill(state, conmon=True)
        kill(state, conmon=False, wait=not paused)
        if paused:
            container.unpause()     # what is frozen dies when it is thawed
            assert processes.wait_gone(state.pid, state.pid_start, 20)
        at_rest(rt)
        assert container.status == "exited"
        container.start()
        container.stop(timeout=0)


def test_killed_conmon_with_rm_and_force(rt: Runtime) -> None:
    container = sleeper(rt, remove=True, network="bridge", ports=["18080:80"])
    kill(rt.state.container_state(container.id), conmon=True)
    container.remove(force=True, timeout=0)
    assert not rt.containers.exists("sleeper")


def test_process_that_ended_without_exit_command(rt: Runtime) -> None:
    with rt.containers.create(IMAGE, ["sleep", "1000"], network="none") as container:
        ended_without_exit_command(rt, container)
        assert rt.containers.list(all=True)[0].state == "stopped"
        assert [finding.area for finding in rt.check(quick=True)] == ["container"]
        at_rest(rt)
        assert container.status == "exited"
        assert container.wait() == 137


def test_removed_container_whose_exit_command_never_came(rt: Runtime) -> None:
    container = rt.containers.create(IMAGE, ["sleep", "1000"], network="none", remove=True)
    ended_without_exit_command(rt, container)
    at_rest(rt)
    assert not rt.containers.exists(container.id)


FOREGROUND = OPEN + """
import os
from wherry.engine.foreground import Streams, run_attached
null = os.open("/dev/null", os.O_RDWR)
container = rt.containers.create(%r, ["sh", "-c", "sleep 0.5; exit 4"], name="front", network="none", remove=%r)
streams = Streams(stdout=null, stderr=null)
run_attached(rt, container.config, streams, started=lambda pid, start: os.kill(os.getpid(), 9))
"""


@pytest.mark.parametrize("remove", [False, True])
def test_killed_foreground_run_is_cleaned_up_by_the_exit_command(rt: Runtime, base: Path, remove: bool) -> None:
    outcome = crash.run_killed(FOREGROUND % (IMAGE, remove), 0, str(base))
    assert outcome.killed, outcome.errors
    container = rt.containers.get("front")
    assert container.status == "running"
    if remove:
        until(lambda: not rt.containers.exists("front"))
    else:
        until(lambda: container.status == "exited")
    assert container.wait() == 4
    assert rt.check(quick=True) == []
    if not remove:
        container.remove()


STRAY = OPEN + """
import os
import wherry.oci.monitor as monitor
original = monitor.processes.spawn
def spawn(argv, **options):
    pid = original(argv, **options)
    if "conmon" in argv[0]:
        os.kill(os.getpid(), 9)
    return pid
monitor.processes.spawn = spawn
rt.containers.get("stray").start()
"""


@pytest.mark.parametrize("network", ["none", "bridge"])
def test_killed_while_the_oci_runtime_creates(rt: Runtime, base: Path, network: str) -> None:
    """The next command comes while conmon and the runtime are at work for somebody who is dead."""
    options = {"ports": ["18080:80"]} if network == "bridge" else {}
    for _round in range(3):
        with rt.containers.create(IMAGE, ["sleep", "1000"], name="stray", network=network, **options) as container:
            assert crash.run_killed(STRAY, 0, str(base)).killed
            assert container.status == "created"
            container.start()
            assert container.status == "running"
            assert container.exec(["true"]).exit_code == 0


EXEC = OPEN + """
import os, wherry.oci.attach as attach
attach.Attachment.collect = lambda self, data: os.kill(os.getpid(), 9)
rt.containers.get("sleeper").exec(["sh", "-c", "sleep %s"])
"""


def test_killed_exec_is_forgotten_when_its_command_ends(rt: Runtime, base: Path) -> None:
    with sleeper(rt) as container:
        assert crash.run_killed(EXEC % "0.5", 0, str(base)).killed
        assert len(container.inspect()["ExecIDs"]) == 1
        until(lambda: container.inspect()["ExecIDs"] == [])


def test_killed_exec_does_not_outlive_its_container(rt: Runtime, base: Path) -> None:
    with sleeper(rt) as container:
        assert crash.run_killed(EXEC % "1000", 0, str(base)).killed
        assert len(container.inspect()["ExecIDs"]) == 1
        container.stop(timeout=0)
        assert container.inspect()["ExecIDs"] == []


# -- reboot ------------------------------------------------------------------------------------------------------------

def reboot(rt: Runtime, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every process is gone, nothing is mounted, the run directory is empty, the boot has another id."""
    rt.networking.driver.settle()
    for pid, _line in processes_of(str(base)):      # conmon and exit commands
        os.kill(pid, 9)
        assert processes.wait_gone(pid, timeout=20)
    for row in rt.state.container_rows(all=True):
        for name in ("crun", "runc"):
            subprocess.run([name, "delete", "--force", row.id], capture_output=True, check=False)
        assert processes.wait_gone(row.pid, row.pid_start, 20)
    rt.close()
    unmount(base)
    remove_tree(f"{base}/run")
    monkeypatch.setattr(processes, "_boot_id", str(uuid.uuid4()))


def test_reboot(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_runtime(own) as rt:
        layers = len(rt.store.layers())
        sleeper(rt, "running", volumes=["kept:/data"]).exec(["touch", "/data/file", "/file"])
        sleeper(rt, "paused").pause()
        sleeper(rt, "published", network="bridge", ports=["18080:80"])
        sleeper(rt, "ephemeral", remove=True)
        sleeper(rt, "stopped").stop(timeout=0)
        rt.containers.create(IMAGE, ["true"], name="created", network="none")
        rt.containers.create(IMAGE, ["sleep", "1000"], name="initialized", network="none").init()
        assert crash.run_killed(EXEC.replace("sleeper", "running") % "1000", 0, str(own)).killed
        reboot(rt, own, monkeypatch)

    with open_runtime(own) as rt:
        states = {summary.name: summary.state for summary in rt.containers.list(all=True)}
        assert states == {
            "running": "exited", "paused": "exited", "published": "exited", "ephemeral": "exited",
            "stopped": "exited", "created": "created", "initialized": "created",
        }
        at_rest(rt)
        assert not rt.containers.exists("ephemeral")
        for name in ("running", "paused", "published", "created", "initialized"):
            container = rt.containers.get(name)
            container.start()
            assert container.inspect()["ExecIDs"] == []
        assert rt.containers.get("running").exec(["ls", "/data/file", "/file"]).stdout == "/data/file\n/file\n"
        for summary in rt.containers.list(all=True):
            rt.containers.get(summary.id).remove(force=True, timeout=0)
        rt.volumes.get("kept").remove()
        rt.check(quick=True, repair=True)
        assert_nothing_leaked(rt, layers)


@pytest.mark.parametrize(
    "verb", ["container.start()", "container.stop(timeout=0)", "container.remove(force=True, timeout=0)"]
)
def test_reboot_in_the_middle(own: Path, monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    """The power fails half-way through a verb."""
    with open_runtime(own) as rt:
        layers = len(rt.store.layers())
        for number in (40, 90, 140, 190):
            container = rt.containers.create(IMAGE, ["sleep", "1000"], name="cut", network="none")
            if "start" not in verb:
                container.start()
            crash.run_killed(OPEN + f"container = rt.containers.get('cut')\narm(number)\n{verb}", number, str(own))
            reboot(rt, own, monkeypatch)
            at_rest(rt)
            if rt.containers.exists("cut"):
                rt.containers.get("cut").start()
                rt.containers.get("cut").remove(force=True, timeout=0)
            assert_nothing_leaked(rt, layers)
