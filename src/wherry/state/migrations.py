"""Bringing an older database to the present schema, one version at a time.

A step is the statements that lead from one version to the next.  Steps are never changed once released: what they
started from is out there.
"""

from __future__ import annotations

from wherry.errors import Corrupt
from wherry.state import refusals
from wherry.state.database import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _sqlite3 import Connection
    from collections.abc import Mapping, Sequence

#: version -> statements that make it the next one.
STEPS: Mapping[int, Sequence[str]] = {
    1: (
        "CREATE TABLE updates(seq INTEGER PRIMARY KEY AUTOINCREMENT, container TEXT NOT NULL, record TEXT NOT NULL)",
        "CREATE INDEX updates_container ON updates(container, seq)",
        "CREATE TABLE bad_digests(image TEXT NOT NULL, digest TEXT NOT NULL, record TEXT NOT NULL, "
        "PRIMARY KEY (image, digest)) WITHOUT ROWID",
        "CREATE TABLE kept_images(image TEXT NOT NULL, id TEXT NOT NULL, time_ns INTEGER NOT NULL, "
        "record TEXT NOT NULL, PRIMARY KEY (image, id)) WITHOUT ROWID",
    ),
}


def migrate(
    link: Connection,
    version: int,
    path: str,
    *,
    steps: Mapping[int, Sequence[str]] = STEPS,
    target: int = VERSION,
) -> None:
    """Lead the database from *version* to *target* in one transaction.

    Raises :class:`ConfigurationMismatch` when it is newer than *target* and :class:`Corrupt` when *version* is none
    that wherry ever wrote.
    """
    if version < 1:
        raise Corrupt(f"database {path} is not a database of wherry", hint="move it away to begin with an empty one")
    if version > target:
        raise refusals.schema_too_new(version, target)
    # Foreign keys cannot be switched off inside a transaction, and rebuilding a table would trip over them.
    link.execute("PRAGMA foreign_keys=OFF")
    link.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have migrated while we waited for the lock.
        current = link.execute("PRAGMA user_version").fetchone()[0]
        for step in range(current, target):
            for statement in steps[step]:
                link.execute(statement)
        link.execute(f"PRAGMA user_version={max(current, target)}")
        link.execute("COMMIT")
    except BaseException:
        if link.in_transaction:
            link.execute("ROLLBACK")
        raise
    link.execute("PRAGMA foreign_keys=ON")
