"""Pods over their life: ports, crashes and policies, order of stopping, races of many processes, broken members."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from tests.system.fixtures.engine import IMAGE

from wherry.engine.pod import Pod
from wherry.engine.pod_verbs import SomeContainersFailed
from wherry.engine.runtime import Runtime
from wherry.errors import AlreadyExists, InvalidArgument, NoSuchPod, StateError
from wherry.sys import cgroups

pytestmark = pytest.mark.system


def settled(pod: Pod, wanted: str) -> bool:
    deadline = time.monotonic() + 20
    while pod.status != wanted and time.monotonic() < deadline:
        time.sleep(0.05)
    return pod.status == wanted


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def fetch(port: int) -> str:
    deadline = time.monotonic() + 10
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2) as answer:
                text: str = answer.read().decode()
                return text
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def test_the_pods_ports_are_its_members(rt: Runtime) -> None:
    port = free_port()
    with rt.pods.create("web", ports=[f"127.0.0.1:{port}:80"], extra_hosts=["other:10.1.2.3"], dns=["10.9.8.7"]) as pod:
        server = pod.create(IMAGE, ["httpd", "-f", "-p", "80", "-h", "/www"], name="server")
        client = pod.create(IMAGE, ["sleep", "100"], name="client")
        pod.start()
        assert fetch(port) == "hello from wherry\n"
        assert client.exec(["wget", "-qO-", "http://127.0.0.1/"]).stdout == "hello from wherry\n"
        assert "10.1.2.3\tother" in client.exec(["cat", "/etc/hosts"]).stdout
        assert "10.9.8.7" in client.exec(["cat", "/etc/resolv.conf"]).stdout
        server.restart(0)       # the network is the infra container's and stays
        assert fetch(port) == "hello from wherry\n"
    rt.networking.driver.settle()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", port))


def test_a_member_that_crashes_degrades_the_pod(rt: Runtime) -> None:
    with rt.pods.create("crash", network="none") as pod:
        pod.create(IMAGE, ["sh", "-c", "sleep 0.3; exit 3"], name="weak")
        strong = pod.create(IMAGE, ["sleep", "100"], name="strong")
        pod.start()
        assert settled(pod, "Degraded")
        assert rt.containers.get("weak").state().exit_code == 3
        assert strong.status == "running"
        pod.start()             # starts what has ended and leaves the rest alone
        assert strong.state().pid
        assert settled(pod, "Degraded")


def test_the_pods_restart_policy_is_its_members(rt: Runtime) -> None:
    with rt.pods.create("again", network="none", restart="always") as pod:
        member = pod.create(IMAGE, ["sleep", "0.2"], name="short")
        own = pod.create(IMAGE, ["sleep", "0.2"], name="once", restart="no")
        pod.start()
        deadline = time.monotonic() + 20
        while member.state().restart_count < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert member.state().restart_count >= 2
        assert own.status == "exited"
        assert own.state().restart_count == 0


def test_exit_policy_continue_keeps_the_infra_container(rt: Runtime) -> None:
    with rt.pods.create("stays", network="none", exit_policy="continue") as pod:
        pod.create(IMAGE, ["true"], name="short")
        pod.start()
        assert settled(pod, "Degraded")
        infra = rt.containers.get(pod.state().infra_id)
        time.sleep(0.3)
        assert infra.status == "running"


def test_exit_policy_stop_after_a_stop_by_hand(rt: Runtime) -> None:
    with rt.pods.create("goes", network="none", exit_policy="stop") as pod:
        member = pod.create(IMAGE, ["sleep", "100"], name="member")
        pod.start()
        member.stop(0)
        assert settled(pod, "Exited")


def test_dependents_stop_before_what_they_need(rt: Runtime) -> None:
    with rt.pods.create("order", network="none") as pod:
        script = ["sh", "-c", "trap 'sleep 0.2; exit 0' TERM; echo up; while :; do sleep 0.02; done"]
        made = [pod.create(IMAGE, script, name="base"), pod.create(IMAGE, script, name="upper", requires=["base"])]
        pod.start()
        while not all(list(member.logs()) for member in made):      # the trap is set
            time.sleep(0.05)
        pod.stop()
        ended = {summary.name: rt.state.container_state(summary.id).finished_time for summary in pod.containers()}
        infra = next(name for name in ended if name.endswith("-infra"))
        assert ended["upper"] < ended["base"] < ended[infra]


def test_every_namespace_can_be_shared(rt: Runtime) -> None:
    with rt.pods.create("all", network="none", share=["ipc", "net", "uts", "pid", "cgroup"]) as pod:
        pod.create(IMAGE, ["sleep", "111"], name="first")
        second = pod.create(IMAGE, ["sleep", "100"], name="second")
        pod.start()
        assert "sleep 111" in second.exec(["ps"]).stdout
        infra = rt.state.container_state(pod.state().infra_id).pid
        for kind in ("ipc", "net", "uts", "pid", "cgroup"):
            there, here = (Path(f"/proc/{pid}/ns/{kind}").readlink() for pid in (infra, second.state().pid))
            assert there == here, kind
    with rt.pods.create("none", network="none", share=[]) as pod:
        member = pod.create(IMAGE, ["sleep", "100"], name="member", network="none")
        pod.start()
        infra = rt.state.container_state(pod.state().infra_id).pid
        for kind in ("ipc", "net", "uts", "pid"):
            there, here = (Path(f"/proc/{pid}/ns/{kind}").readlink() for pid in (infra, member.state().pid))
            assert there != here, kind


def test_infra_options(rt: Runtime, tmp_path: Path) -> None:
    options = {"infra_name": "waits", "infra_image": IMAGE, "infra_command": ["sleep", "1000"]}
    pid_file, id_file = tmp_path / "conmon", tmp_path / "pod"
    with rt.pods.create("own", network="none", pod_id_file=str(id_file), infra_conmon_pid_file=str(pid_file),
                        **options) as pod:
        assert id_file.read_text() == pod.id
        pod.create(IMAGE, ["sleep", "100"])
        pod.start()
        infra = rt.containers.get("waits")
        assert infra.config.rootfs_image_name == IMAGE
        assert infra.top("args").rows == [["sleep 1000"]]
        assert int(pid_file.read_text()) == infra.state().conmon_pid
        with pytest.raises(InvalidArgument, match="pod id file exists"):
            rt.pods.create("other", pod_id_file=str(id_file))


def test_replace(rt: Runtime) -> None:
    old = rt.pods.create("same", network="none")
    old.create(IMAGE, ["sleep", "100"], name="member", stop_timeout=0)
    old.start()
    with rt.pods.create("same", network="none", replace=True) as new:
        assert new.id != old.id
        assert len(new.containers()) == 1
        with pytest.raises(NoSuchPod):
            old.state()


def test_security_options_reach_the_infra_container(rt: Runtime) -> None:
    with rt.pods.create("safe", network="none", security_opt=["no-new-privileges"]) as pod:
        pod.create(IMAGE, ["sleep", "100"])
        pod.start()
        status = Path(f"/proc/{rt.state.container_state(pod.state().infra_id).pid}/status").read_text()
        assert "NoNewPrivs:\t1" in status


def test_devices_and_volumes_of_the_pod_are_its_members(rt: Runtime, tmp_path: Path) -> None:
    words = {"devices": ["/dev/null:/dev/nothing:r"], "volumes": ["shared:/data", f"{tmp_path}:/host"]}
    with rt.volumes.create("shared"), rt.pods.create("has", network="none", **words) as pod:
        member = pod.create(IMAGE, ["sleep", "100"], name="member")
        pod.start()
        assert member.exec(["ls", "-l", "/dev/nothing"]).stdout.startswith("c")
        assert member.exec(["touch", "/data/file", "/host/file"]).exit_code == 0
        assert (tmp_path / "file").exists()
        infra = rt.containers.get(pod.state().infra_id)
        assert not (Path(infra.config.rootfs) / "data").exists()     # all infra containers share their root
        pod.remove(force=True, timeout=0)


def test_pause_and_kill_tell_of_every_failure(rt: Runtime) -> None:
    with rt.pods.create("some", network="none") as pod:
        pod.create(IMAGE, ["sleep", "100"], name="fine")
        broken = pod.create(IMAGE, ["/nonexistent"], name="broken")
        with pytest.raises(SomeContainersFailed) as failed:
            pod.restart()
        assert list(failed.value.errors) == [broken.id]
        pod.pause()
        assert rt.containers.get("fine").status == "paused"
        pod.unpause()
        pod.kill("TERM")
        assert pod.status in ("Degraded", "Stopped")


REMOVER = """
import sys
from tests.system.fixtures.engine import open_runtime
from wherry.errors import NoSuchContainer, NoSuchPod, WherryError
base, pod, number = sys.argv[1:]
with open_runtime(base) as rt:
    verbs = (lambda p: p.start(), lambda p: p.stop(0), lambda p: p.remove(force=True, timeout=0), lambda p: p.kill())
    for turn in range(4):
        try:
            verbs[(int(number) + turn) % 4](rt.pods.get(pod))
        except WherryError:
            pass
