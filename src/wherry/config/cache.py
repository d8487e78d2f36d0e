"""Remembering what parsing configuration gave, and noticing when it would give something else.

A :class:`Watch` is handed to the code that reads configuration; it notes every file, directory and variable looked at.
The result and the notes are stored together.  The next process compares the notes with the world, a handful of
``stat`` calls, and takes the result as it is when nothing differs.
"""

from __future__ import annotations

import os
import time

from wherry import __version__
from wherry.errors import from_os_error
from wherry.model import jsontext
from wherry.sys.files import atomic_write, make_dirs, read_all, read_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from wherry.config.places import Places

# Raise the number whenever the shape or meaning of a document changes.
_FORMAT = f"3 {__version__}"

# A file changed this recently could change again without its timestamp moving (the kernel's clock ticks in steps of
# up to 10 ms); what was read from it is not stored.
_TOO_RECENT_NS = 50_000_000


class Watch:
    """Access to files and variables that keeps note of what was looked at."""

    def __init__(self, places: Places) -> None:
        self._environ = places.environ
        self.variables: dict[str, str] = {}
        self.files: dict[str, list[int] | None] = {}
        self.presence: dict[str, bool] = {}

    def getenv(self, name: str) -> str:
        """The variable, or an empty text."""
        value = self._environ.get(name, "")
        self.variables[name] = value
        return value

    def exists(self, path: str) -> bool:
        """Only whether *path* exists matters, not what it contains."""
        found = self.presence[path] = os.path.exists(path)
        return found

    def read(self, path: str) -> bytes | None:
        """The content of a file, None when it is missing. Raises a wherry error when it cannot be read."""
        self.files[path] = _fingerprint(path)
        try:
            return read_bytes(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise from_os_error(error, "reading configuration") from error

    def drop_ins(self, directory: str) -> list[str]:
        """The ``*.conf`` files in *directory* in the order of their names."""
        self.files[directory] = _fingerprint(directory)
        try:
            names = os.listdir(directory)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise from_os_error(error, "reading configuration") from error
        return [f"{directory}/{name}" for name in sorted(names) if name.endswith(".conf")]

    def is_settled(self, now_ns: int) -> bool:
        """Would a later change of any file seen be certain to show in its fingerprint?"""
        return all(not 0 <= now_ns - seen[0] < _TOO_RECENT_NS for seen in self.files.values() if seen)


def cached(places: Places, name: str, identity: list[Any], build: Callable[[Watch], dict[str, Any]]) -> dict[str, Any]:
    """The document *build* makes, from the cache *name* if nothing it depends on has changed.

    *identity* names whatever else the document depends on.  A cache that is missing, damaged, somebody else's or
    cannot be written is never an error.
    """
    path = f"{places.cache_dir}/{name}-{places.uid}.json" if places.cache_dir else ""
    identity = [_FORMAT, *places.identity(), *identity]
    if path:
        document = _read(path, places, identity)
        if document is not None:
            return document
    watch = Watch(places)
    now = time.time_ns()
    document = build(watch)
    text = jsontext.dumps({
        "identity": identity, "variables": watch.variables, "files": watch.files, "presence": watch.presence,
        "document": document,
    })
    if path and watch.is_settled(now):
        try:
            make_dirs(places.cache_dir)
            atomic_write(path, text.encode("utf-8", "surrogatepass"), sync=False)
        except OSError:
            pass
    fresh: dict[str, Any] = jsontext.loads(text)["document"]    # the same shape as from the cache
    return fresh


def _read(path: str, places: Places, identity: list[Any]) -> dict[str, Any] | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            about = os.fstat(fd)
            if about.st_uid != os.geteuid() or about.st_mode & 0o077:
                return None
            data = jsontext.loads(read_all(fd).decode("utf-8", "surrogatepass"))
        finally:
            os.close(fd)
        if data["identity"] != identity:
            return None
        environ = places.environ
        for name, value in data["variables"].items():
            if environ.get(name, "") != value:
                return None
        for seen, fingerprint in data["files"].items():
            if _fingerprint(seen) != fingerprint:
                return None
        for seen, there in data["presence"].items():
            if os.path.exists(seen) is not there:
                return None
        document: dict[str, Any] = data["document"]
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
    return document


def _fingerprint(path: str) -> list[int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return [found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev]
