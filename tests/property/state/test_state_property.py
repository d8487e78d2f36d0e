"""The two implementations of State side by side: whatever is done, they answer the same."""

from __future__ import annotations

import shutil
import tempfile
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from wherry.errors import StateError, WherryError
from wherry.model import status
from wherry.model.container import ContainerState
from wherry.model.event import Event
from wherry.model.exec_session import ExecSession
from wherry.model.mount import NamedVolume
from wherry.model.network import NetworkOptions, PortMapping
from wherry.model.pod import PodState
from wherry.model.record import Record
from wherry.model.volume import VolumeConfig, VolumeState
from wherry.state.memory import MemoryState
from wherry.state.sqlite import SqliteState
from wherry.testing.state_builders import container, full, pod

# Few values, so that they meet; ids that are beginnings of names and of each other's beginnings.
IDS = ["a1", "a2", "ab", "b1", "b2"]
NAMES = ["web", "db", "ab", "a1"]
VOLUMES = ["v", "v1", "data"]
NETWORKS = ["n1", "n2"]
TEXTS = [*IDS, *NAMES, *VOLUMES, "a", "b", "v", "", "zz", "\udcff", full("a1"), full("b2")]

ids = st.sampled_from(IDS).map(full)
names = st.sampled_from(NAMES)
volumes = st.sampled_from(VOLUMES)
networks = st.sampled_from(NETWORKS)
namespaces = st.sampled_from(["", "", "one"])
events = st.lists(st.sampled_from(["create", "start", "died"]).map(lambda what: Event(status=what)), max_size=2)
states = st.builds(
    ContainerState,
    status=st.sampled_from(status.ALL),
    pid=st.integers(0, 9),
    exit_code=st.integers(-1, 255),
    port_mappings=st.lists(st.builds(PortMapping, host_port=st.integers(1, 3)), max_size=2),
)
configs = st.builds(
    container,
    st.sampled_from(IDS),
    names,
    pod=st.one_of(st.just(""), st.just(""), ids),
    namespace=namespaces,
    dependencies=st.lists(ids, max_size=2),
    net_ns_ctr=st.one_of(st.just(""), st.just(""), ids),
    named_volumes=st.lists(volumes.map(lambda name: NamedVolume(name=name)), max_size=2),
    networks=st.dictionaries(networks, st.just(NetworkOptions(aliases=["x"])), max_size=2),
    labels=st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
)


def plain(value: Any) -> Any:
    """*value* without the classes that differ and the numbers that may."""
    if isinstance(value, Record):
        shown = value.to_json()
        return type(value).__name__, {key: shown[key] for key in shown if key not in ("seq", "time_ns")}
    if isinstance(value, tuple) and type(value) is not tuple:
        return type(value).__name__, tuple(value)
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


