"""Pods of real containers: what is shared, order, states, policies, partial failure, races."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from tests.system.fixtures.engine import IMAGE

from wherry.engine.pod import Pod
from wherry.engine.pod_remove import PodNotEmptied
from wherry.engine.pod_verbs import SomeContainersFailed
from wherry.engine.runtime import Runtime
from wherry.errors import InvalidArgument, NoSuchPod, PodExists, StateError
from wherry.sys import cgroups

pytestmark = pytest.mark.system


@pytest.fixture
def pod(rt: Runtime) -> Iterator[Pod]:
    with rt.pods.create("web", network="none", labels={"a": "b"}) as made:
        yield made
    assert rt.pods.list() == []
    assert cgroups.processes(f"/wherry/pod-{made.id}") == []


def statuses(pod: Pod) -> dict[str, str]:
    return {summary.name: summary.state for summary in pod.containers() if not summary.is_infra}


def settled(pod: Pod, wanted: str) -> bool:
    """Does the pod come to be in this state within a while? Its containers' ends are noticed by other processes."""
    deadline = time.monotonic() + 20
    while pod.status != wanted and time.monotonic() < deadline:
        time.sleep(0.05)
    return pod.status == wanted


def test_members_share_network_ipc_and_host_name(rt: Runtime, pod: Pod) -> None:
    server = pod.create(IMAGE, ["httpd", "-f", "-p", "80", "-h", "/www"], name="server")
    client = pod.create(IMAGE, ["sleep", "100"], name="client")
    third = pod.create(IMAGE, ["sleep", "100"], name="third", uts="private")
    assert pod.status == "Created"
    pod.start()
    assert pod.status == "Running"
    assert "hello" in client.exec(["wget", "-qO-", "http://127.0.0.1/"]).stdout
    assert client.exec(["hostname"]).stdout == "web\n"
    assert third.exec(["hostname"]).stdout != "web\n"
    server.exec(["touch", "/dev/shm/seen"])
    assert client.exec(["ls", "/dev/shm"]).stdout == "seen\n"
    assert f"pod-{pod.id}" in client.exec(["cat", "/proc/self/cgroup"]).stdout
    assert pod.inspect()["SharedNamespaces"] == ["ipc", "net", "uts"]


def test_names_are_unique(rt: Runtime, pod: Pod) -> None:
    with pytest.raises(PodExists, match='adding pod to state: name "web" is in use: pod already exists'):
        rt.pods.create("web", infra=False)
    with pytest.raises(PodExists):
        rt.pods.create("web", network="none")
    assert len(rt.containers.list(all=True)) == 1
    with pytest.raises(NoSuchPod, match="no pod with name or ID other found: no such pod"):
        rt.pods.get("other")


def test_states(rt: Runtime, pod: Pod) -> None:
    first = pod.create(IMAGE, ["sleep", "100"], name="first")
    pod.create(IMAGE, ["sleep", "100"], name="second")
    pod.start()
    pod.pause()
    assert pod.status == "Paused"
    pod.unpause()
    first.stop(0)
    assert pod.status == "Degraded"
    pod.stop(0)
    assert pod.status == "Exited"
    pod.restart()
    assert pod.status == "Running"
    pod.kill()
    assert settled(pod, "Exited")


def test_starting_a_member_starts_the_infra_container(rt: Runtime, pod: Pod) -> None:
    member = pod.create(IMAGE, ["sleep", "100"])
    member.start()
    assert pod.status == "Running"


def test_one_failure_does_not_stop_the_others(rt: Runtime, pod: Pod) -> None:
    broken = pod.create(IMAGE, ["/nonexistent"], name="broken")
    pod.create(IMAGE, ["sleep", "100"], name="needs", requires=["broken"])
    pod.create(IMAGE, ["sleep", "100"], name="fine")
    with pytest.raises(SomeContainersFailed) as failure:
        pod.start()
    assert len(failure.value.errors) == 2
    assert broken.id in failure.value.errors
    assert statuses(pod) == {"broken": "created", "needs": "created", "fine": "running"}
    assert pod.status == "Degraded"


def test_removal_needs_force_while_members_run(rt: Runtime, pod: Pod) -> None:
    member = pod.create(IMAGE, ["sleep", "100"])
    pod.start()
    with pytest.raises(PodNotEmptied, match=f"not all containers could be removed from pod {pod.id}"):
        pod.remove()
    with pytest.raises(StateError, match="is the infra container of pod"):
        rt.containers.get(pod.state().infra_id).remove(force=True)
    assert pod.status == "Running"
    member.stop(0)
    pod.remove()
    assert not rt.pods.exists("web")


def test_init_containers_run_first(rt: Runtime, pod: Pod) -> None:
    with rt.volumes.create("order"):
        script = ["sh", "-c", "echo $0 >> /o/log"]
        for kind in ("always", "once"):
            pod.create(IMAGE, [*script, kind], name=kind, init_container=kind, volumes=["order:/o"])
        main = pod.create(IMAGE, ["sleep", "100"], volumes=["order:/o"])
        pod.start()
        assert main.exec(["cat", "/o/log"]).stdout == "always\nonce\n"
        assert not rt.containers.exists("once")
        pod.stop(0)
        pod.start()
        assert main.exec(["cat", "/o/log"]).stdout == "always\nonce\nalways\n"
        pod.remove(force=True, timeout=0)


