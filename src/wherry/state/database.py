"""The connection to the database: opened on first use, one per State, with re-entrant transactions.

How it is set up, and why:

* write-ahead log: readers never wait for a writer nor a writer for readers, and a commit is one append without a sync;
  ``synchronous=NORMAL`` keeps the database consistent over a power cut (the last commits may be lost, as may be the
  containers they speak of, which the next start finds out);
* ``BEGIN IMMEDIATE``: a transaction that waits does so at its begin, never half way;
* no checkpoint when the last connection closes: it would cost every short command 1-5 ms (and two syncs).  The log
  is folded into the database once it has :data:`CHECKPOINT_PAGES` pages, or by :meth:`Database.checkpoint`;
* the C module itself (:mod:`wherry.sys.sqlite`): the ``sqlite3`` package takes 3 ms to import.
"""

from __future__ import annotations

import os
from _thread import RLock

from wherry.errors import (
    Corrupt,
    InternalError,
    InvalidArgument,
    NoSpace,
    PermissionRefused,
    ReadOnly,
    TimedOut,
    WherryError,
    from_os_error,
)
from wherry.state import refusals
from wherry.state.rows import encode
from wherry.sys.sqlite import Connection, Cursor, Error, connect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

#: Version of the tables in :mod:`wherry.state.schema`.
VERSION = 2
#: Size of the log at which a commit folds it into the database.  The first process to open the database reads the
#: whole log: 250 pages take 0.2 ms, SQLite's default of 1000 would take 2 ms.
CHECKPOINT_PAGES = 250

# Primary result codes, https://www.sqlite.org/rescode.html
_PERM, _BUSY, _LOCKED, _READONLY, _CORRUPT, _FULL, _CANTOPEN, _CONSTRAINT, _NOTADB = 3, 5, 6, 8, 11, 13, 14, 19, 26

#: Databases this process keeps from being checkpointed by a closing connection, see :func:`_pin`.
_pinned: set[tuple[int, int]] = set()
#: Connections inherited over fork(2): unusable in the child, and closing one there would touch the parent's locks.
_inherited: list[Connection] = []


class Transaction:
    """``with state.transaction():`` - committed at the end of the block, rolled back when it raises.

    Transactions nest: an inner one becomes part of the outer one, and when an inner one fails only its own changes
    are undone.
    """

    __slots__ = ("_database",)

    def __init__(self, database: Database) -> None:
        self._database = database

    def __enter__(self) -> None:
        self._database._begin()

    def __exit__(self, kind: object, *_: object) -> None:
        self._database._end(kind is None)