"""


def test_eight_processes_start_stop_kill_and_remove_pods(rt: Runtime, base: Path) -> None:
    """No dead-lock, nothing left: what the leak check of the engine's fixture looks for."""
    pod = rt.pods.create("race", network="none")
    for _member in range(2):
        pod.create(IMAGE, ["sleep", "100"])
    racers = [
        subprocess.Popen([sys.executable, "-c", REMOVER, str(base), pod.id, str(number)], stderr=subprocess.PIPE)
        for number in range(8)
    ]
    for racer in racers:
        _out, errors = racer.communicate(timeout=120)
        assert racer.returncode == 0, errors.decode()
    if rt.pods.exists(pod.id):
        pod.remove(force=True, timeout=0)
    assert rt.containers.list(all=True) == []
    assert cgroups.processes(f"/wherry/pod-{pod.id}") == []


KILLED = """
import sys
from tests.system.fixtures.engine import open_runtime
base, pod = sys.argv[1:]
with open_runtime(base) as rt:
    handle = rt.pods.get(pod)
    print("begin", flush=True)
    handle.remove(force=True, timeout=0)
"""


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.05, 0.1])
def test_a_killed_removal_is_finished_by_the_next(rt: Runtime, base: Path, delay: float) -> None:
    pod = rt.pods.create("doomed", network="none")
    for _member in range(2):
        pod.create(IMAGE, ["sleep", "100"], volumes=["/data"])
    pod.start()
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(base), pod.id], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(delay)
    process.kill()
    process.communicate()
    if rt.pods.exists(pod.id):
        pod.remove(force=True, timeout=0)
    deadline = time.monotonic() + 10
    while rt.check(quick=True, repair=True) and time.monotonic() < deadline:
        time.sleep(0.1)     # monitors of the killed containers are ending
    assert rt.check(quick=True) == []
    assert rt.volumes.list() == []
    assert cgroups.processes(f"/wherry/pod-{pod.id}") == []