class Comparison(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.mkdtemp(prefix="wherry-state-")
        self.sqlite = SqliteState(self.directory + "/state.db", identity={})
        self.memory = MemoryState()

    def teardown(self) -> None:
        self.sqlite.close()
        shutil.rmtree(self.directory)

    def both(self, method: str, *arguments: Any, **options: Any) -> None:
        outcomes = []
        for state in (self.sqlite, self.memory):
            try:
                outcome = plain(getattr(state, method)(*arguments, **options))
            except WherryError as error:
                outcome = (type(error), str(error))
            outcomes.append(outcome)
        assert outcomes[0] == outcomes[1], (method, arguments)

    @rule(config=configs, state=states, events=events)
    def add_container(self, config: Any, state: Any, events: Any) -> None:
        self.both("add_container", config, state, *events)

    @rule(identity=ids, state=states, events=events)
    def save_state(self, identity: str, state: Any, events: Any) -> None:
        self.both("save_state", identity, state, *events)

    @rule(config=configs, events=events)
    def rewrite_config(self, config: Any, events: Any) -> None:
        self.both("rewrite_config", config.id, config, *events)

    @rule(identity=ids, name=names, config=configs)
    def rename_container(self, identity: str, name: str, config: Any) -> None:
        self.both("rename_container", identity, name, config.replace(id=identity))

    @rule(identity=ids, events=events, code=st.one_of(st.none(), st.integers(0, 255)))
    def remove_container(self, identity: str, events: Any, code: int | None) -> None:
        self.both("remove_container", identity, *events, exit_code=code)

    @rule(identity=ids, network=networks, connect=st.booleans())
    def connect(self, identity: str, network: str, connect: bool) -> None:
        if connect:
            self.both("connect", identity, network, NetworkOptions(interface_name="eth1"))
        else:
            self.both("disconnect", identity, network)

    @rule(identity=st.sampled_from(IDS), name=names, namespace=namespaces, infra=st.one_of(st.just(""), ids))
    def add_pod(self, identity: str, name: str, namespace: str, infra: str) -> None:
        self.both("add_pod", pod(identity, name, namespace=namespace), PodState(infra_id=infra))

    @rule(identity=ids, infra=st.one_of(st.just(""), ids))
    def save_pod_state(self, identity: str, infra: str) -> None:
        self.both("save_pod_state", identity, PodState(infra_id=infra))

    @rule(identity=ids)
    def remove_pod(self, identity: str) -> None:
        self.both("remove_pod", identity)

    @rule(name=volumes)
    def add_volume(self, name: str) -> None:
        self.both("add_volume", VolumeConfig(name=name), VolumeState())

    @rule(name=volumes, count=st.integers(0, 3))
    def save_volume_state(self, name: str, count: int) -> None:
        self.both("save_volume_state", name, VolumeState(mount_count=count))

    @rule(name=volumes, new=volumes)
    def rewrite_volume(self, name: str, new: str) -> None:
        self.both("rewrite_volume", name, VolumeConfig(name=new, uid=7))

    @rule(name=volumes)
    def remove_volume(self, name: str) -> None:
        self.both("remove_volume", name)

    @rule(identity=ids, owner=ids, verb=st.sampled_from(["add_exec", "save_exec"]), pid=st.integers(0, 3))
    def change_exec(self, identity: str, owner: str, verb: str, pid: int) -> None:
        # An exec session never moves to another container, so its owner follows from its id.
        self.both(verb, ExecSession(id=identity[:2] + owner[2:], container_id=identity, pid=pid))

    @rule(identity=ids)
    def remove_exec(self, identity: str) -> None:
        self.both("remove_exec", identity)

    @rule(identity=ids, code=st.integers(-1, 255), when=st.integers(0, 3), limit=st.integers(0, 4))
    def exit_codes(self, identity: str, code: int, when: int, limit: int) -> None:
        self.both("save_exit_code", identity, code, when)
        self.both("prune_exit_codes", limit)

    @rule(kind=st.sampled_from(["mount", "network"]), identity=ids)
    def add_intent(self, kind: str, identity: str) -> None:
        for state in (self.sqlite, self.memory):
            state.add_intent(kind, identity, {"a": [1]})

    @rule(index=st.integers(0, 2))
    def clear_intent(self, index: int) -> None:
        for state in (self.sqlite, self.memory):
            for intent in state.intents()[index:index + 1]:
                state.clear_intent(intent.seq)

    @rule(index=st.integers(0, 3))
    def forget_events(self, index: int) -> None:
        for state in (self.sqlite, self.memory):
            for seq, _ in state.pending_events()[index:index + 1]:
                state.forget_events(seq)

    @rule(first=configs, second=configs, state=states, fail=st.booleans())
    def transaction(self, first: Any, second: Any, state: Any, fail: bool) -> None:
        """Several changes, some of which may be refused, committed or rolled back together."""
        for one in (self.sqlite, self.memory):
            try:
                with one.transaction():
                    for config in (first, second):
                        try:
                            one.add_container(config, state, Event(status="create"))
                        except WherryError:
                            one.add_events(Event(status="refused"))
                    if fail:
                        raise StateError("undo")
            except StateError:
                pass

    @rule()
    def reopen(self) -> None:
        self.both("close")

    @rule(text=st.sampled_from(TEXTS), namespace=namespaces)
    def look_up(self, text: str, namespace: str) -> None:
        self.both("container_id", text, namespace)
        self.both("pod_id", text, namespace)
        for method in ("has_container", "volume_name", "exec_container", "exec_session", "exec_ids", "exit_code"):
            self.both(method, text)

    @rule(chosen=st.lists(ids, max_size=3), namespace=namespaces, everything=st.booleans())
    def choose_rows(self, chosen: list[str], namespace: str, everything: bool) -> None:
        self.both("container_rows", all=everything, ids=chosen, namespace=namespace)
        self.both("pod_rows", namespace=namespace)

    @invariant()
    def same(self) -> None:
        self.both("container_rows")
        self.both("pod_rows")
        self.both("volumes")
        self.both("intents")
        assert [plain(event) for _, event in self.sqlite.pending_events()] == [
            plain(event) for _, event in self.memory.pending_events()
        ]
        for row in self.memory.container_rows():
            for method in ("container", "dependents", "exec_ids", "container_networks"):
                self.both(method, row.id)
        for row in self.memory.pod_rows():
            self.both("pod", row.id)
            self.both("containers_in_pod", row.id)
        for name in VOLUMES:
            self.both("volume_users", name)
        for name in NETWORKS:
            self.both("network_users", name)
        self.both("check")


TestComparison = Comparison.TestCase
TestComparison.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
