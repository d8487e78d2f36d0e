"""Events on their way to the event log, and intents: what was about to be done when a process died."""

from __future__ import annotations

from wherry.model.event import Event
from wherry.model.jsontext import loads
from wherry.model.record import EMPTY, Record
from wherry.model.timestamps import now_ns
from wherry.state.containers import ContainerTable
from wherry.state.rows import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any


class Intent(Record):
    """A side effect somebody set out to have. The engine's reconciliation finishes or undoes it."""

    seq: int = 0
    kind: str = ""
    object_id: str = ""
    time_ns: int = 0
    data: Mapping[str, Any] = EMPTY


class OutboxTable(ContainerTable):
    """What :class:`~wherry.state.protocol.State` says of events and intents."""

    # -- events ------------------------------------------------------------------------------------------------------

    def add_events(self, *events: Event) -> None:
        """Put events into the outbox that belong to no change of this database (of images, networks, secrets)."""
        with self.transaction():
            self._record(events)

    def pending_events(self) -> list[tuple[int, Event]]:
        """Events not yet published with their sequence numbers, oldest first."""
        rows = self._rows("SELECT seq, event FROM events ORDER BY seq")
        return [(row[0], Event.from_json(loads(row[1]))) for row in rows]

    def forget_events(self, upto_seq: int) -> None:
        """Drop the events up to and including *upto_seq*: they are published."""
        with self.transaction():
            self._change("DELETE FROM events WHERE seq<=?", (upto_seq,))

    def drain_events(self, publish: Callable[[list[Event]], None]) -> int:
        """Hand the pending events to *publish* and drop them; how many there were.

        The transaction around it keeps two processes from publishing one event twice.  When *publish* raises, or the
        process dies in it, the events stay and are published again later.
        """
        if not self._rows("SELECT 1 FROM events LIMIT 1"):
            return 0
        with self.transaction():
            pending = self.pending_events()
            if pending:
                publish([event for _, event in pending])
                self.forget_events(pending[-1][0])
        return len(pending)

    # -- intents -----------------------------------------------------------------------------------------------------

    def add_intent(self, kind: str, object_id: str, data: Mapping[str, Any]) -> int:
        """Note, before doing it, what is about to be done to an object; returns the number to clear it with."""
        with self.transaction():
            return self._insert(
                "INSERT INTO intents(kind, object_id, time_ns, data) VALUES (?, ?, ?, ?)",
                (kind, object_id, now_ns(), encode(data)),
            )

    def intents(self) -> list[Intent]:
        """Intents that nobody has cleared, oldest first."""
        rows = self._rows("SELECT seq, kind, object_id, time_ns, data FROM intents ORDER BY seq")
        return [
            Intent(seq=seq, kind=kind, object_id=object_id, time_ns=time_ns, data=loads(data))
            for seq, kind, object_id, time_ns, data in rows
        ]

    def clear_intent(self, seq: int) -> None:
        """The deed is done, or undone. Clearing twice is fine."""
        with self.transaction():
            self._change("DELETE FROM intents WHERE seq=?", (seq,))
