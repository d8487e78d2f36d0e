"""The State of an engine in a SQLite database that all its processes share."""

from __future__ import annotations

from wherry.state.outbox import OutboxTable
from wherry.state.pods import PodTable
from wherry.state.sessions import SessionTable
from wherry.state.updates import UpdateTable
from wherry.state.volumes import VolumeTable


class SqliteState(PodTable, VolumeTable, SessionTable, OutboxTable, UpdateTable):
    """:class:`~wherry.state.protocol.State` in the database file *path*.

    Nothing is opened or created before the first use.  The file is made with mode 0600 in a directory of mode 0700;
    *identity* (words for messages -> values: ``{"graph root": "/var/lib/containers/storage", ...}``) is stored in it
    then and compared at every later opening, paths up to symbolic links.  *busy_timeout_ms* is how long a change waits
    for the writers of other processes.

    Opening raises :class:`ConfigurationMismatch` for another identity or a newer schema and :class:`Corrupt` for a
    file that is no database.  Any method may raise :class:`TimedOut`, :class:`Corrupt`, :class:`NoSpace` and
    :class:`ReadOnly`.  Threads may share the object; a child made by fork(2) gets a connection of its own.
    """

    def check(self) -> list[str]:
        """Damage, one sentence each: file structure, references, rows that contradict their configuration."""
        from wherry.state.check import check

        return check(self)
