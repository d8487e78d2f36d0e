"""The pods of a database."""

from __future__ import annotations

from wherry.model.jsontext import loads
from wherry.model.pod import PodConfig, PodState
from wherry.state import refusals
from wherry.state.containers import ContainerTable
from wherry.state.rows import POD_COLUMNS, PodRow, encode, pod_columns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.model.event import Event

_INSERT = (
    f"INSERT INTO pods({', '.join(POD_COLUMNS)}, state, config) VALUES ({', '.join('?' * (len(POD_COLUMNS) + 2))})"
)
_UPDATE = f"UPDATE pods SET {', '.join(f'{name}=?' for name in POD_COLUMNS)}, state=? WHERE id=?"
_LIST = f"SELECT {', '.join(POD_COLUMNS)} FROM pods"


class PodTable(ContainerTable):
    """What :class:`~wherry.state.protocol.State` says of pods."""

    def pod_id(self, text: str, namespace: str = "") -> str:
        """As :meth:`container_id`, for pods. Raises :class:`NoSuchPod` or :class:`PodExists`."""
        found = self._find("pods", text, namespace)
        if not found:
            raise refusals.no_pod(text)
        if len(found) > 1:
            raise refusals.ambiguous_pod(text)
        return found[0]

    def pod(self, identity: str) -> tuple[PodConfig, PodState]:
        """Configuration and state of the pod with full id *identity*. Raises :class:`NoSuchPod`."""
        row = self._row("SELECT config, state FROM pods WHERE id=?", (identity,))
        if row is None:
            raise refusals.no_pod(identity)
        return PodConfig.from_json(loads(row[0])), PodState.from_json(loads(row[1]))

    def pod_rows(self, *, namespace: str = "") -> list[PodRow]:
        """List rows of all pods, or those of one *namespace*, in the order of creation."""
        condition = " WHERE namespace=?" if namespace else ""
        rows = self._rows(f"{_LIST}{condition} ORDER BY n", (namespace,) if namespace else ())
        return [PodRow(row) for row in rows]

    def add_pod(self, config: PodConfig, state: PodState, *events: Event) -> None:
        """Add a pod. Raises :class:`PodExists` when a container or pod has its id or name."""
        with self.transaction():
            for what, value in (("ID", config.id), ("name", config.name)):
                if self._is_taken(what, value):
                    raise refusals.pod_exists(what, value)
            values = (*pod_columns(config, state), encode(state.to_json()), encode(config.to_json()))
            self._insert(_INSERT, values)
            self._record(events)

    def save_pod_state(self, identity: str, state: PodState, *events: Event) -> None:
        """Replace a pod's state. Raises :class:`NoSuchPod`."""
        with self.transaction():
            config, _ = self.pod(identity)
            self._change(_UPDATE, (*pod_columns(config, state), encode(state.to_json()), identity))
            self._record(events)

    def remove_pod(self, identity: str, *events: Event) -> None:
        """Remove a pod. Raises :class:`ContainerExists` while it has members, :class:`NoSuchPod`."""
        with self.transaction():
            if self.containers_in_pod(identity):
                raise refusals.pod_not_empty(identity)
            if not self._change("DELETE FROM pods WHERE id=?", (identity,)):
                raise refusals.no_pod(identity)
            self._record(events)
