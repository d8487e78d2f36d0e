"""The tables, and how a database comes to be.

Only the first process of an engine needs this module.  ``PRAGMA user_version`` holds the schema version; a change of
the tables adds a step to :mod:`wherry.state.migrations` and raises :data:`wherry.state.database.VERSION`.
"""

from __future__ import annotations

import os

from wherry.state.database import VERSION
from wherry.state.rows import encode
from wherry.sys.sqlite import connect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

#: What auto-update remembers (since version 2).
UPDATES = (
    """
    CREATE TABLE updates(
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        container TEXT NOT NULL,
        record TEXT NOT NULL
    )
    """,
    "CREATE INDEX updates_container ON updates(container, seq)",
    """
    CREATE TABLE bad_digests(
        image TEXT NOT NULL,
        digest TEXT NOT NULL,
        record TEXT NOT NULL,
        PRIMARY KEY (image, digest)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE kept_images(
        image TEXT NOT NULL,
        id TEXT NOT NULL,
        time_ns INTEGER NOT NULL,
        record TEXT NOT NULL,
        PRIMARY KEY (image, id)
    ) WITHOUT ROWID
    """,
)

# Small list columns come first and the long state last, so that a row's beginning stays on one page.  The
# configuration is in a table of its own: it is the largest part, and saving a state must not rewrite it.
TABLES = (
    """
    CREATE TABLE meta(
        key TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE pods(
        n INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL UNIQUE,
        namespace TEXT NOT NULL,
        created_ns INTEGER NOT NULL,
        infra_id TEXT NOT NULL,
        cgroup_parent TEXT NOT NULL,
        restart_policy TEXT NOT NULL,
        labels TEXT NOT NULL,
        state TEXT NOT NULL,
        config TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE containers(
        n INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL UNIQUE,
        namespace TEXT NOT NULL,
        pod TEXT REFERENCES pods(id),
        image_id TEXT NOT NULL,
        image_name TEXT NOT NULL,
        created_ns INTEGER NOT NULL,
        is_infra INTEGER NOT NULL,
        is_service INTEGER NOT NULL,
        auto_remove INTEGER NOT NULL,
        restart_policy TEXT NOT NULL,
        network_mode TEXT NOT NULL,
        net_ns_ctr TEXT NOT NULL,
        configured_ports TEXT NOT NULL,
        command TEXT NOT NULL,
        labels TEXT NOT NULL,
        exposed_ports TEXT NOT NULL,
        networks TEXT NOT NULL,
        mounts TEXT NOT NULL,
        cid_file TEXT NOT NULL,
        status TEXT NOT NULL,
        pid INTEGER NOT NULL,
        pid_start INTEGER NOT NULL,
        conmon_pid INTEGER NOT NULL,
        conmon_start INTEGER NOT NULL,
        owner_pid INTEGER NOT NULL,
        owner_start INTEGER NOT NULL,
        boot_id TEXT NOT NULL,
        exit_code INTEGER NOT NULL,
        exited INTEGER NOT NULL,
        started_ns INTEGER NOT NULL,
        finished_ns INTEGER NOT NULL,
        restart_count INTEGER NOT NULL,
        stopped_by_user INTEGER NOT NULL,
        health_status TEXT NOT NULL,
        live_ports TEXT,
        state TEXT NOT NULL
    )
    """,
    "CREATE INDEX containers_pod ON containers(pod)",
    """
    CREATE TABLE configs(
        n INTEGER PRIMARY KEY REFERENCES containers(n) ON DELETE CASCADE,
        config TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE dependencies(
        container TEXT NOT NULL REFERENCES containers(id) ON DELETE CASCADE,
        dependency TEXT NOT NULL REFERENCES containers(id),
        PRIMARY KEY (container, dependency)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX dependencies_dependency ON dependencies(dependency)",
    """
    CREATE TABLE volumes(
        n INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        state TEXT NOT NULL,
        config TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE volume_uses(
        container TEXT NOT NULL REFERENCES containers(id) ON DELETE CASCADE,
        volume TEXT NOT NULL REFERENCES volumes(name),
        PRIMARY KEY (container, volume)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX volume_uses_volume ON volume_uses(volume)",
    """
    CREATE TABLE network_uses(
        container TEXT NOT NULL REFERENCES containers(id) ON DELETE CASCADE,
        network TEXT NOT NULL,
        PRIMARY KEY (container, network)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX network_uses_network ON network_uses(network)",
    """
    CREATE TABLE execs(
        id TEXT PRIMARY KEY,
        container TEXT NOT NULL REFERENCES containers(id) ON DELETE CASCADE,
        session TEXT NOT NULL
    ) WITHOUT ROWID
    """,
    "CREATE INDEX execs_container ON execs(container)",
    """
    CREATE TABLE exit_codes(
        id TEXT PRIMARY KEY,
        code INTEGER NOT NULL,
        time_ns INTEGER NOT NULL
    ) WITHOUT ROWID
    """,
    # AUTOINCREMENT: a sequence number must never come back, or "forget up to 5" of one process could drop an event
    # that another one added after the table had been emptied.
    """
    CREATE TABLE intents(
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        kind TEXT NOT NULL,
        object_id TEXT NOT NULL,
        time_ns INTEGER NOT NULL,
        data TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE events(
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        event TEXT NOT NULL
    )
    """,
    *UPDATES,
)


def create(path: str, identity: Mapping[str, str]) -> None:
    """Make the database at *path* unless another process has made it meanwhile.

    It is built beside its place and renamed into it, so that there is a complete database or none.  Raises
    :class:`OSError` and :class:`_sqlite3.Error`.
    """
    from wherry.sys.files import make_dirs
    from wherry.sys.locks import FileLock

    make_dirs(os.path.dirname(path))
    with FileLock(path + ".lock").exclusive():
        if os.path.exists(path):
            return
        building = path + ".new"
        _discard(building)          # left behind by a process that died here
        try:
            _build(building, identity)
            os.rename(building, path)
        except BaseException:
            _discard(building)
            raise


def _build(path: str, identity: Mapping[str, str]) -> None:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    link = connect(os.fsencode(path), isolation_level=None)
    try:
        link.execute("PRAGMA journal_mode=OFF")     # nobody reads the file before it is complete
        link.execute("BEGIN")
        for statement in TABLES:
            link.execute(statement)
        link.execute("INSERT INTO meta VALUES ('identity', ?)", (encode(dict(sorted(identity.items()))),))
        link.execute(f"PRAGMA user_version={VERSION}")
        link.execute("COMMIT")
        # A file system without shared memory mappings keeps the rollback journal: slower, as correct.
        link.execute("PRAGMA journal_mode=WAL")
    finally:
        link.close()


def _discard(path: str) -> None:
    for suffix in ("", "-journal", "-wal", "-shm"):
        try:
            os.unlink(path + suffix)
        except FileNotFoundError:
            pass

