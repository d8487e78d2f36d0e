"""What is known of layers' compressed forms: which blob a content became, and which repositories have it.

A push uses it to skip compressing and sending what a registry has, or can mount from another of its repositories.  It
is a cache: it may be deleted at any time, and nothing fails because of it.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Sequence

from wherry.registry.destination import KnownBlob
from wherry.sys import log
from wherry.sys.files import make_dirs

_SCHEMA = """
CREATE TABLE IF NOT EXISTS form (
    content TEXT, digest TEXT, size INTEGER, compression TEXT, registry TEXT, repository TEXT, seen REAL,
    PRIMARY KEY (content, digest, registry, repository)
) WITHOUT ROWID
"""
#: Forms considered for one layer, the latest first: each costs a question to the registry.
_MOST = 6
_WAIT = 2.0     # seconds


class BlobCache:
    """The cache in the file *path*."""

    def __init__(self, path: str) -> None:
        self._path = path

    def forms(self, content: str, registry: str = "") -> list[KnownBlob]:
        """Forms of the uncompressed *content*, those on *registry* first, then the latest."""
        query = (
            "SELECT digest, size, compression, registry, repository FROM form WHERE content = ? "
            "ORDER BY registry != ?, seen DESC LIMIT ?"
        )
        try:
            with _Connection(self._path) as connection:
                rows = connection.execute(query, (content, registry, _MOST)).fetchall()
        except (sqlite3.Error, OSError) as error:
            log.debug(f"reading {self._path}: {error}")
            return []
        return [
            KnownBlob(digest=digest, size=size, compression=compression, registry=host, repository=repository)
            for digest, size, compression, host, repository in rows
        ]

    def note(self, found: Sequence[tuple[str, KnownBlob]]) -> None:
        """Remember (content, form) pairs."""
        now = time.time()
        rows = [
            (content, form.digest, form.size, form.compression, form.registry, form.repository, now)
            for content, form in found if content and form.digest
        ]
        if not rows:
            return
        try:
            make_dirs(os.path.dirname(self._path))
            with _Connection(self._path) as connection:
                connection.execute(_SCHEMA)
                connection.executemany("INSERT OR REPLACE INTO form VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
                connection.commit()
        except (sqlite3.Error, OSError) as error:
            log.debug(f"writing {self._path}: {error}")


class _Connection:
    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> sqlite3.Connection:
        self._connection = sqlite3.connect(self._path, timeout=_WAIT)
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._connection.close()