class Database:
    """A lazily opened SQLite database shared by the threads of a process, one at a time."""

    def __init__(self, path: str, *, identity: Mapping[str, str], busy_timeout_ms: int = 100_000) -> None:
        self.path = path
        self._identity = identity
        self._busy_timeout = busy_timeout_ms / 1000
        self._lock = RLock()
        self._link: Connection | None = None
        self._pid = 0
        self._depth = 0
        self._changes = 0

    # -- life --------------------------------------------------------------------------------------------------------

    def transaction(self) -> Transaction:
        """A write transaction as a context manager, see :class:`Transaction`.

        Entering it waits for other writers, at most the busy timeout, and raises :class:`TimedOut` then.  It holds
        up every writer of the engine: nothing slow belongs in it, least of all running a program.
        """
        return Transaction(self)

    def close(self, *, fast: bool = True) -> None:
        """Close the connection; the next use opens it again.

        With *fast* the write-ahead log stays as it is (0.1 ms); without, it is folded into the database and emptied
        (1-6 ms), which only matters to somebody who wants to copy the one file.
        """
        self._check_process()
        with self._lock:
            link = self._link
            if link is None:
                return
            if self._depth:
                raise InternalError("the database is closed inside a transaction")
            try:
                if not fast:
                    link.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                link.close()
            except Error as error:
                raise self._translated(error) from error
            finally:
                self._link = None

    def checkpoint(self) -> None:
        """Fold the write-ahead log into the database as far as no reader is in the way.

        For a process nobody waits for (the exit command, an idle service): it spares the next commits the work.
        """
        self._rows("PRAGMA wal_checkpoint(PASSIVE)")

    def data_version(self) -> int:
        """A number that differs from every earlier one of this object once anybody has changed the database."""
        with self._lock:
            seen: int = self._rows("PRAGMA data_version")[0][0]
            return self._changes << 32 | seen

    # -- statements --------------------------------------------------------------------------------------------------

    def _rows(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run one query and return its rows."""
        self._check_process()
        with self._lock:
            try:
                return (self._link or self._open()).execute(statement, values).fetchall()
            except UnicodeEncodeError:      # bytes from a command line that are no text: nothing has such a name
                return []
            except Error as error:
                raise self._translated(error) from error

    def _row(self, statement: str, values: Sequence[object] = ()) -> tuple[Any, ...] | None:
        """The first row of a statement that gives at most one."""
        rows = self._rows(statement, values)
        return rows[0] if rows else None

    def _change(self, statement: str, values: Sequence[object] = ()) -> int:
        """Run one INSERT, UPDATE or DELETE inside a transaction; how many rows it met."""
        return self._execute(statement, values).rowcount

    def _insert(self, statement: str, values: Sequence[object]) -> int:
        """Run one INSERT inside a transaction; the row's number."""
        return self._execute(statement, values).lastrowid or 0

    def _execute(self, statement: str, values: Sequence[object]) -> Cursor:
        try:
            return self._inside().execute(statement, values)
        except UnicodeEncodeError as error:
            raise InvalidArgument(f"{error.object!r} is not valid text: invalid argument") from None
        except Error as error:
            raise self._translated(error) from error

    def _inside(self) -> Connection:
        if self._link is None or not self._depth:
            raise InternalError("the database is changed outside a transaction")
        return self._link

    def _begin(self) -> None:
        self._check_process()
        self._lock.acquire()
        try:
            link = self._link or self._open()
            link.execute(f"SAVEPOINT inner{self._depth}" if self._depth else "BEGIN IMMEDIATE")
        except Error as error:
            self._lock.release()
            raise self._translated(error) from error
        except BaseException:
            self._lock.release()
            raise
        self._depth += 1

    def _end(self, success: bool) -> None:
        link = self._inside()
        self._depth -= 1
        try:
            if self._depth:
                name = f"inner{self._depth}"
                if not success and link.in_transaction:
                    link.execute(f"ROLLBACK TO {name}")
                if link.in_transaction:
                    link.execute(f"RELEASE {name}")
            elif success:
                link.execute("COMMIT")
                self._changes += 1
            elif link.in_transaction:       # some failures (disk full) have rolled it back already
                link.execute("ROLLBACK")
        except Error as error:
            if not self._depth and link.in_transaction:
                link.execute("ROLLBACK")
            raise self._translated(error) from error
        finally:
            self._lock.release()

    # -- opening -----------------------------------------------------------------------------------------------------

    def _check_process(self) -> None:
        """In a child that inherited an open connection over fork(2), begin anew."""
        if self._link is not None and self._pid != os.getpid():
            _inherited.append(self._link)
            self._link = None
            self._lock = RLock()            # another thread of the parent may have held it
            self._depth = 0

    def _open(self) -> Connection:
        try:
            link = self._connect()
        except OSError as error:
            raise from_os_error(error, "opening the database") from error
        try:
            link.execute("PRAGMA foreign_keys=ON")
            link.execute("PRAGMA synchronous=NORMAL")
            link.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
            version = link.execute("PRAGMA user_version").fetchone()[0]
            if version != VERSION:
                from wherry.state.migrations import migrate

                migrate(link, version, self.path)
            self._check_identity(link)
            if link.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
                _pin(self.path)
        except BaseException:
            link.close()
            raise
        self._link = link
        self._pid = os.getpid()
        self._changes += 1      # data_version of a new connection begins anew
        return link

    def _connect(self) -> Connection:
        """Open the file, making it first when there is none.

        It is not left to SQLite to find out that there is none: when its open for writing fails it tries one for
        reading, and if another process makes the file in between, that gives a connection that cannot write.
        """
        if not os.path.exists(self.path):
            from wherry.state.schema import create

            create(self.path, self._identity)
        name = os.fsencode(self.path)
        for character in b"%?#":
            name = name.replace(b"%c" % character, b"%%%02x" % character)
        return connect(
            b"file:" + name + b"?mode=rw", timeout=self._busy_timeout, isolation_level=None, check_same_thread=False,
            uri=True,
        )

    def _check_identity(self, link: Connection) -> None:
        stored: str = link.execute("SELECT value FROM meta WHERE key='identity'").fetchone()[0]
        if stored == encode(dict(sorted(self._identity.items()))):
            return
        from wherry.model.jsontext import loads

        theirs: dict[str, str] = loads(stored)
        for what, ours in self._identity.items():
            if what in theirs and not _same(theirs[what], ours):
                raise refusals.identity_differs(what, theirs[what], ours)

    def _translated(self, error: Error) -> WherryError:
        """A SQLite error as one of ours; its text stays in the message."""
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        text = f"database {self.path}: {error}"
        if code in (_BUSY, _LOCKED):
            return TimedOut(text, hint="another process has been writing to it for a long time")
        if code in (_CORRUPT, _NOTADB):
            return Corrupt(text, hint="'wherry system check' says what is damaged")
        if code == _FULL:
            return NoSpace(text, hint="free some space, for example with 'wherry system prune', and try again")
        if code == _READONLY:
            return ReadOnly(text)
        if code in (_PERM, _CANTOPEN) and _on_read_only_disk(self.path):
            return ReadOnly(text)       # there is no room for the files of its log
        if code in (_PERM, _CANTOPEN) and not os.access(self.path, os.R_OK | os.W_OK):
            return PermissionRefused(text)
        return InternalError(text) if code == _CONSTRAINT else WherryError(text)


def _on_read_only_disk(path: str) -> bool:
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def _same(theirs: str, ours: str) -> bool:
    """Equal, or two paths to one place: a home directory reached through a symbolic link is common."""
    if theirs == ours:
        return True
    return theirs[:1] == "/" == ours[:1] and os.path.realpath(theirs) == os.path.realpath(ours)


def _pin(path: str) -> None:
    """Keep connections to *path* from checkpointing when the last of them closes.

    SQLite offers a switch for that (SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE) which Python passes on only from 3.12.  What it
    does at close is try for an exclusive lock on the database file, so a shared lock that is never released stops it.
    In WAL mode nothing else asks for that lock.  The descriptor stays open until the process ends: closing it would
    drop the locks SQLite itself holds (https://www.sqlite.org/howtocorrupt.html, section 2.2).
    """
    there = os.stat(path)
    key = (there.st_dev, there.st_ino)
    if key in _pinned:
        return
    from wherry.sys.locks import FileLock

    try:
        FileLock(path, read_only=True).acquire(exclusive=False)
    except OSError:     # without it a close is slower, nothing else
        return
    _pinned.add(key)
