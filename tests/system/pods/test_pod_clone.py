"""pod clone and container clone --pod: what is copied, what is made anew, what can be changed."""

from __future__ import annotations

import pytest
from tests.system.fixtures.engine import IMAGE

from wherry.engine.runtime import Runtime
from wherry.errors import NoSuchPod, PodExists, WherryError

pytestmark = pytest.mark.system


def test_a_clone_has_everything_of_its_own(rt: Runtime) -> None:
    with rt.pods.create("one", network="none", labels={"a": "b"}, hostname="host", memory="64m") as old:
        old.create(IMAGE, ["sleep", "100"], name="first", environment={"X": "1"})
        old.create(IMAGE, ["sleep", "100"], name="second", requires=["first"], volumes=["/data"])
        with old.clone() as new:
            assert new.name == "one-clone"
            assert new.labels == {"a": "b"}
            names = {summary.name: summary.id for summary in new.containers()}
            assert set(names) == {f"{old.id[:12]}-infra-clone", "first-clone", "second-clone"}
            second = rt.containers.get("second-clone")
            infra = new.state().infra_id
            assert set(second.config.dependencies) == {names["first-clone"], infra}
            assert second.config.net_ns_ctr == infra
            assert second.config.network_mode == f"container:{infra}"
            assert len(rt.volumes.list()) == 2
            new.start()
            assert new.status == "Running"
            assert old.status == "Created"
            first = rt.containers.get("first-clone")
            assert first.exec(["sh", "-c", "echo $X; hostname"]).stdout == "1\nhost\n"
            assert f"pod-{new.id}" in first.exec(["cat", "/proc/self/cgroup"]).stdout
            assert new.inspect()["memory_limit"] == 64 << 20
            with new.clone("other") as third:
                assert len(third.containers()) == 3
        assert [pod.name for pod in rt.pods.list()] == ["one"]


def test_what_can_be_changed(rt: Runtime, tmp_path: object) -> None:
    with rt.pods.create("one", network="none") as old:
        old.create(IMAGE, ["sleep", "100"], name="member")
        changes = {
            "hostname": "other", "cpu_shares": 100, "shm_size": "1m", "volumes": [f"{tmp_path}:/shared"],
            "labels": {"x": "y"}, "infra_name": "waits",
        }
        with old.clone("two", **changes) as new:
            assert rt.containers.exists("waits")
            new.start()
            member = rt.containers.get("member-clone")
            assert member.exec(["hostname"]).stdout == "other\n"
            assert "1.0M" in member.exec(["df", "-h", "/dev/shm"]).stdout
            assert member.exec(["test", "-d", "/shared"]).exit_code == 0
            assert new.inspect()["cpu_shares"] == 100
            assert new.labels == {"x": "y"}


def test_a_user_namespace_reaches_the_members(rt: Runtime) -> None:
    with rt.pods.create("one", network="none") as old:
        old.create(IMAGE, ["sleep", "100"], name="member")
        with old.clone("two", uid_map=["0:100000:1000"], gid_map=["0:100000:1000"]) as new:
            assert "user" in new.inspect()["SharedNamespaces"]
            config = rt.containers.get("member-clone").config
            assert config.user_ns_ctr == new.state().infra_id
            assert [(line.container_id, line.host_id) for line in config.id_mappings.uid_map] == [(0, 100000)]
            new.start()
            member = rt.containers.get("member-clone")
            assert member.exec(["cat", "/proc/self/uid_map"]).stdout.split() == ["0", "100000", "1000"]
            assert member.exec(["stat", "-c", "%u", "/bin"]).stdout == "0\n"


def test_pods_without_infra(rt: Runtime) -> None:
    with rt.pods.create("bare", infra=False) as old:
        old.create(IMAGE, ["sleep", "100"], name="member", network="none")
        with old.clone() as new:
            assert [summary.name for summary in new.containers()] == ["member-clone"]


def test_failures_leave_nothing(rt: Runtime) -> None:
    with rt.pods.create("one", network="none") as old:
        old.create(IMAGE, ["sleep", "100"], name="member")
        with pytest.raises(PodExists, match='adding pod to state: name "one" is in use'):
            old.clone("one")
        with pytest.raises(WherryError):
            old.clone("two", volumes=["nonsense:relative"])
        assert [pod.name for pod in rt.pods.list()] == ["one"]
        assert len(rt.containers.list(all=True)) == 2
    with pytest.raises(NoSuchPod):
        old.clone("three")


def test_a_member_that_cannot_be_cloned_takes_the_pod_back(rt: Runtime) -> None:
    rt.secrets.create("key", b"x")
    with rt.pods.create("one", network="none") as old:
        old.create(IMAGE, ["sleep", "100"], name="fine")
        old.create(IMAGE, ["sleep", "100"], name="needy", secrets=["key"])
        rt.secrets.remove("key")
        with pytest.raises(WherryError, match="no such secret"):
            old.clone()
        assert [pod.name for pod in rt.pods.list()] == ["one"]
        assert len(rt.containers.list(all=True)) == 3


def test_containers_are_cloned_into_pods(rt: Runtime) -> None:
    with rt.pods.create("one", network="none") as first, rt.pods.create("two", network="none") as second:
        member = first.create(IMAGE, ["sleep", "100"], name="member")
        moved = member.clone(pod="two")
        assert moved.config.net_ns_ctr == second.state().infra_id
        with rt.containers.create(IMAGE, ["sleep", "100"], network="none", name="alone") as alone:
            joined = alone.clone(pod="two")
        second.start()
        assert moved.exec(["hostname"]).stdout == joined.exec(["hostname"]).stdout == "two\n"
        assert first.status == "Created"


def test_members_show_the_ports_of_their_pod(rt: Runtime) -> None:
    with rt.pods.create("one", ports=["127.0.0.1:18099:80"]) as pod:
        member = pod.create(IMAGE, ["sleep", "100"], name="member")
        other = pod.create(IMAGE, ["sleep", "100"], name="other", network="none")
        shown = {summary.name: [port.host_port for port in summary.ports] for summary in pod.containers()}
        assert shown["member"] == [18099]
        assert shown["other"] == []
        assert [port.host_port for port in member.ports()] == [18099]
        assert list(other.ports()) == []