def test_a_failing_init_container_keeps_the_pod_down(rt: Runtime, pod: Pod) -> None:
    pod.create(IMAGE, ["false"], name="init", init_container="always")
    pod.create(IMAGE, ["sleep", "100"], name="main")
    with pytest.raises(Exception, match="exited with code 1"):
        pod.start()
    assert statuses(pod)["main"] == "created"


def test_exit_policy_stop(rt: Runtime) -> None:
    with rt.pods.create("short", network="none", exit_policy="stop") as pod:
        pod.create(IMAGE, ["sleep", "0.2"])
        pod.start()
        assert settled(pod, "Exited")
        assert rt.pods.prune()[0] == [pod.id]


def test_pods_without_infra(rt: Runtime) -> None:
    with rt.pods.create("bare", infra=False) as pod:
        assert pod.status == "Created"
        pod.create(IMAGE, ["sleep", "100"], network="none")
        pod.start()
        assert pod.status == "Running"
        with pytest.raises(InvalidArgument, match="cannot use pod namespace"):
            pod.create(IMAGE, ["true"], pid="pod")


def test_new_pod_of_run_is_taken_back_on_failure(rt: Runtime) -> None:
    with pytest.raises(InvalidArgument):
        rt.containers.create(IMAGE, ["true"], pod="new:p", network="none", name="bad name")
    assert not rt.pods.exists("p")
    container = rt.containers.create(IMAGE, ["true"], pod="new:p", network="none")
    with rt.pods.get("p") as pod:
        assert [summary.id for summary in pod.containers() if not summary.is_infra] == [container.id]


def test_what_a_member_may_not_ask_for(rt: Runtime, pod: Pod) -> None:
    for options in ({"ports": ["80:80"]}, {"dns": ["1.1.1.1"]}):
        with pytest.raises(InvalidArgument, match="network cannot be configured when it is shared with a pod"):
            pod.create(IMAGE, ["true"], **options)
    with pytest.raises(InvalidArgument, match="invalid kernel namespace"):
        from wherry.spec.pod_spec import share

        share("foo")
    with pytest.raises(InvalidArgument, match="must specify pod value with init-ctr"):
        rt.containers.create(IMAGE, ["true"], network="none", init_container="once")


def test_pod_volumes_are_the_members(rt: Runtime, tmp_path: object) -> None:
    with rt.pods.create("vols", network="none", volumes=[f"{tmp_path}:/shared"]) as pod:
        member = pod.create(IMAGE, ["sleep", "100"])
        pod.start()
        assert member.exec(["touch", "/shared/x"]).exit_code == 0


def test_limits_are_the_pods(rt: Runtime) -> None:
    with rt.pods.create("small", network="none", memory="64m", cpu_shares=512) as pod:
        member = pod.create(IMAGE, ["sleep", "100"])
        pod.start()
        layout = cgroups.layout()
        group = pod.state().cgroup_path
        if layout.mode == "v2":
            place = f"{layout.directory(layout.unified, group)}/memory.max"
        else:
            place = f"{layout.directory(layout.controllers['memory'], group)}/memory.limit_in_bytes"
        with open(place, encoding="ascii") as file:
            assert file.read().strip() == str(64 << 20)
        assert pod.inspect()["memory_limit"] == 64 << 20
        assert group in member.exec(["cat", "/proc/self/cgroup"]).stdout


def test_filters(rt: Runtime, pod: Pod) -> None:
    for filters in ({"name": ["we"]}, {"label": ["a=b"]}, {"status": ["created"]}, {"ctr-number": ["1"]}):
        assert [found.id for found in rt.pods.list(filters)] == [pod.id]
    assert rt.pods.list({"label!": ["a"]}) == []
    with pytest.raises(InvalidArgument, match="foo is an invalid filter"):
        rt.pods.list({"foo": ["x"]})


RACER = """
import sys
from tests.system.fixtures.engine import open_runtime
from wherry.errors import WherryError
base, pod, turns = sys.argv[1:]
with open_runtime(base) as rt:
    for turn in range(int(turns)):
        for verb in ("start", "stop"):
            try:
                handle = rt.pods.get(pod)
                handle.start() if verb == "start" else handle.stop(0)
            except WherryError:
                pass
"""


def test_eight_processes_start_and_stop_one_pod(rt: Runtime, pod: Pod, base: object) -> None:
    pod.create(IMAGE, ["sleep", "100"])
    pod.create(IMAGE, ["sleep", "100"])
    racers = [subprocess.Popen([sys.executable, "-c", RACER, str(base), pod.id, "2"]) for _ in range(8)]
    assert [racer.wait(timeout=120) for racer in racers] == [0] * 8
    pod.stop(0)
    assert set(statuses(pod).values()) <= {"exited", "created"}
    pod.start()
    assert pod.status == "Running"
