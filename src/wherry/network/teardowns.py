"""Firewall changes done in the background after a container is gone.

Deleting from nf_tables takes a kernel grace period, so nobody waits for it.  What is to be deleted is written down
first, in a file of the directory ``teardown``; the program that does it removes the file.  So a crash loses nothing,
and whoever needs the same ports can wait.
"""

from __future__ import annotations

import os
import time

from wherry.network.child import start_unattended
from wherry.sys.files import atomic_write, make_dirs, try_read_text
from wherry.sys.processes import with_argument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

#: Seconds after which it is looked whether the program is alive.
_DOUBTFUL = 1.0
_SUFFIX = ".nft"
#: Arguments: nft, script, lock.
_LINE = 'exec 9>"$3"; flock 9; "$1" -f "$2"; rm -f "$2"'


class Teardowns:
    """The pending deletions of one engine."""

    def __init__(self, run_dir: str, nft: str) -> None:
        self._directory = run_dir + "/teardown"
        self._lock = run_dir + "/teardown.lock"
        self._nft = nft

    def begin(self, name: str, script: str) -> None:
        """Start running *script*; *name* is the container's id."""
        make_dirs(self._directory)
        path = f"{self._directory}/{name}{_SUFFIX}"
        atomic_write(path, script.encode(), sync=False)
        self._run(path)

    def _run(self, path: str) -> None:
        start_unattended(["/bin/sh", "-c", _LINE, "sh", self._nft, path, self._lock])

    def pending(self) -> dict[str, float]:
        """File -> age in seconds."""
        try:
            names = os.listdir(self._directory)
        except FileNotFoundError:
            return {}
        found = {}
        for name in names:
            path = f"{self._directory}/{name}"
            try:
                age = time.time() - os.stat(path).st_mtime
                if name.endswith(_SUFFIX):
                    found[path] = age
                elif age > _DOUBTFUL:       # its writer was killed
                    os.unlink(path)
            except FileNotFoundError:
                continue
        return found

    def abandoned(self) -> list[str]:
        """Ids of containers whose deletions nobody finished."""
        dead = [path for path, age in self.pending().items() if _dead(path, age)]
        return [os.path.basename(path).removesuffix(_SUFFIX) for path in dead]

    def settle(self, texts: Collection[str] | None = None) -> None:
        """Wait for deletions that mention one of *texts* (None: all); start those again whose program died."""
        for path, age in self.pending().items():
            script = try_read_text(path)
            if script is None:
                continue
            wanted = texts is None or any(text in script for text in texts)
            if wanted and age < _DOUBTFUL:
                _wait_for_removal(path, _DOUBTFUL - age)
                age = _DOUBTFUL
            if age >= _DOUBTFUL and os.path.exists(path) and not with_argument(path):
                self._run(path)
            if wanted:
                _wait_for_removal(path)


def _dead(path: str, age: float) -> bool:
    return age > _DOUBTFUL and not with_argument(path)


def _wait_for_removal(path: str, timeout: float = 10.0) -> None:
    deadline = time.monotonic() + timeout
    while os.path.exists(path) and time.monotonic() < deadline:
        time.sleep(0.002)
