"""A lock among engine processes that work on networks: shared while attaching, exclusive while things are removed."""

from __future__ import annotations

import fcntl
import os


class Hold:
    """Holds the lock file at *path* in a ``with`` block; its directory exists."""

    def __init__(self, path: str, exclusive: bool = True) -> None:
        self._path = path
        self._how = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
        self._fd = -1

    def __enter__(self) -> None:
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._fd, self._how)

    def __exit__(self, *_exc: object) -> None:
        os.close(self._fd)
