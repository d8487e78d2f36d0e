"""Health checks that run by themselves, on a host without systemd: the supervisor, and what it survives."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.images import busybox_tar, make_image, write_docker_archive, write_oci_layout
from tests.helpers.leaks import processes_of
from tests.system.fixtures.engine import IMAGE, REPOSITORY, open_runtime

from wherry.engine.container import Container
from wherry.engine.runtime import Runtime
from wherry.errors import StateError, TimedOut
from wherry.sys import processes
from wherry.sys.files import remove_tree
from wherry.sys.systemd_bus import is_booted

pytestmark = [
    pytest.mark.system, pytest.mark.skipif(is_booted(), reason="systemd runs the timers here: tests/vm"),
]

Make = Callable[..., Container]
LAUNCHER = [sys.executable, "-I", str(REPOSITORY / "src/wherry/cli/launcher.py")]


@pytest.fixture
def box(rt: Runtime) -> Iterator[Make]:
    """Starts containers that are healthy while /tmp/ok is there, probed every 100 ms, and removes them."""
    made: list[Container] = []

    def make(command: str = "cat /tmp/ok", **options: Any) -> Container:
        main = ["sh", "-c", "trap 'exit 3' TERM; touch /tmp/ok; while :; do sleep 0.05; done"]
        options = {"health_interval": "100ms", "health_retries": 2, "network": "none", **options}
        container = rt.containers.create(IMAGE, main, health_command=command, **options)
        made.append(container)
        container.start()
        return container

    yield make
    for container in made:
        container.remove(force=True, timeout=0)


def wait_for(condition: Callable[[], bool], timeout: float = 20) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.02)


def last(container: Container) -> str:
    """When the last probe ended."""
    log = container.inspect()["State"]["Health"]["Log"]
    return log[-1]["End"] if log else ""


def probed(container: Container) -> None:
    """Wait for a probe that begins after now."""
    now = time.time_ns()

    def seen() -> bool:
        from wherry.model.timestamps import parse_ns

        log = container.inspect()["State"]["Health"]["Log"]
        return bool(log) and parse_ns(log[-1]["Start"]) > now

    wait_for(seen)


def supervisors(rt: Runtime) -> list[int]:
    found = processes_of(rt.settings.storage.run_root)
    return [pid for pid, line in found if " supervise " in line and processes.is_alive(pid)]


def supervisor(rt: Runtime) -> int:
    wait_for(lambda: len(supervisors(rt)) == 1)
    return supervisors(rt)[0]


def test_healthy_and_unhealthy_by_itself(rt: Runtime, box: Make) -> None:
    container = box()
    assert container.wait("healthy", timeout=20) == -1
    assert [row.health for row in rt.containers.list()] == ["healthy"]
    container.exec(["rm", "/tmp/ok"])
    assert container.wait("unhealthy", timeout=20) == -1
    with pytest.raises(TimedOut):
        container.wait("healthy", timeout=0.5)
    container.exec(["touch", "/tmp/ok"])
    container.wait("healthy", timeout=20)
    container.stop()
    assert rt.containers.list(all=True)[0].health == "healthy", "as Podman, it keeps what it had"
    with pytest.raises(StateError, match="container is stopped"):
        container.wait("healthy", timeout=20)
    wait_for(lambda: not supervisors(rt))


def test_one_supervisor_for_all_small_and_idle(rt: Runtime, box: Make) -> None:
    first = box(health_interval="1h")
    pid = supervisor(rt)
    others = [box(health_interval="1h") for _ in range(3)]
    for container in (first, *others):
        container.wait("healthy", timeout=20)
    assert supervisor(rt) == pid
    status = Path(f"/proc/{pid}/status").read_text()
    assert int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) < 20_000
    before = Path(f"/proc/{pid}/schedstat").read_text()
    time.sleep(0.5)
    assert Path(f"/proc/{pid}/schedstat").read_text() == before


def test_probes_pause_with_the_container(rt: Runtime, box: Make) -> None:
    container = box()
    container.wait("healthy", timeout=20)
    container.pause()
    wait_for(lambda: not [line for _pid, line in processes_of(rt.settings.storage.run_root) if " --scheduled " in line])
    then = last(container)
    time.sleep(0.5)
    assert last(container) == then
    assert container.inspect()["State"]["Health"]["Status"] == "healthy"
    container.unpause()
    probed(container)
    container.pause()
    container.stop(timeout=0)


def test_a_killed_supervisor_comes_back_with_the_next_command(rt: Runtime, box: Make) -> None:
    container = box()
    first = supervisor(rt)
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: not supervisors(rt))
    subprocess.run([*LAUNCHER, *_global(rt), "ps"], check=True, capture_output=True)
    assert supervisor(rt) != first
    probed(container)


def _global(rt: Runtime) -> list[str]:
    storage = rt.settings.storage
    return ["--root", storage.graph_root, "--runroot", storage.run_root, "--storage-driver", "overlay"]


def test_a_killed_conmon_and_container_leave_no_probes(rt: Runtime, box: Make) -> None:
    container = box()
    container.wait("healthy", timeout=20)
    state = container.state()
    os.kill(state.conmon_pid, signal.SIGKILL)
    os.kill(state.pid, signal.SIGKILL)
    wait_for(lambda: not os.listdir(rt.paths.health + "/schedule") and not supervisors(rt))
    assert container.status in ("stopped", "exited")


def test_a_killed_probe_leaves_its_command_to_the_next(rt: Runtime, box: Make) -> None:
    container = box("test -e /tmp/go || sleep 333", health_timeout="1h")

    def probes() -> list[int]:
        found = processes_of(rt.settings.storage.run_root)
        return [pid for pid, line in found if line.endswith(f"--scheduled {container.id} ")]

    def hanging() -> list[list[str]]:
        return [list(row) for row in container.top("hpid", "args").rows if row[1] == "sleep 333"]

    wait_for(lambda: bool(hanging()))
    container.exec(["touch", "/tmp/go"])
    assert probes()
    for pid in probes():
        os.kill(pid, signal.SIGKILL)
    container.wait("healthy", timeout=20)
    assert not hanging()


def test_a_probe_that_hangs_does_not_pile_up(rt: Runtime, box: Make) -> None:
    container = box("sleep 333", health_timeout="400ms")
    container.wait("unhealthy", timeout=30)
    rows = [row for row in container.top("args").rows if row[0] == "sleep 333"]
    assert len(rows) <= 1
    assert {entry["ExitCode"] for entry in container.inspect()["State"]["Health"]["Log"]} == {-1}


def test_restart_goes_on_with_probes(rt: Runtime, box: Make) -> None:
    container = box()
    container.wait("healthy", timeout=20)
    container.restart(timeout=5)
    container.wait("healthy", timeout=20)
    probed(container)


@pytest.mark.parametrize("action", ["kill", "stop", "restart"])
def test_actions_by_themselves(rt: Runtime, box: Make, action: str) -> None:
    container = box(health_on_failure=action, health_retries=1)
    container.wait("healthy", timeout=20)
    container.exec(["rm", "/tmp/ok"])
    if action == "restart":
        wait_for(lambda: container.inspect()["RestartCount"] == 1)
        container.wait("healthy", timeout=20)
    else:
        container.wait("stopped", timeout=20)
    with rt.events(filters=[f"container={container.id}", "event=health_status"]) as stream:
        told = [event.health_status for event in stream]
    assert told == ["healthy", "unhealthy", "healthy"][:3 if action == "restart" else 2]


def test_startup_check_first_then_the_regular_one(rt: Runtime, box: Make) -> None:
    container = box(
        "echo regular", startup_command="echo startup; cat /tmp/up", startup_interval="100ms", health_interval="1h"
    )
    wait_for(lambda: "startup" in str(container.inspect()["State"]["Health"]["Log"]))
    assert container.inspect()["State"]["Health"]["Status"] == "starting"
    container.exec(["touch", "/tmp/up"])
    container.wait("healthy", timeout=20)
    wait_for(lambda: container.inspect()["State"]["Health"]["Log"][-1]["Output"] == "regular\n")


def test_update_changes_what_is_run(rt: Runtime, box: Make) -> None:
    container = box(health_interval="1h")
    container.wait("healthy", timeout=20)
    container.update(health_interval="100ms", health_command="false")
    container.wait("unhealthy", timeout=20)
    container.update(no_healthcheck=True)
    wait_for(lambda: not supervisors(rt))
    container.update(health_command="true")
    container.wait("healthy", timeout=20)


def test_a_change_that_was_killed_half_way_leaves_probes_running(rt: Runtime, box: Make) -> None:
    container = box()
    container.wait("healthy", timeout=20)
    with rt.lock(container) as held:
        held.state.owner_pid, held.state.owner_start = 1, 1     # as left by a process that is gone
        held.save()
        os.unlink(f"{rt.paths.health}/schedule/{container.id}")
    container.state()
    probed(container)


def test_an_interval_of_none_needs_no_supervisor(rt: Runtime, box: Make) -> None:
    container = box(health_interval="disable")
    assert not supervisors(rt)
    assert not os.path.exists(rt.paths.health + "/wake")
    assert container.inspect()["Config"]["Healthcheck"].get("Interval") is None


def test_after_a_reboot_nothing_is_scheduled(base: Path, box: Make, rt: Runtime, monkeypatch: Any) -> None:
    container = box(health_interval="1h")
    container.wait("healthy", timeout=20)
    os.kill(supervisor(rt), signal.SIGKILL)
    state = container.state()
    os.kill(state.conmon_pid, signal.SIGKILL)
    subprocess.run([state.runtime, "delete", "--force", container.id], check=True)
    processes.wait_gone(state.pid, state.pid_start, 20)
    remove_tree(f"{rt.paths.persist}/{container.id}")
    monkeypatch.setattr(processes, "_boot_id", str(uuid.uuid4()))
    with open_runtime(base) as later:
        again = later.containers.get(container.id)
        assert again.status == "exited"
        assert later.containers.list(all=True)[0].health == ""
        wait_for(lambda: not supervisors(rt) and not os.listdir(rt.paths.health + "/schedule"))
    monkeypatch.undo()


# -- images ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["docker", "oci"])
def test_the_check_of_an_image(rt: Runtime, tmp_path: Path, form: str) -> None:
    name = f"localhost/test/checked-{form}:latest"
    check = {"Test": ["CMD-SHELL", "echo from the image"], "Interval": 10**8, "Timeout": 5 * 10**9}
    image = make_image([busybox_tar()], config={"Healthcheck": check})
    if form == "docker":
        rt.images.load(write_docker_archive(str(tmp_path / "image.tar"), [(image, [name])]))
    else:
        (loaded,) = rt.images.load(write_oci_layout(str(tmp_path / "image"), [(image, name)]))     # named by its path
        rt.images.get(loaded).tag(name)
        rt.images.remove(loaded)
    try:
        with rt.containers.create(name, ["sleep", "1000"], network="none", health_retries=7) as container:
            shown = container.inspect()["Config"]["Healthcheck"]
            assert shown == {**check, "Retries": 7}
            container.start()
            container.wait("healthy", timeout=20)
            assert container.inspect()["State"]["Health"]["Log"][0]["Output"] == "from the image\n"
        with rt.containers.create(name, ["sleep", "1000"], network="none", no_healthcheck=True) as container:
            container.start()
            assert container.inspect()["Config"]["Healthcheck"] == {"Test": ["NONE"]}
            assert not os.path.exists(rt.paths.health + "/wake")
    finally:
        rt.images.remove(name)


def test_an_image_that_wants_no_check(rt: Runtime, tmp_path: Path) -> None:
    name = "localhost/test/unchecked:latest"
    image = make_image([busybox_tar()], config={"Healthcheck": {"Test": ["NONE"]}})
    rt.images.load(write_docker_archive(str(tmp_path / "image.tar"), [(image, [name])]))
    try:
        with rt.containers.create(name, ["sleep", "1000"], network="none") as container:
            container.start()
            assert "Health" not in container.inspect()["State"]
            assert rt.containers.list()[0].health == ""
            assert not supervisors(rt)
    finally:
        rt.images.remove(name)


# -- sd_notify -------------------------------------------------------------------------------------------------------


def test_ready_when_healthy(rt: Runtime, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "notify"))
        channel.settimeout(20)
        started = subprocess.Popen(
            [
                *LAUNCHER, *_global(rt), "run", "-d", "--name", "notifier", "--network", "none", "--sdnotify=healthy",
                "--health-cmd", "cat /tmp/ok", "--health-interval", "100ms", IMAGE, "sleep", "1000",
            ],
            env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")}, stdout=subprocess.DEVNULL,
        )
        try:
            assert channel.recv(4096).startswith(b"MAINPID=")
            container = rt.containers.get("notifier")
            time.sleep(0.3)
            assert started.poll() is None, "it waits"
            container.exec(["touch", "/tmp/ok"])
            assert channel.recv(4096) == b"READY=1"
            assert started.wait(20) == 0
        finally:
            started.kill()
            rt.containers.get("notifier").remove(force=True, timeout=0)


def test_not_ready_when_it_ends_first(rt: Runtime, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "notify"))
        done = subprocess.run(
            [
                *LAUNCHER, *_global(rt), "run", "-d", "--name", "notifier", "--network", "none", "--sdnotify=healthy",
                "--health-cmd", "false", IMAGE, "sleep", "0.2",
            ],
            env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")}, capture_output=True, text=True, timeout=30,
        )
    rt.containers.get("notifier").remove()
    assert (done.returncode, done.stderr) == (126, "Error: container is stopped\n")


def test_what_podman_calls_it(rt: Runtime, box: Make) -> None:
    """Both spellings of State.Health in templates."""
    container = box(health_interval="1h")
    container.wait("healthy", timeout=20)
    told = [
        subprocess.run(
            [*LAUNCHER, *_global(rt), "inspect", "--format", f"{{{{json .State.{name}}}}}", container.id],
            check=True, capture_output=True, text=True,
        ).stdout
        for name in ("Health", "Healthcheck")
    ]
    assert told[0] == told[1]
    assert json.loads(told[0])["Status"] == "healthy"
