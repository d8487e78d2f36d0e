"""A State in memory, for tests and for engines that leave nothing behind.

It is written without a thought for SQLite on purpose: the contract suite and a property test compare the two.  Values
are kept as JSON text, so that what is read never shares an object with what was saved.
"""

from __future__ import annotations

from _thread import RLock

from wherry.errors import NoSuchContainer
from wherry.model import status
from wherry.model.container import ContainerConfig, ContainerState
from wherry.model.event import Event
from wherry.model.exec_session import ExecSession
from wherry.model.ids import is_hex
from wherry.model.jsontext import loads
from wherry.model.pod import PodConfig, PodState
from wherry.model.timestamps import now_ns
from wherry.model.update import BadDigest, KeptImage, Update
from wherry.model.volume import VolumeConfig, VolumeState
from wherry.state import refusals
from wherry.state.outbox import Intent
from wherry.state.relations import dependencies_of, volumes_of
from wherry.state.rows import ContainerRow, PodRow, config_columns, encode, pod_columns, state_columns
from wherry.state.updates import MOST_UPDATES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from wherry.model.network import NetworkOptions
    from wherry.model.record import Record


class _Tables:
    """All that is stored: dictionaries in the order of creation, JSON text inside."""

    def __init__(self) -> None:
        self.containers: dict[str, tuple[str, str]] = {}      # id -> configuration, state
        self.pods: dict[str, tuple[str, str]] = {}
        self.volumes: dict[str, tuple[str, str]] = {}         # by name
        self.execs: dict[str, str] = {}
        self.exit_codes: dict[str, tuple[int, int]] = {}      # id -> code, time
        self.intents: dict[int, str] = {}
        self.events: dict[int, str] = {}
        self.updates: dict[int, str] = {}
        self.bad_digests: dict[tuple[str, str], str] = {}     # (image, digest)
        self.kept_images: dict[tuple[str, str], str] = {}     # (image, id)

    def copy(self) -> _Tables:
        new = _Tables()
        new.__dict__.update({name: table.copy() for name, table in self.__dict__.items()})
        return new


class _Transaction:
    """A block whose changes are undone when it raises."""

    __slots__ = ("_state",)

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    def __enter__(self) -> None:
        self._state._lock.acquire()
        self._state._saved.append(self._state._tables.copy())

    def __exit__(self, kind: object, *_: object) -> None:
        state = self._state
        before = state._saved.pop()
        if kind is not None:
            state._tables = before
        elif not state._saved:
            state._version += 1
        state._lock.release()


def _text(record: Record) -> str:
    return encode(record.to_json())