def test_members_share_the_pods_user_namespace(rt: Runtime) -> None:
    with rt.pods.create("mapped", network="none", uid_map=["0:200000:65536"], gid_map=["0:200000:65536"]) as pod:
        member = pod.create(IMAGE, ["sleep", "100"], name="member")
        pod.start()
        assert member.exec(["cat", "/proc/self/uid_map"]).stdout.split() == ["0", "200000", "65536"]
        assert member.exec(["sh", "-c", "touch /mine && stat -c %u:%g /mine /bin"]).stdout == "0:0\n0:0\n"


def test_dependents_are_removed_with_what_they_need(rt: Runtime) -> None:
    first = rt.containers.create(IMAGE, ["sleep", "100"], name="first", network="none")
    rt.containers.create(IMAGE, ["true"], name="second", network="none", requires=["first"])
    third = rt.containers.create(IMAGE, ["sleep", "100"], name="third", network="container:first")
    third.start()
    with pytest.raises(AlreadyExists, match="has dependent containers which must be removed before it"):
        first.remove(force=True, timeout=0)
    with pytest.raises(StateError, match="cannot be removed without force"):
        first.remove_with_dependents()
    assert len(rt.containers.list(all=True)) == 3
    gone = first.remove_with_dependents(force=True, timeout=0)
    assert len(gone) == 3 and gone[-1] == first.id
    assert rt.containers.list(all=True) == []
