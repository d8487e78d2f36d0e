"""What any State must do: a suite for pytest.

Derive a test class and give it a fixture ``state`` that returns an empty State:

    class TestMyState(StateContract):
        @pytest.fixture
        def state(self):
            return MyState()
"""

from __future__ import annotations

from wherry import errors
from wherry.model import status
from wherry.model.container import ContainerState
from wherry.model.event import Event
from wherry.model.exec_session import ExecConfig, ExecSession
from wherry.model.mount import NamedVolume
from wherry.model.network import NetworkOptions, PortMapping
from wherry.model.pod import PodState
from wherry.model.timestamps import SECOND
from wherry.model.volume import VolumeConfig, VolumeState
from wherry.state.refusals import NamespaceMismatch, NetworkConnected
from wherry.testing.state_builders import Refused, add, container, event, full, pod, statuses
from wherry.testing.state_update_contract import UpdateContract

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.state.protocol import State

class ContainerContract:
    """Containers: what is saved is read back, and names mean one thing."""

    def test_a_container_is_read_back_as_it_was_saved(self, state: State) -> None:
        config = container(
            labels={"a": "b"}, command=["sh", "-c", "exit 3"], spec={"process": {"terminal": True}}, stop_signal=9,
            networks={"podman": NetworkOptions(aliases=["x"])}, port_mappings=[PortMapping(container_port=80)],
        )
        saved = ContainerState(status=status.RUNNING, pid=42, exec_sessions={"e": ExecSession(id="e")})
        state.add_container(config, saved)
        assert state.container_config(config.id) == config
        assert state.container_state(config.id) == saved
        assert state.container(config.id) == (config, saved)

    def test_bytes_that_are_not_text_survive(self, state: State) -> None:
        config = add(state, command=["printf", "\udcff"], cid_file="/tmp/\udc80")
        assert state.container_config(config.id).command == ["printf", "\udcff"]
        assert state.container_rows()[0].cid_file == "/tmp/\udc80"

    def test_names_that_are_not_text_name_nothing(self, state: State) -> None:
        with Refused(errors.NoSuchExecSession, "no exec session with ID \udcff found: no such exec session"):
            state.exec_session("\udcff")
        with Refused(errors.NoSuchVolume, 'no volume with name "\udcff" found: no such volume'):
            state.volume_name("\udcff")
        assert state.container_rows(ids=["\udcff"]) == []

    def test_what_is_read_is_not_shared(self, state: State) -> None:
        config = add(state)
        read = state.container_state(config.id)
        read.pid = 5
        assert state.container_state(config.id).pid == 0
        given = ContainerState(pid=1)
        state.save_state(config.id, given)
        given.pid = 2
        assert state.container_state(config.id).pid == 1

    def test_an_id_a_name_or_a_beginning_finds_it(self, state: State) -> None:
        first, second = add(state, "abc1", "web"), add(state, "abd2", "db")
        assert state.container_id(first.id) == first.id
        assert state.container_id("db") == second.id
        assert state.container_id("abc") == first.id
        assert state.has_container("abd") and state.has_container("web")
        assert not state.has_container("abx") and not state.has_container("we")

    def test_exact_beats_beginning(self, state: State) -> None:
        add(state, "abc1", "web")
        named = add(state, "f00d", "ab")
        assert state.container_id("ab") == named.id

    def test_an_exact_id_beats_a_name(self, state: State) -> None:
        first = add(state, "abc1", "web")
        add(state, "f00d", first.id)
        assert state.container_id(first.id) == first.id

    def test_unknown_and_ambiguous(self, state: State) -> None:
        add(state, "abc1", "web")
        add(state, "abd2", "db")
        with Refused(errors.NoSuchContainer, 'no container with name or ID "x" found: no such container'):
            state.container_id("x")
        with Refused(errors.NoSuchContainer, 'no container with name or ID "a_%" found: no such container'):
            state.container_id("a_%")
        with Refused(errors.NoSuchContainer, 'no container with name or ID "\udcff" found: no such container'):
            state.container_id("\udcff")
        with Refused(errors.ContainerExists, 'more than one result for container "ab": container already exists'):
            state.container_id("ab")
        with Refused(errors.InvalidArgument, "name or ID cannot be empty"):
            state.container_id("")

    def test_namespaces_hide(self, state: State) -> None:
        mine, other = add(state, "ab1", "web", namespace="one"), add(state, "ab2", "db", namespace="two")
        assert state.container_id("ab", "one") == mine.id
        for text in ("db", other.id, "ab2"):
            with Refused(errors.NoSuchContainer, f'no container with name or ID "{text}" found: no such container'):
                state.container_id(text, "one")
        assert [row.name for row in state.container_rows(namespace="two")] == ["db"]

    def test_names_and_ids_are_unique_over_containers_and_pods(self, state: State) -> None:
        add(state, "c1", "web")
        state.add_pod(pod("b0", "pod"), PodState())
        for config, text in (
            (container("c1", "other"), f'ID "{full("c1")}"'),
            (container("c2", "web"), 'name "web"'),
            (container("b0", "other"), f'ID "{full("b0")}"'),
            (container("c2", "pod"), 'name "pod"'),
        ):
            with Refused(
                errors.ContainerExists, f"adding container to state: {text} is in use: container already exists"
            ):
                state.add_container(config, ContainerState(), event("create"))
        assert len(state.container_rows()) == 1
        assert state.pending_events() == []

    def test_missing_containers(self, state: State) -> None:
        text = f'no container with name or ID "{full("e")}" found: no such container'
        for ask in (state.container, state.container_config, state.container_state, state.container_networks):
            with Refused(errors.NoSuchContainer, text):
                ask(full("e"))
        with Refused(errors.NoSuchContainer, text):
            state.save_state(full("e"), ContainerState(), event("start"))
        with Refused(errors.NoSuchContainer, text):
            state.remove_container(full("e"), event("remove"))
        with Refused(errors.NoSuchContainer, text):
            state.rewrite_config(full("e"), container("e"))
        with Refused(errors.NoSuchContainer, text):
            state.rename_container(full("e"), "n", container("e"))
        assert state.pending_events() == []

    def test_rewriting_the_configuration(self, state: State) -> None:
        state.add_volume(VolumeConfig(name="data"), VolumeState())
        config = add(state, "c1", "web")
        other = add(state, "c2")
        new = config.replace(
            stop_timeout=3, named_volumes=[NamedVolume(name="data")], dependencies=[other.id], labels={"n": "1"}
        )
        state.rewrite_config(config.id, new, event("update"))
        assert state.container_config(config.id) == new
        assert state.volume_users("data") == [config.id]
        assert state.dependents(other.id) == [config.id]
        assert state.container_rows()[0].labels == {"n": "1"}
        assert statuses(state) == ["update"]
        state.rewrite_config(config.id, config)
        assert state.volume_users("data") == [] and state.dependents(other.id) == []

    def test_a_rewrite_keeps_who_it_is(self, state: State) -> None:
        config = add(state, "c1", "web")
        state.add_pod(pod(), PodState())
        for new, what in (
            (config.replace(id=full("c2")), "ID"),
            (config.replace(name="db"), "name"),
            (config.replace(pod=full("b0")), "pod"),
        ):
            with Refused(
                errors.InternalError,
                f"the new configuration of {config.id} changes its {what}: {errors.InternalError.cause}",
            ):
                state.rewrite_config(config.id, new)
        assert state.container_config(config.id) == config

    def test_a_failed_rewrite_changes_nothing(self, state: State) -> None:
        other = add(state, "c2")
        config = add(state, "c1", "web", dependencies=[other.id])
        with Refused(errors.NoSuchVolume, 'no volume with name "none" found: no such volume'):
            state.rewrite_config(config.id, config.replace(named_volumes=[NamedVolume(name="none")], dependencies=[]))
        assert state.container_config(config.id) == config
        assert state.dependents(other.id) == [config.id]

    def test_renaming(self, state: State) -> None:
        config, other = add(state, "c1", "web"), add(state, "c2", "db")
        state.rename_container(config.id, "front", config.replace(name="front"), event("rename"))
        assert state.container_id("front") == config.id
        assert not state.has_container("web")
        assert state.container_config(config.id).name == "front"
        with Refused(
            errors.ContainerExists,
            f"name db already in use, cannot rename container {config.id}: container already exists",
        ):
            state.rename_container(config.id, "db", config.replace(name="db"), event("rename"))
        assert state.container_id("db") == other.id
        assert statuses(state) == ["rename"]

    def test_rows_tell_what_ps_shows(self, state: State) -> None:
        state.add_pod(pod("b0", "group"), PodState())
        config = container(
            "c1", "web", pod=full("b0"), rootfs_image_id="f" * 64, rootfs_image_name="img:1", command=["a", "b"],
            created_time="2026-11-21T21:19:47.5Z", labels={"k": "v"}, user_volumes=["/data"], cid_file="/cid",
            port_mappings=[PortMapping(container_port=80, host_port=0)], exposed_ports={"90": ["tcp"]},
            networks={"n2": NetworkOptions(), "n1": NetworkOptions()}, auto_remove=True, restart_policy="always",
            network_mode="bridge",
        )
        state.add_container(config, ContainerState())
        (row,) = state.container_rows()
        assert (row.id, row.name, row.pod, row.pod_name) == (config.id, "web", full("b0"), "group")
        assert (row.image_id, row.image_name, row.command) == ("f" * 64, "img:1", ["a", "b"])
        assert (row.created_ns, row.started_ns, row.finished_ns) == (1795295987 * SECOND + SECOND // 2, 0, 0)
        assert (row.labels, row.mounts, row.cid_file) == ({"k": "v"}, ["/data"], "/cid")
        assert (row.ports, row.exposed_ports) == ([PortMapping(container_port=80)], {"90": ["tcp"]})
        assert row.networks == ["n2", "n1"]
        assert (row.auto_remove, row.is_infra, row.exited, row.stopped_by_user) == (True, False, False, False)
        assert (row.status, row.pid, row.restart_policy, row.network_mode) == ("configured", 0, "always", "bridge")

    def test_rows_follow_the_state(self, state: State) -> None:
        config = add(state, port_mappings=[PortMapping(container_port=80)])
        live = ContainerState(
            status=status.EXITED, pid=7, conmon_pid=8, conmon_start=9, boot_id="boot", exit_code=3, exited=True,
            started_time="1970-01-01T00:00:01Z", finished_time="1970-01-01T00:00:02Z", restart_count=4,
            health_status="healthy", stopped_by_user=True, owner_pid=5, owner_start=6,
            port_mappings=[PortMapping(container_port=80, host_port=40000)],
        )
        state.save_state(config.id, live)
        (row,) = state.container_rows()
        assert (row.status, row.pid, row.conmon_pid, row.conmon_start, row.boot_id) == ("exited", 7, 8, 9, "boot")
        assert (row.exit_code, row.exited, row.restart_count, row.health_status) == (3, True, 4, "healthy")
        assert (row.started_ns, row.finished_ns, row.stopped_by_user) == (SECOND, 2 * SECOND, True)
        assert (row.owner_pid, row.owner_start, row.pod, row.pod_name) == (5, 6, "", "")
        assert row.ports[0].host_port == 40000

    def test_rows_are_chosen(self, state: State) -> None:
        ids = [add(state, identity).id for identity in ("c3", "c1", "c2")]
        state.save_state(ids[1], ContainerState(status=status.RUNNING))
        assert [row.id for row in state.container_rows()] == ids
        assert [row.id for row in state.container_rows(all=False)] == [ids[1]]
        assert [row.id for row in state.container_rows(ids=[ids[2], ids[0], full("e")])] == [ids[0], ids[2]]
        assert state.container_rows(ids=[]) == []
        assert [row.id for row in state.container_rows(ids=[full(f"{n:x}") for n in range(900)] + ids)] == ids


class ReferenceContract:
    """What containers refer to: dependencies, pods, volumes, networks."""

    def test_dependencies(self, state: State) -> None:
        base = add(state, "b1")
        first = add(state, "c1", net_ns_ctr=base.id, dependencies=[base.id])
        second = add(state, "c2", pid_ns_ctr=base.id, ipc_ns_ctr=first.id)
        assert state.dependents(base.id) == [first.id, second.id]
        with Refused(
            errors.ContainerExists,
            f"container {base.id} has dependent containers which must be removed before it: {first.id}, {second.id}: "
            "container already exists",
        ):
            state.remove_container(base.id)
        for identity in (second.id, first.id, base.id):
            state.remove_container(identity)
        assert state.container_rows() == []

    def test_dependencies_must_exist_and_fit(self, state: State) -> None:
        state.add_pod(pod("b0", "pod"), PodState())
        inside = add(state, "c1", pod=full("b0"))
        outside = add(state, "c2")
        elsewhere = add(state, "c3", namespace="far")
        with Refused(
            errors.NoSuchContainer, f"container dependency {full('e')} does not exist in database: no such container"
        ):
            add(state, "c9", dependencies=[full("e")])
        with Refused(errors.InvalidArgument, f"container {full('c9')} cannot depend on itself: invalid argument"):
            add(state, "c9", dependencies=[full("c9")])
        with Refused(
            errors.InvalidArgument,
            f"container dependency {inside.id} is part of a pod, but container is not: invalid argument",
        ):
            add(state, "c9", dependencies=[inside.id])
        with Refused(
            errors.InvalidArgument,
            f"container dependency {outside.id} is not part of pod, but this container belongs to pod {full('b0')}: "
            "invalid argument",
        ):
            add(state, "c9", pod=full("b0"), dependencies=[outside.id])
        with Refused(
            NamespaceMismatch,
            f'container name-c9 is in namespace "" and dependency {elsewhere.id} is in namespace "far": '
            "target is in a different namespace",
        ):
            add(state, "c9", dependencies=[elsewhere.id])
        assert not state.has_container("name-c9")

    def test_the_pod_must_exist_and_share_the_namespace(self, state: State) -> None:
        state.add_pod(pod("b0", "pod", namespace="one"), PodState())
        with Refused(errors.NoSuchPod, f"no pod with name or ID {full('e')} found: no such pod"):
            add(state, pod=full("e"))
        with Refused(
            NamespaceMismatch,
            f'container name-c1 is in namespace "two" and pod {full("b0")} is in namespace "one": '
            "target is in a different namespace",
        ):
            add(state, pod=full("b0"), namespace="two")

    def test_volumes_in_use_stay(self, state: State) -> None:
        state.add_volume(VolumeConfig(name="data"), VolumeState())
        mounts = [NamedVolume(name="data", destination="/a"), NamedVolume(name="data", destination="/b")]
        config = add(state, named_volumes=mounts)
        assert state.volume_users("data") == [config.id]
        with Refused(
            errors.VolumeInUse,
            f"volume data is being used by the following container(s): {config.id}: volume is being used",
        ):
            state.remove_volume("data")
        with Refused(errors.NoSuchVolume, 'no volume with name "none" found: no such volume'):
            add(state, "c2", named_volumes=[NamedVolume(name="none")])
        state.remove_container(config.id)
        state.remove_volume("data", event("remove"))
        assert state.volumes() == []

    def test_networks(self, state: State) -> None:
        config = add(state, networks={"n1": NetworkOptions(aliases=["a"])})
        state.connect(config.id, "n2", NetworkOptions(static_mac="02:00:00:00:00:01"), event("connect"))
        assert list(state.container_networks(config.id)) == ["n1", "n2"]
        assert state.container_networks(config.id)["n2"].static_mac == "02:00:00:00:00:01"
        assert state.container_config(config.id).networks == state.container_networks(config.id)
        assert state.network_users("n2") == [config.id]
        assert state.container_rows()[0].networks == ["n1", "n2"]
        with Refused(
            NetworkConnected, f"container {config.id} is already connected to network n2: network is already connected"
        ):
            state.connect(config.id, "n2", NetworkOptions())
        state.disconnect(config.id, "n1", event("disconnect"))
        assert list(state.container_networks(config.id)) == ["n2"]
        assert state.network_users("n1") == []
        with Refused(errors.NoSuchNetwork, f"container {config.id} is not connected to network n1: network not found"):
            state.disconnect(config.id, "n1")
        assert statuses(state) == ["connect", "disconnect"]
        state.remove_container(config.id)
        assert state.network_users("n2") == []

    def test_pods(self, state: State) -> None:
        config = pod("b0", "web", labels={"a": "b"}, created_time="1970-01-01T00:00:01Z", cgroup_parent="/pods")
        state.add_pod(config, PodState(cgroup_path="/x"), event("create"))
        other = pod("b1", "db", namespace="far")
        state.add_pod(other, PodState())
        assert state.pod(config.id) == (config, PodState(cgroup_path="/x"))
        assert [state.pod_id(text) for text in ("web", "b0", config.id)] == [config.id] * 3
        with Refused(errors.PodExists, 'more than one result for pod "b": pod already exists'):
            state.pod_id("b")
        assert state.pod_id("b", "far") == other.id
        state.save_pod_state(config.id, PodState(infra_id=full("c1")))
        row, _ = state.pod_rows()
        assert (row.id, row.name, row.created_ns, row.infra_id) == (config.id, "web", SECOND, full("c1"))
        assert (row.labels, row.cgroup_parent) == ({"a": "b"}, "/pods")
        assert [row.name for row in state.pod_rows(namespace="far")] == ["db"]
        add(state, "c2", pod=config.id)
        infra = add(state, "c1", pod=config.id)
        assert state.containers_in_pod(config.id) == [full("c2"), infra.id]
        with Refused(errors.ContainerExists, f"pod {config.id} is not empty: container already exists"):
            state.remove_pod(config.id)
        state.remove_container(full("c2"))
        state.remove_container(infra.id)
        state.remove_pod(config.id, event("remove"))
        assert statuses(state) == ["create", "remove"]

    def test_missing_and_doubled_pods(self, state: State) -> None:
        config = pod("b0", "web")
        state.add_pod(config, PodState())
        add(state, "c1", "taken")
        for text, taken in ((f'ID "{full("b0")}"', pod("b0", "x")), ('name "web"', pod("b1", "web"))):
            with Refused(errors.PodExists, f"adding pod to state: {text} is in use: pod already exists"):
                state.add_pod(taken, PodState())
        with Refused(errors.PodExists, 'adding pod to state: name "taken" is in use: pod already exists'):
            state.add_pod(pod("b1", "taken"), PodState())
        missing = "no pod with name or ID x found: no such pod"
        with Refused(errors.NoSuchPod, missing):
            state.pod_id("x")
        with Refused(errors.NoSuchPod, missing):
            state.pod("x")
        with Refused(errors.NoSuchPod, missing):
            state.save_pod_state("x", PodState())
        with Refused(errors.NoSuchPod, missing):
            state.remove_pod("x")

    def test_volumes(self, state: State) -> None:
        config = VolumeConfig(name="data-1", labels={"a": "b"}, uid=5)
        state.add_volume(config, VolumeState(needs_copy_up=True), event("create"))
        state.add_volume(VolumeConfig(name="data-10"), VolumeState())
        assert state.volume("data-1") == (config, VolumeState(needs_copy_up=True))
        assert [state.volume_name(text) for text in ("data-1", "data-10")] == ["data-1", "data-10"]
        with Refused(errors.VolumeExists, "more than one result for volume name data: volume already exists"):
            state.volume_name("data")
        with Refused(errors.VolumeExists, "volume with name data-1 already exists: volume already exists"):
            state.add_volume(config, VolumeState())
        state.save_volume_state("data-1", VolumeState(mount_count=2))
        state.rewrite_volume("data-1", config.replace(gid=6))
        assert state.volume("data-1") == (config.replace(gid=6), VolumeState(mount_count=2))
        assert [volume.name for volume, _ in state.volumes()] == ["data-1", "data-10"]
        state.remove_volume("data-10")
        assert state.volume_name("da") == "data-1"
        missing = 'no volume with name "x" found: no such volume'
        for ask in (state.volume_name, state.volume, state.remove_volume):
            with Refused(errors.NoSuchVolume, missing):
                ask("x")
        with Refused(errors.NoSuchVolume, missing):
            state.save_volume_state("x", VolumeState())
        with Refused(errors.NoSuchVolume, missing):
            state.rewrite_volume("x", VolumeConfig(name="x"))


class RecordContract:
    """Exec sessions, exit codes, intents, events and transactions."""

    def test_exec_sessions(self, state: State) -> None:
        config = add(state)
        session = ExecSession(id=full("e1"), container_id=config.id, config=ExecConfig(command=["ls"], terminal=True))
        state.add_exec(session, event("exec"))
        state.add_exec(ExecSession(id=full("e2"), container_id=config.id))
        assert state.exec_session(session.id) == session
        assert state.exec_ids(config.id) == [full("e1"), full("e2")]
        assert state.exec_container("e1") == (config.id, session.id)
        with Refused(
            errors.ExecSessionExists, 'more than one result for exec session "e": exec session already exists'
        ):
            state.exec_container("e")
        session.state = "running"
        state.save_exec(session)
        assert state.exec_session(session.id).state == "running"
        with Refused(
            errors.ExecSessionExists,
            f"adding container {config.id} exec session {session.id} to database: exec session already exists",
        ):
            state.add_exec(session)
        state.remove_exec(session.id, event("exec_died"))
        missing = f"no exec session with ID {session.id} found: no such exec session"
        for ask in (state.exec_session, state.exec_container, state.remove_exec):
            with Refused(errors.NoSuchExecSession, missing):
                ask(session.id)
        with Refused(errors.NoSuchExecSession, missing):
            state.save_exec(session)
        with Refused(errors.NoSuchContainer, f'no container with name or ID "{full("f")}" found: no such container'):
            state.add_exec(ExecSession(id=full("e9"), container_id=full("f")))
        assert statuses(state) == ["exec", "exec_died"]
        state.remove_container(config.id)
        assert state.exec_ids(config.id) == []

    def test_exit_codes_outlive_containers(self, state: State) -> None:
        config = add(state)
        with Refused(
            errors.NoSuchExitCode, f"getting exit code of container {config.id} from DB: no such exit code"
        ):
            state.exit_code(config.id)
        state.save_exit_code(config.id, 1, 100)
        state.remove_container(config.id, event("remove"), exit_code=137)
        assert state.exit_code(config.id) == 137
        state.save_exit_code(full("e"), -1, 100)
        assert state.exit_code(full("e")) == -1

    def test_old_exit_codes_are_forgotten(self, state: State) -> None:
        config = add(state)
        for identity, when in ((config.id, 100), (full("e1"), 100), (full("e2"), 200)):
            state.save_exit_code(identity, 0, when)
        state.prune_exit_codes(200)
        assert [state.exit_code(config.id), state.exit_code(full("e2"))] == [0, 0]
        with Refused(
            errors.NoSuchExitCode, f"getting exit code of container {full('e1')} from DB: no such exit code"
        ):
            state.exit_code(full("e1"))

    def test_intents(self, state: State) -> None:
        first = state.add_intent("mount", full("c1"), {"path": "/x", "n": [1]})
        second = state.add_intent("network", full("c2"), {})
        assert second > first
        assert [(intent.seq, intent.kind, intent.object_id, intent.data) for intent in state.intents()] == [
            (first, "mount", full("c1"), {"path": "/x", "n": [1]}), (second, "network", full("c2"), {})
        ]
        assert state.intents()[0].time_ns > 0
        state.clear_intent(first)
        state.clear_intent(first)
        assert [intent.seq for intent in state.intents()] == [second]

    def test_events_wait_for_publication(self, state: State) -> None:
        config = container()
        created = Event(type="container", status="create", id=config.id, name="x", time_ns=5, attributes={"a": "b"})
        state.add_container(config, ContainerState(), created)
        state.save_state(config.id, ContainerState(), event("init"), event("start"))
        state.add_events(event("pull"))
        pending = state.pending_events()
        assert [what.status for _, what in pending] == ["create", "init", "start", "pull"]
        assert pending[0][1] == created
        state.forget_events(pending[1][0])
        assert statuses(state) == ["start", "pull"]

    def test_event_numbers_do_not_come_back(self, state: State) -> None:
        state.add_events(event("one"))
        last = state.pending_events()[-1][0]
        state.forget_events(last)
        state.add_events(event("two"))
        state.forget_events(last)
        assert statuses(state) == ["two"]

    def test_draining(self, state: State) -> None:
        seen: list[str] = []
        state.add_events(event("one"), event("two"))
        assert state.drain_events(lambda events: seen.extend(what.status for what in events)) == 2
        assert seen == ["one", "two"] and state.pending_events() == []
        assert state.drain_events(lambda events: seen.append("never")) == 0
        assert seen == ["one", "two"]

    def test_what_could_not_be_published_stays(self, state: State) -> None:
        def fail(_: list[Event]) -> None:
            raise errors.Unavailable("no journal")

        state.add_events(event("one"))
        with Refused(errors.Unavailable, "no journal"):
            state.drain_events(fail)
        assert statuses(state) == ["one"]

    def test_a_transaction_is_all_or_nothing(self, state: State) -> None:
        config = add(state)
        with Refused(errors.StateError, "stop: container state improper"), state.transaction():
            state.save_state(config.id, ContainerState(pid=9), event("start"))
            state.add_volume(VolumeConfig(name="v"), VolumeState())
            assert state.container_state(config.id).pid == 9
            raise errors.StateError("stop")
        assert state.container_state(config.id).pid == 0
        assert state.volumes() == [] and state.pending_events() == []

    def test_transactions_nest(self, state: State) -> None:
        config = add(state)
        with state.transaction():
            state.save_state(config.id, ContainerState(pid=1))
            with Refused(errors.StateError, "inner: container state improper"), state.transaction():
                state.save_state(config.id, ContainerState(pid=2))
                raise errors.StateError("inner")
            with state.transaction():
                state.add_events(event("kept"))
            assert state.container_state(config.id).pid == 1
        assert state.container_state(config.id).pid == 1
        assert statuses(state) == ["kept"]

    def test_an_outer_failure_undoes_inner_successes(self, state: State) -> None:
        with Refused(errors.StateError, "outer: container state improper"), state.transaction():
            with state.transaction():
                add(state)
            raise errors.StateError("outer")
        assert state.container_rows() == []

    def test_a_refused_change_does_not_spoil_the_transaction(self, state: State) -> None:
        with state.transaction():
            add(state, "c1", "web")
            with Refused(
                errors.ContainerExists,
                'adding container to state: name "web" is in use: container already exists',
            ):
                add(state, "c2", "web")
            add(state, "c3")
        assert [row.id for row in state.container_rows()] == [full("c1"), full("c3")]

    def test_data_version_changes_with_the_data(self, state: State) -> None:
        state.container_rows()
        before = state.data_version()
        state.container_rows()
        assert state.data_version() == before
        add(state)
        after = state.data_version()
        assert after != before
        state.close()
        state.container_rows()
        assert state.data_version() != before

    def test_nothing_is_wrong(self, state: State) -> None:
        state.add_volume(VolumeConfig(name="data"), VolumeState())
        add(state, named_volumes=[NamedVolume(name="data")], networks={"n": NetworkOptions()})
        state.checkpoint()
        assert state.check() == []
        state.add_pod(pod(), PodState(infra_id=full("e")))
        assert state.check() == [f"database: infra container of a pod is missing: {full('e')}"]

    def test_closing_is_not_the_end(self, state: State) -> None:
        config = add(state)
        state.close()
        state.close(fast=False)
        assert state.container_id(config.name) == config.id
        state.close(fast=False)
        state.close()


class StateContract(ContainerContract, ReferenceContract, RecordContract, UpdateContract):
    """The whole suite."""