class MemoryState:
    """:class:`~wherry.state.protocol.State` that lasts as long as the object. Threads may share it."""

    def __init__(self, *, identity: Mapping[str, str] | None = None) -> None:
        self.identity = dict(identity or {})
        self._tables = _Tables()
        self._saved: list[_Tables] = []
        self._lock = RLock()
        self._version = 0
        self._seq = 0

    # -- life --------------------------------------------------------------------------------------------------------

    def transaction(self) -> _Transaction:
        return _Transaction(self)

    def data_version(self) -> int:
        return self._version

    def checkpoint(self) -> None:
        """Nothing is written anywhere."""

    def check(self) -> list[str]:
        return [
            f"database: infra container of a pod is missing: {state.infra_id}"
            for _, state in map(self.pod, self._tables.pods)
            if state.infra_id and state.infra_id not in self._tables.containers
        ]

    def close(self, *, fast: bool = True) -> None:
        """Nothing to release; the content stays."""

    # -- containers: look-up -----------------------------------------------------------------------------------------

    def container_id(self, text: str, namespace: str = "") -> str:
        named = {config.id: config.name for config in self._configs() if namespace in ("", config.namespace)}
        found = _matches(text, named)
        if not found:
            raise refusals.no_container(text)
        if len(found) > 1:
            raise refusals.ambiguous_container(text)
        return found[0]

    def has_container(self, text: str) -> bool:
        try:
            self.container_id(text)
        except NoSuchContainer:
            return False
        return True

    def container_config(self, identity: str) -> ContainerConfig:
        return self.container(identity)[0]

    def container_state(self, identity: str) -> ContainerState:
        return self.container(identity)[1]

    def container(self, identity: str) -> tuple[ContainerConfig, ContainerState]:
        entry = self._tables.containers.get(identity)
        if entry is None:
            raise refusals.no_container(identity)
        return ContainerConfig.from_json(loads(entry[0])), ContainerState.from_json(loads(entry[1]))

    def container_rows(
        self, *, all: bool = True, ids: Sequence[str] | None = None, namespace: str = ""
    ) -> list[ContainerRow]:
        rows = []
        for config, state in map(self.container, self._tables.containers):
            if namespace not in ("", config.namespace) or (ids is not None and config.id not in ids):
                continue
            if all or state.status in status.ALIVE:
                pod_name = self.pod(config.pod)[0].name if config.pod else None
                rows.append(ContainerRow((*config_columns(config), *state_columns(state), pod_name)))
        return rows

    def dependents(self, identity: str) -> list[str]:
        return sorted(config.id for config in self._configs() if identity in dependencies_of(config))

    def containers_in_pod(self, pod: str) -> list[str]:
        return [config.id for config in self._configs() if config.pod == pod]

    def volume_users(self, name: str) -> list[str]:
        return sorted(config.id for config in self._configs() if name in volumes_of(config))

    def network_users(self, name: str) -> list[str]:
        return sorted(config.id for config in self._configs() if name in config.networks)

    def container_networks(self, identity: str) -> Mapping[str, NetworkOptions]:
        return self.container_config(identity).networks

    # -- containers: changes -----------------------------------------------------------------------------------------

    def add_container(self, config: ContainerConfig, state: ContainerState, *events: Event) -> None:
        with self.transaction():
            for what, value in (("ID", config.id), ("name", config.name)):
                if self._is_taken(what, value):
                    raise refusals.container_exists(what, value)
            self._check_pod(config)
            self._check_references(config)
            self._tables.containers[config.id] = (_text(config), _text(state))
            self._record(events)

    def save_state(self, identity: str, state: ContainerState, *events: Event) -> None:
        with self.transaction():
            config = self.container_config(identity)
            self._tables.containers[identity] = (_text(config), _text(state))
            self._record(events)

    def rewrite_config(self, identity: str, config: ContainerConfig, *events: Event) -> None:
        with self.transaction():
            old = self._check_kept(identity, config)
            if config.name != old.name:
                raise refusals.wrong_config(identity, "name")
            self._replace_config(config)
            self._record(events)

    def rename_container(self, identity: str, new_name: str, config: ContainerConfig, *events: Event) -> None:
        with self.transaction():
            old = self._check_kept(identity, config)
            if old.name != new_name and self._is_taken("name", new_name):
                raise refusals.name_taken(new_name, identity)
            self._replace_config(config.replace(name=new_name))
            self._record(events)

    def remove_container(self, identity: str, *events: Event, exit_code: int | None = None) -> None:
        with self.transaction():
            dependents = self.dependents(identity)
            if dependents:
                raise refusals.has_dependents(identity, dependents)
            self.container(identity)
            for session in self.exec_ids(identity):
                del self._tables.execs[session]
            del self._tables.containers[identity]
            if exit_code is not None:
                self._tables.exit_codes[identity] = (exit_code, now_ns())
            self._record(events)

    def connect(self, identity: str, network: str, options: NetworkOptions, *events: Event) -> None:
        with self.transaction():
            config = self.container_config(identity)
            if network in config.networks:
                raise refusals.already_connected(identity, network)
            self._replace_config(config.replace(networks={**config.networks, network: options}))
            self._record(events)

    def disconnect(self, identity: str, network: str, *events: Event) -> None:
        with self.transaction():
            config = self.container_config(identity)
            if network not in config.networks:
                raise refusals.not_connected(identity, network)
            left = {name: options for name, options in config.networks.items() if name != network}
            self._replace_config(config.replace(networks=left))
            self._record(events)

    # -- exec sessions and exit codes --------------------------------------------------------------------------------

    def add_exec(self, session: ExecSession, *events: Event) -> None:
        with self.transaction():
            self.container(session.container_id)
            if session.id in self._tables.execs:
                raise refusals.exec_session_exists(session.id, session.container_id)
            self._tables.execs[session.id] = _text(session)
            self._record(events)

    def exec_session(self, identity: str) -> ExecSession:
        if identity not in self._tables.execs:
            raise refusals.no_exec_session(identity)
        return ExecSession.from_json(loads(self._tables.execs[identity]))

    def exec_ids(self, container: str) -> list[str]:
        sessions = map(self.exec_session, self._tables.execs)
        return sorted(session.id for session in sessions if session.container_id == container)

    def exec_container(self, text: str) -> tuple[str, str]:
        found = _matches(text, dict.fromkeys(self._tables.execs, ""))
        if not found:
            raise refusals.no_exec_session(text)
        if len(found) > 1:
            raise refusals.ambiguous_exec_session(text)
        return self.exec_session(found[0]).container_id, found[0]

    def save_exec(self, session: ExecSession, *events: Event) -> None:
        with self.transaction():
            self.exec_session(session.id)
            self._tables.execs[session.id] = _text(session)
            self._record(events)

    def remove_exec(self, identity: str, *events: Event) -> None:
        with self.transaction():
            self.exec_session(identity)
            del self._tables.execs[identity]
            self._record(events)

    def save_exit_code(self, identity: str, code: int, time_ns: int) -> None:
        with self.transaction():
            self._tables.exit_codes[identity] = (code, time_ns)

    def exit_code(self, identity: str) -> int:
        if identity not in self._tables.exit_codes:
            raise refusals.no_exit_code(identity)
        return self._tables.exit_codes[identity][0]

    def prune_exit_codes(self, older_than_ns: int) -> None:
        with self.transaction():
            for identity, (_, time_ns) in list(self._tables.exit_codes.items()):
                if time_ns < older_than_ns and identity not in self._tables.containers:
                    del self._tables.exit_codes[identity]

    # -- pods --------------------------------------------------------------------------------------------------------

    def pod_id(self, text: str, namespace: str = "") -> str:
        configs = [self.pod(identity)[0] for identity in self._tables.pods]
        found = _matches(text, {pod.id: pod.name for pod in configs if namespace in ("", pod.namespace)})
        if not found:
            raise refusals.no_pod(text)
        if len(found) > 1:
            raise refusals.ambiguous_pod(text)
        return found[0]

    def pod(self, identity: str) -> tuple[PodConfig, PodState]:
        entry = self._tables.pods.get(identity)
        if entry is None:
            raise refusals.no_pod(identity)
        return PodConfig.from_json(loads(entry[0])), PodState.from_json(loads(entry[1]))

    def pod_rows(self, *, namespace: str = "") -> list[PodRow]:
        pods = [self.pod(identity) for identity in self._tables.pods]
        return [
            PodRow(pod_columns(config, state)) for config, state in pods if namespace in ("", config.namespace)
        ]

    def add_pod(self, config: PodConfig, state: PodState, *events: Event) -> None:
        with self.transaction():
            for what, value in (("ID", config.id), ("name", config.name)):
                if self._is_taken(what, value):
                    raise refusals.pod_exists(what, value)
            self._tables.pods[config.id] = (_text(config), _text(state))
            self._record(events)

    def save_pod_state(self, identity: str, state: PodState, *events: Event) -> None:
        with self.transaction():
            config, _ = self.pod(identity)
            self._tables.pods[identity] = (_text(config), _text(state))
            self._record(events)

    def remove_pod(self, identity: str, *events: Event) -> None:
        with self.transaction():
            if self.containers_in_pod(identity):
                raise refusals.pod_not_empty(identity)
            self.pod(identity)
            del self._tables.pods[identity]
            self._record(events)

    # -- volumes -----------------------------------------------------------------------------------------------------

    def volume_name(self, text: str) -> str:
        if not text:
            raise refusals.empty_name()
        if text in self._tables.volumes:
            return text
        found = [name for name in self._tables.volumes if name.startswith(text)]
        if not found:
            raise refusals.no_volume(text)
        if len(found) > 1:
            raise refusals.ambiguous_volume(text)
        return found[0]

    def volume(self, name: str) -> tuple[VolumeConfig, VolumeState]:
        entry = self._tables.volumes.get(name)
        if entry is None:
            raise refusals.no_volume(name)
        return VolumeConfig.from_json(loads(entry[0])), VolumeState.from_json(loads(entry[1]))

    def volumes(self) -> list[tuple[VolumeConfig, VolumeState]]:
        return [self.volume(name) for name in sorted(self._tables.volumes)]

    def add_volume(self, config: VolumeConfig, state: VolumeState, *events: Event) -> None:
        with self.transaction():
            if config.name in self._tables.volumes:
                raise refusals.volume_exists(config.name)
            self._tables.volumes[config.name] = (_text(config), _text(state))
            self._record(events)

    def save_volume_state(self, name: str, state: VolumeState, *events: Event) -> None:
        with self.transaction():
            config, _ = self.volume(name)
            self._tables.volumes[name] = (_text(config), _text(state))
            self._record(events)

    def rewrite_volume(self, name: str, config: VolumeConfig, *events: Event) -> None:
        with self.transaction():
            _, state = self.volume(name)
            if config.name != name:
                raise refusals.wrong_config(name, "name")
            self._tables.volumes[name] = (_text(config), _text(state))
            self._record(events)

    def remove_volume(self, name: str, *events: Event) -> None:
        with self.transaction():
            users = self.volume_users(name)
            if users:
                raise refusals.volume_in_use(name, users)
            self.volume(name)
            del self._tables.volumes[name]
            self._record(events)

    # -- events and intents ------------------------------------------------------------------------------------------

    def add_events(self, *events: Event) -> None:
        with self.transaction():
            self._record(events)

    def pending_events(self) -> list[tuple[int, Event]]:
        return [(seq, Event.from_json(loads(text))) for seq, text in self._tables.events.items()]

    def forget_events(self, upto_seq: int) -> None:
        with self.transaction():
            self._tables.events = {seq: text for seq, text in self._tables.events.items() if seq > upto_seq}

    def drain_events(self, publish: Callable[[list[Event]], None]) -> int:
        with self.transaction():
            pending = self.pending_events()
            if pending:
                publish([event for _, event in pending])
                self.forget_events(pending[-1][0])
        return len(pending)

    def add_intent(self, kind: str, object_id: str, data: Mapping[str, Any]) -> int:
        with self.transaction():
            self._seq += 1
            intent = Intent(seq=self._seq, kind=kind, object_id=object_id, time_ns=now_ns(), data=data)
            self._tables.intents[self._seq] = _text(intent)
            return self._seq

    def intents(self) -> list[Intent]:
        return [Intent.from_json(loads(text)) for text in self._tables.intents.values()]

    def clear_intent(self, seq: int) -> None:
        with self.transaction():
            self._tables.intents.pop(seq, None)

    # -- updates -----------------------------------------------------------------------------------------------------

    def add_update(self, update: Update, *events: Event) -> int:
        with self.transaction():
            number = max(self._tables.updates, default=0) + 1
            self._tables.updates[number] = _text(update.replace(seq=number))
            for old in [seq for seq in self._tables.updates if seq <= number - MOST_UPDATES]:
                del self._tables.updates[old]
            self._record(events)
        return number

    def updates(self, container: str = "", limit: int = 0) -> list[Update]:
        found = [Update.from_json(loads(text)) for text in reversed(self._tables.updates.values())]
        found = [update for update in found if container in ("", update.container)]
        return found[:limit] if limit else found

    def add_bad_digest(self, bad: BadDigest) -> None:
        with self.transaction():
            self._tables.bad_digests[bad.image, bad.digest] = _text(bad)

    def bad_digests(self) -> list[BadDigest]:
        return [BadDigest.from_json(loads(text)) for _, text in sorted(self._tables.bad_digests.items())]

    def forget_bad_digest(self, image: str, digest: str) -> None:
        with self.transaction():
            self._tables.bad_digests.pop((image, digest), None)

    def keep_image(self, kept: KeptImage, most: int) -> None:
        with self.transaction():
            self._tables.kept_images[kept.image, kept.id] = _text(kept)
            same = [other for other in self.kept_images() if other.image == kept.image]
            for other in same[most:]:
                del self._tables.kept_images[other.image, other.id]

    def kept_images(self) -> list[KeptImage]:
        found = [KeptImage.from_json(loads(text)) for text in self._tables.kept_images.values()]
        return sorted(found, key=lambda kept: (-kept.time_ns, kept.image, kept.id))

    def release_image(self, image: str, identity: str) -> None:
        with self.transaction():
            self._tables.kept_images.pop((image, identity), None)

    # -- helpers -----------------------------------------------------------------------------------------------------

    def _configs(self) -> list[ContainerConfig]:
        return [self.container_config(identity) for identity in self._tables.containers]

    def _is_taken(self, what: str, value: str) -> bool:
        if what == "ID":
            return value in self._tables.containers or value in self._tables.pods
        names = [config.name for config in self._configs()]
        names += [self.pod(identity)[0].name for identity in self._tables.pods]
        return value in names

    def _check_kept(self, identity: str, config: ContainerConfig) -> ContainerConfig:
        old = self.container_config(identity)
        if config.id != identity:
            raise refusals.wrong_config(identity, "ID")
        if config.pod != old.pod:
            raise refusals.wrong_config(identity, "pod")
        return old

    def _replace_config(self, config: ContainerConfig) -> None:
        self._check_references(config)
        _, state = self._tables.containers[config.id]
        self._tables.containers[config.id] = (_text(config), state)

    def _check_pod(self, config: ContainerConfig) -> None:
        if config.pod:
            pod, _ = self.pod(config.pod)
            if pod.namespace != config.namespace:
                raise refusals.namespaces_differ(config.name, config.namespace, "pod", pod.id, pod.namespace)

    def _check_references(self, config: ContainerConfig) -> None:
        for dependency in dependencies_of(config):
            if dependency == config.id:
                raise refusals.depends_on_itself(config.id)
            if dependency not in self._tables.containers:
                raise refusals.no_dependency(dependency)
            other = self.container_config(dependency)
            if other.namespace != config.namespace:
                raise refusals.namespaces_differ(
                    config.name, config.namespace, "dependency", dependency, other.namespace
                )
            if other.pod != config.pod:
                raise refusals.pods_differ(dependency, other.pod, config.pod)
        for volume in volumes_of(config):
            self.volume(volume)

    def _record(self, events: Iterable[Event]) -> None:
        for event in events:
            self._seq += 1
            self._tables.events[self._seq] = _text(event)


def _matches(text: str, names: Mapping[str, str]) -> list[str]:
    """Ids that *text* may mean, of a map id -> name: one if it is exact, else all that begin with it."""
    if not text:
        raise refusals.empty_name()
    if text in names:
        return [text]
    exact = [identity for identity, name in names.items() if name == text]
    return exact or [identity for identity in names if is_hex(text) and identity.startswith(text)]
