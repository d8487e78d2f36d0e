"""The volumes of a database."""

from __future__ import annotations

from wherry.model.jsontext import loads
from wherry.model.volume import VolumeConfig, VolumeState
from wherry.state import refusals
from wherry.state.containers import ContainerTable
from wherry.state.rows import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.model.event import Event


class VolumeTable(ContainerTable):
    """What :class:`~wherry.state.protocol.State` says of volumes."""

    def volume_name(self, text: str) -> str:
        """The volume called *text*, or the only one whose name begins with it.

        Raises :class:`NoSuchVolume`, or :class:`VolumeExists` when several do.
        """
        if not text:
            raise refusals.empty_name()
        # "\x7f" is beyond every character a name may have.
        rows = self._rows(
            "SELECT name FROM volumes WHERE name>=?1 AND name<?2 ORDER BY name LIMIT 2", (text, text + "\x7f")
        )
        if not rows:
            raise refusals.no_volume(text)
        if len(rows) > 1 and rows[0][0] != text:
            raise refusals.ambiguous_volume(text)
        name: str = rows[0][0]
        return name

    def volume(self, name: str) -> tuple[VolumeConfig, VolumeState]:
        """Configuration and state of the volume with the full *name*. Raises :class:`NoSuchVolume`."""
        row = self._row("SELECT config, state FROM volumes WHERE name=?", (name,))
        if row is None:
            raise refusals.no_volume(name)
        return VolumeConfig.from_json(loads(row[0])), VolumeState.from_json(loads(row[1]))

    def volumes(self) -> list[tuple[VolumeConfig, VolumeState]]:
        """All volumes by name."""
        rows = self._rows("SELECT config, state FROM volumes ORDER BY name")
        return [(VolumeConfig.from_json(loads(row[0])), VolumeState.from_json(loads(row[1]))) for row in rows]

    def add_volume(self, config: VolumeConfig, state: VolumeState, *events: Event) -> None:
        """Add a volume. Raises :class:`VolumeExists`."""
        with self.transaction():
            if self._rows("SELECT 1 FROM volumes WHERE name=?", (config.name,)):
                raise refusals.volume_exists(config.name)
            values = (config.name, encode(state.to_json()), encode(config.to_json()))
            self._insert("INSERT INTO volumes(name, state, config) VALUES (?, ?, ?)", values)
            self._record(events)

    def save_volume_state(self, name: str, state: VolumeState, *events: Event) -> None:
        """Replace a volume's state. Raises :class:`NoSuchVolume`."""
        with self.transaction():
            if not self._change("UPDATE volumes SET state=? WHERE name=?", (encode(state.to_json()), name)):
                raise refusals.no_volume(name)
            self._record(events)

    def rewrite_volume(self, name: str, config: VolumeConfig, *events: Event) -> None:
        """Replace a volume's configuration; its name must stay. Raises :class:`NoSuchVolume`."""
        with self.transaction():
            if not self._change("UPDATE volumes SET config=? WHERE name=?", (encode(config.to_json()), name)):
                raise refusals.no_volume(name)
            if config.name != name:
                raise refusals.wrong_config(name, "name")
            self._record(events)

    def remove_volume(self, name: str, *events: Event) -> None:
        """Remove a volume. Raises :class:`VolumeInUse` while a container uses it, :class:`NoSuchVolume`."""
        with self.transaction():
            users = self.volume_users(name)
            if users:
                raise refusals.volume_in_use(name, users)
            if not self._change("DELETE FROM volumes WHERE name=?", (name,)):
                raise refusals.no_volume(name)
            self._record(events)
