"""The small database of the run directory: address leases, attachments and networks whose rules are in place.

Everything in it ends with the boot.  Where the run directory outlives a reboot, what an earlier boot left is dropped.
"""

from __future__ import annotations

import os

from wherry.model import jsontext
from wherry.network.protocol import AttachRequest
from wherry.sys.files import make_dirs
from wherry.sys.processes import boot_id
from wherry.sys.sqlite import connect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sqlite3 import Connection

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS leases (network TEXT NOT NULL, address TEXT NOT NULL, container TEXT NOT NULL, "
    "PRIMARY KEY (network, address)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS last (network TEXT NOT NULL, subnet TEXT NOT NULL, address TEXT NOT NULL, "
    "PRIMARY KEY (network, subnet)) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS leases_container ON leases (container)",
    "CREATE TABLE IF NOT EXISTS attachments (container TEXT PRIMARY KEY, backend TEXT NOT NULL, request TEXT NOT NULL) "
    "WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS rules (network TEXT PRIMARY KEY) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS boot (id TEXT NOT NULL)",
)
_TABLES = ("leases", "last", "attachments", "rules", "boot")
#: Seconds to wait for another process's transaction.
BUSY_TIMEOUT = 60.0


class Ledger:
    """One engine's ledger. Each call is one transaction, safe among processes; the file is made when first written."""

    def __init__(self, directory: str) -> None:
        self._path = f"{directory}/leases.db"
        self._connection: Connection | None = None

    def exists(self) -> bool:
        """Has anything been written yet?"""
        return self._connection is not None or os.path.exists(self._path)

    def open(self) -> Connection:
        """The connection, the tables made and free of an earlier boot's rows."""
        if self._connection is None:
            make_dirs(os.path.dirname(self._path))
            connection: Connection = connect(
                self._path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False
            )
            # A reboot ends everything in here, so nothing has to reach the disk.
            connection.execute("PRAGMA synchronous=OFF")
            if not _of_this_boot(connection):
                _begin_anew(connection)
            self._connection = connection
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # -- attachments ---------------------------------------------------------------------------------------------

    def attach(self, backend: str, request: AttachRequest) -> None:
        """Remember what *backend* was asked to do and, in ``request.status``, what that gave."""
        row = (request.container_id, backend, jsontext.dumps(request.to_json()))
        self.open().execute("INSERT OR REPLACE INTO attachments VALUES (?, ?, ?)", row)

    def attachment(self, container: str) -> AttachRequest | None:
        """What is remembered of *container*."""
        if not self.exists():
            return None
        query = "SELECT request FROM attachments WHERE container = ?"
        row = self.open().execute(query, (container,)).fetchone()
        return AttachRequest.from_json(jsontext.loads(row[0])) if row else None

    def backend(self, container: str) -> str:
        """Name of the back end that attached *container*, empty when it is not attached."""
        if not self.exists():
            return ""
        row = self.open().execute("SELECT backend FROM attachments WHERE container = ?", (container,)).fetchone()
        return row[0] if row else ""

    def attachments(self, backend: str) -> list[AttachRequest]:
        """All attachments of *backend*."""
        if not self.exists():
            return []
        rows = self.open().execute("SELECT request FROM attachments WHERE backend = ? ORDER BY container", (backend,))
        return [AttachRequest.from_json(jsontext.loads(row[0])) for row in rows]

    def detach(self, container: str) -> None:
        """Forget the attachment and end the leases of *container*."""
        if not self.exists():
            return
        connection = self.open()
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("DELETE FROM attachments WHERE container = ?", (container,))
        connection.execute("DELETE FROM leases WHERE container = ?", (container,))
        connection.execute("COMMIT")

    # -- networks whose firewall rules are in place --------------------------------------------------------------

    def networks_with_rules(self) -> set[str]:
        if not self.exists():
            return set()
        return {row[0] for row in self.open().execute("SELECT network FROM rules")}

    def set_rules(self, network: str, present: bool) -> None:
        if present:
            self.open().execute("INSERT OR IGNORE INTO rules VALUES (?)", (network,))
        elif self.exists():
            self.open().execute("DELETE FROM rules WHERE network = ?", (network,))


def _of_this_boot(connection: Connection) -> bool:
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'boot'").fetchone():
        return False
    row = connection.execute("SELECT id FROM boot").fetchone()
    return row is not None and row[0] == boot_id()


def _begin_anew(connection: Connection) -> None:
    """Make the tables, empty; another process may do the same at the same time."""
    connection.execute("BEGIN IMMEDIATE")
    if not _of_this_boot(connection):
        for statement in _SCHEMA:
            connection.execute(statement)
        for table in _TABLES:
            connection.execute(f"DELETE FROM {table}")
        connection.execute("INSERT INTO boot VALUES (?)", (boot_id(),))
    connection.execute("COMMIT")
