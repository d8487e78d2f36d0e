"""The containers of a database: rows, look-up, dependencies, uses of volumes and networks."""

from __future__ import annotations

from wherry.errors import NoSuchContainer
from wherry.model import status
from wherry.model.container import ContainerConfig, ContainerState
from wherry.model.ids import is_hex
from wherry.model.jsontext import loads
from wherry.state import refusals
from wherry.state.database import Database
from wherry.state.relations import dependencies_of, volumes_of
from wherry.state.rows import (
    CONFIG_COLUMNS,
    STATE_COLUMNS,
    ContainerRow,
    config_columns,
    encode,
    state_columns,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import TypeVar

    from wherry.model.event import Event
    from wherry.model.network import NetworkOptions
    from wherry.model.record import Record

    T = TypeVar("T", bound=Record)

_INSERT = (
    f"INSERT INTO containers({', '.join(CONFIG_COLUMNS)}, {', '.join(STATE_COLUMNS)}, state) "
    f"VALUES ({', '.join('?' * (len(CONFIG_COLUMNS) + len(STATE_COLUMNS) + 1))})"
)
_UPDATE_CONFIG = f"UPDATE containers SET {', '.join(f'{name}=?' for name in CONFIG_COLUMNS)} WHERE id=?"
_UPDATE_STATE = f"UPDATE containers SET {', '.join(f'{name}=?' for name in STATE_COLUMNS)}, state=? WHERE id=?"
_LIST = (
    f"SELECT {', '.join(f'c.{name}' for name in CONFIG_COLUMNS + STATE_COLUMNS)}, p.name "
    "FROM containers AS c LEFT JOIN pods AS p ON p.id=c.pod"
)
_BOTH = "SELECT k.config, c.state FROM containers AS c JOIN configs AS k ON k.n=c.n WHERE c.id=?"
_CONFIG = "SELECT k.config FROM containers AS c JOIN configs AS k ON k.n=c.n WHERE c.id=?"

#: How many ids one statement takes; SQLite allows 32766 parameters, older builds 999.
_BATCH = 500


def _decoded(kind: type[T], text: str, identity: str) -> T:
    """A stored record of a container; :class:`Corrupt` when it does not have the shape it must have."""
    try:
        return kind.from_json(loads(text))
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise refusals.damaged_container(identity, error) from None


class ContainerTable(Database):
    """What :class:`~wherry.state.protocol.State` says of containers and the networks they are connected to."""

    # -- look-up -----------------------------------------------------------------------------------------------------

    def container_id(self, text: str, namespace: str = "") -> str:
        """The full id for an exact id, an exact name or the beginning of exactly one id, in that order.

        A *namespace* hides the containers of all others.  Raises :class:`NoSuchContainer`, or
        :class:`ContainerExists` when several ids begin with *text*.
        """
        found = self._find("containers", text, namespace)
        if not found:
            raise refusals.no_container(text)
        if len(found) > 1:
            raise refusals.ambiguous_container(text)
        return found[0]

    def has_container(self, text: str) -> bool:
        """Does :meth:`container_id` find *text*? Raises :class:`ContainerExists` when it is ambiguous."""
        try:
            self.container_id(text)
        except NoSuchContainer:
            return False
        return True

    def container_config(self, identity: str) -> ContainerConfig:
        """The configuration of the container with full id *identity*. Raises :class:`NoSuchContainer`."""
        row = self._row(_CONFIG, (identity,))
        if row is None:
            raise refusals.no_container(identity)
        return _decoded(ContainerConfig, row[0], identity)

    def container_state(self, identity: str) -> ContainerState:
        """The stored state, which may be stale. Raises :class:`NoSuchContainer`."""
        row = self._row("SELECT state FROM containers WHERE id=?", (identity,))
        if row is None:
            raise refusals.no_container(identity)
        return _decoded(ContainerState, row[0], identity)

    def container(self, identity: str) -> tuple[ContainerConfig, ContainerState]:
        """Configuration and state as of one moment. Raises :class:`NoSuchContainer`."""
        row = self._row(_BOTH, (identity,))
        if row is None:
            raise refusals.no_container(identity)
        return _decoded(ContainerConfig, row[0], identity), _decoded(ContainerState, row[1], identity)

    def container_rows(
        self, *, all: bool = True, ids: Sequence[str] | None = None, namespace: str = ""
    ) -> list[ContainerRow]:
        """List rows in the order of creation, as of one moment.

        Without *all*, only containers whose stored status is in :data:`wherry.model.status.ALIVE`; *ids* (full ids;
        unknown ones are passed over) and *namespace* narrow further.
        """
        where = []
        values: list[object] = []
        if namespace:
            where.append("c.namespace=?")
            values.append(namespace)
        if not all:
            where.append(f"c.status IN ({', '.join('?' * len(status.ALIVE))})")
            values += sorted(status.ALIVE)
        if ids is None:
            return self._list(where, values)
        if len(ids) <= _BATCH:
            return self._list([*where, f"c.id IN ({', '.join('?' * len(ids))})"], [*values, *ids])
        wanted = frozenset(ids)
        return [row for row in self._list(where, values) if row.id in wanted]

    def dependents(self, identity: str) -> list[str]:
        """Ids of the containers that need *identity* to run, sorted."""
        rows = self._rows("SELECT container FROM dependencies WHERE dependency=? ORDER BY container", (identity,))
        return [row[0] for row in rows]

    def containers_in_pod(self, pod: str) -> list[str]:
        """Ids of the members of the pod with full id *pod*, in the order of creation."""
        return [row[0] for row in self._rows("SELECT id FROM containers WHERE pod=? ORDER BY n", (pod,))]

    def volume_users(self, name: str) -> list[str]:
        """Ids of the containers that use the volume *name*, sorted."""
        rows = self._rows("SELECT container FROM volume_uses WHERE volume=? ORDER BY container", (name,))
        return [row[0] for row in rows]

    def network_users(self, name: str) -> list[str]:
        """Ids of the containers connected to the network *name*, sorted."""
        rows = self._rows("SELECT container FROM network_uses WHERE network=? ORDER BY container", (name,))
        return [row[0] for row in rows]

    def container_networks(self, identity: str) -> Mapping[str, NetworkOptions]:
        """Network name -> what the container wants of it, in order. Raises :class:`NoSuchContainer`."""
        return self.container_config(identity).networks

    # -- changes -----------------------------------------------------------------------------------------------------

    def add_container(self, config: ContainerConfig, state: ContainerState, *events: Event) -> None:
        """Add a container.

        Raises :class:`ContainerExists` when a container or pod has its id or name, :class:`NoSuchPod`,
        :class:`NoSuchVolume` and :class:`NoSuchContainer` for what it refers to, :class:`InvalidArgument` for a
        dependency outside its pod and ``NamespaceMismatch`` for one (or a pod) in another namespace.
        """
        with self.transaction():
            for what, value in (("ID", config.id), ("name", config.name)):
                if self._is_taken(what, value):
                    raise refusals.container_exists(what, value)
            self._check_pod(config)
            n = self._insert(_INSERT, (*config_columns(config), *state_columns(state), encode(state.to_json())))
            self._insert("INSERT INTO configs VALUES (?, ?)", (n, encode(config.to_json())))
            self._relate(config)
            self._record(events)

    def save_state(self, identity: str, state: ContainerState, *events: Event) -> None:
        """Replace the state. Raises :class:`NoSuchContainer`."""
        with self.transaction():
            if not self._change(_UPDATE_STATE, (*state_columns(state), encode(state.to_json()), identity)):
                raise refusals.no_container(identity)
            self._record(events)

    def rewrite_config(self, identity: str, config: ContainerConfig, *events: Event) -> None:
        """Replace the configuration, with what follows from it (dependencies, uses of volumes and networks).

        Id, name and pod must stay; :meth:`rename_container` changes a name.  Raises :class:`NoSuchContainer` and, for
        the new references, what :meth:`add_container` does.
        """
        with self.transaction():
            if config.name != self._check_kept(identity, config):
                raise refusals.wrong_config(identity, "name")
            self._replace_config(config)
            self._record(events)

    def rename_container(self, identity: str, new_name: str, config: ContainerConfig, *events: Event) -> None:
        """Give the container *new_name* and the configuration *config* that goes with it.

        Raises :class:`ContainerExists` when a container or pod has the name, :class:`NoSuchContainer`.
        """
        with self.transaction():
            old_name = self._check_kept(identity, config)
            if old_name != new_name and self._is_taken("name", new_name):
                raise refusals.name_taken(new_name, identity)
            self._replace_config(config if config.name == new_name else config.replace(name=new_name))
            self._record(events)

    def remove_container(self, identity: str, *events: Event, exit_code: int | None = None) -> None:
        """Remove a container with its exec sessions and uses; *exit_code* is remembered (see ``exit_code``).

        Raises :class:`ContainerExists` while others depend on it, :class:`NoSuchContainer`.
        """
        with self.transaction():
            dependents = self.dependents(identity)
            if dependents:
                raise refusals.has_dependents(identity, dependents)
            if not self._change("DELETE FROM containers WHERE id=?", (identity,)):
                raise refusals.no_container(identity)
            if exit_code is not None:
                from wherry.model.timestamps import now_ns

                self._change("INSERT OR REPLACE INTO exit_codes VALUES (?, ?, ?)", (identity, exit_code, now_ns()))
            self._record(events)

    def connect(self, identity: str, network: str, options: NetworkOptions, *events: Event) -> None:
        """Add a network to the container's configuration. Raises :class:`NoSuchContainer`, ``NetworkConnected``."""
        with self.transaction():
            config = self.container_config(identity)
            if network in config.networks:
                raise refusals.already_connected(identity, network)
            self._replace_config(config.replace(networks={**config.networks, network: options}))
            self._record(events)

    def disconnect(self, identity: str, network: str, *events: Event) -> None:
        """Take a network from the container's configuration.

        Raises :class:`NoSuchContainer`, and :class:`NoSuchNetwork` when it is not connected.
        """
        with self.transaction():
            config = self.container_config(identity)
            if network not in config.networks:
                raise refusals.not_connected(identity, network)
            left = {name: options for name, options in config.networks.items() if name != network}
            self._replace_config(config.replace(networks=left))
            self._record(events)

    # -- helpers -----------------------------------------------------------------------------------------------------

    def _find(self, table: str, text: str, namespace: str) -> list[str]:
        """Ids that *text* may mean: one if it is exact, up to two that begin with it."""
        if not text:
            raise refusals.empty_name()
        ours = "AND (?2='' OR namespace=?2)"
        beyond = text + "g" if is_hex(text) else text       # every id that begins with text is below text + "g"
        rows = self._rows(
            f"SELECT 0, id FROM {table} WHERE id=?1 {ours} UNION ALL "
            f"SELECT 1, id FROM {table} WHERE name=?1 {ours} UNION ALL "
            f"SELECT * FROM (SELECT 2, id FROM {table} WHERE id>?1 AND id<?3 {ours} LIMIT 2)",
            (text, namespace, beyond),
        )
        best = min((row[0] for row in rows), default=0)
        return [row[1] for row in rows if row[0] == best]

    def _is_taken(self, what: str, value: str) -> bool:
        """Has any container or pod this name or ID?"""
        column = what.lower()
        return bool(
            self._rows(
                f"SELECT 1 FROM containers WHERE {column}=?1 UNION ALL SELECT 1 FROM pods WHERE {column}=?1", (value,)
            )
        )

    def _list(self, where: Sequence[str], values: Sequence[object]) -> list[ContainerRow]:
        condition = f" WHERE {' AND '.join(where)}" if where else ""
        return [ContainerRow(row) for row in self._rows(f"{_LIST}{condition} ORDER BY c.n", values)]

    def _check_pod(self, config: ContainerConfig) -> None:
        if not config.pod:
            return
        pod = self._row("SELECT namespace FROM pods WHERE id=?", (config.pod,))
        if pod is None:
            raise refusals.no_pod(config.pod)
        if pod[0] != config.namespace:
            raise refusals.namespaces_differ(config.name, config.namespace, "pod", config.pod, pod[0])

    def _check_kept(self, identity: str, config: ContainerConfig) -> str:
        """The present name of *identity*; raises when *config* is of another container or moves it to another pod."""
        old = self._row("SELECT name, pod FROM containers WHERE id=?", (identity,))
        if old is None:
            raise refusals.no_container(identity)
        if config.id != identity:
            raise refusals.wrong_config(identity, "ID")
        if config.pod != (old[1] or ""):
            raise refusals.wrong_config(identity, "pod")
        name: str = old[0]
        return name

    def _replace_config(self, config: ContainerConfig) -> None:
        self._change(_UPDATE_CONFIG, (*config_columns(config), config.id))
        self._change(
            "UPDATE configs SET config=? WHERE n=(SELECT n FROM containers WHERE id=?)",
            (encode(config.to_json()), config.id),
        )
        for table in ("dependencies", "volume_uses", "network_uses"):
            self._change(f"DELETE FROM {table} WHERE container=?", (config.id,))
        self._relate(config)

    def _relate(self, config: ContainerConfig) -> None:
        """Insert the rows that say what the container refers to, after checking that it exists."""
        for dependency in dependencies_of(config):
            self._check_dependency(config, dependency)
            self._change("INSERT INTO dependencies VALUES (?, ?)", (config.id, dependency))
        for volume in volumes_of(config):
            if not self._rows("SELECT 1 FROM volumes WHERE name=?", (volume,)):
                raise refusals.no_volume(volume)
            self._change("INSERT INTO volume_uses VALUES (?, ?)", (config.id, volume))
        for network in config.networks:
            self._change("INSERT INTO network_uses VALUES (?, ?)", (config.id, network))

    def _check_dependency(self, config: ContainerConfig, dependency: str) -> None:
        if dependency == config.id:
            raise refusals.depends_on_itself(config.id)
        other = self._row("SELECT namespace, pod FROM containers WHERE id=?", (dependency,))
        if other is None:
            raise refusals.no_dependency(dependency)
        if other[0] != config.namespace:
            raise refusals.namespaces_differ(config.name, config.namespace, "dependency", dependency, other[0])
        if (other[1] or "") != config.pod:
            raise refusals.pods_differ(dependency, other[1] or "", config.pod)

    def _record(self, events: Sequence[Event]) -> None:
        """Put events into the outbox, in the transaction that is under way."""
        for event in events:
            self._insert("INSERT INTO events(event) VALUES (?)", (encode(event.to_json()),))
