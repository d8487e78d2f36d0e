"""Exec sessions and the exit codes that outlive their containers."""

from __future__ import annotations

from wherry.model.exec_session import ExecSession
from wherry.model.ids import is_hex
from wherry.model.jsontext import loads
from wherry.state import refusals
from wherry.state.containers import ContainerTable
from wherry.state.rows import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.model.event import Event


class SessionTable(ContainerTable):
    """What :class:`~wherry.state.protocol.State` says of exec sessions and exit codes."""

    # -- exec sessions -----------------------------------------------------------------------------------------------

    def add_exec(self, session: ExecSession, *events: Event) -> None:
        """Add an exec session to its container. Raises :class:`NoSuchContainer`, :class:`ExecSessionExists`."""
        with self.transaction():
            if not self._rows("SELECT 1 FROM containers WHERE id=?", (session.container_id,)):
                raise refusals.no_container(session.container_id)
            if self._rows("SELECT 1 FROM execs WHERE id=?", (session.id,)):
                raise refusals.exec_session_exists(session.id, session.container_id)
            values = (session.id, session.container_id, encode(session.to_json()))
            self._change("INSERT INTO execs VALUES (?, ?, ?)", values)
            self._record(events)

    def exec_session(self, identity: str) -> ExecSession:
        """The session with full id *identity*. Raises :class:`NoSuchExecSession`."""
        row = self._row("SELECT session FROM execs WHERE id=?", (identity,))
        if row is None:
            raise refusals.no_exec_session(identity)
        return ExecSession.from_json(loads(row[0]))

    def exec_ids(self, container: str) -> list[str]:
        """Ids of the sessions of a container, sorted."""
        return [row[0] for row in self._rows("SELECT id FROM execs WHERE container=? ORDER BY id", (container,))]

    def exec_container(self, text: str) -> tuple[str, str]:
        """(container id, session id) for a session's id or the beginning of exactly one.

        Raises :class:`NoSuchExecSession`, or :class:`ExecSessionExists` when several begin with *text*.
        """
        if not text:
            raise refusals.empty_name()
        if not is_hex(text):
            raise refusals.no_exec_session(text)
        rows = self._rows(
            "SELECT container, id FROM execs WHERE id>=?1 AND id<?2 ORDER BY id LIMIT 2", (text, text + "g")
        )
        if not rows:
            raise refusals.no_exec_session(text)
        if len(rows) > 1 and rows[0][1] != text:
            raise refusals.ambiguous_exec_session(text)
        return rows[0][0], rows[0][1]

    def save_exec(self, session: ExecSession, *events: Event) -> None:
        """Replace a session. Raises :class:`NoSuchExecSession`."""
        with self.transaction():
            if not self._change("UPDATE execs SET session=? WHERE id=?", (encode(session.to_json()), session.id)):
                raise refusals.no_exec_session(session.id)
            self._record(events)

    def remove_exec(self, identity: str, *events: Event) -> None:
        """Remove a session. Raises :class:`NoSuchExecSession`."""
        with self.transaction():
            if not self._change("DELETE FROM execs WHERE id=?", (identity,)):
                raise refusals.no_exec_session(identity)
            self._record(events)

    # -- exit codes --------------------------------------------------------------------------------------------------

    def save_exit_code(self, identity: str, code: int, time_ns: int) -> None:
        """Remember with which *code* the container *identity* ended, whether or not it still exists."""
        with self.transaction():
            self._change("INSERT OR REPLACE INTO exit_codes VALUES (?, ?, ?)", (identity, code, time_ns))

    def exit_code(self, identity: str) -> int:
        """The last exit code of a container, also of one that is gone. Raises :class:`NoSuchExitCode`."""
        row = self._row("SELECT code FROM exit_codes WHERE id=?", (identity,))
        if row is None:
            raise refusals.no_exit_code(identity)
        code: int = row[0]
        return code

    def prune_exit_codes(self, older_than_ns: int) -> None:
        """Forget the codes saved before the moment *older_than_ns*, save those of existing containers."""
        with self.transaction():
            self._change(
                "DELETE FROM exit_codes WHERE time_ns<? AND id NOT IN (SELECT id FROM containers)", (older_than_ns,)
            )
