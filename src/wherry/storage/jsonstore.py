"""A table: the records one lock protects, kept as JSON arrays in one or more files.

The rules of containers/storage for readers and writers:

* after taking the lock compare the 64-byte token in the lock file with the one seen at the last load and read the
  files again if it differs (for layers also if a file's mtime differs);
* to save, write a new token first, then replace the file by temporary file, fdatasync, chmod, rename.  A crash in
  between costs others a needless reload, never an unseen change;
* a record goes back to the file it came from; when an id is in two files the earlier file wins.

Keys that are not ours are dropped on save, as every other engine does.

A store may have thousands of records and every operation saves: the text of a file is kept and changed where a record
changed, instead of being made anew from all of them.
"""

from __future__ import annotations

import os
import time
from _struct import Struct

from wherry.errors import Corrupt, from_os_error
from wherry.model import jsontext
from wherry.model.record import Record
from wherry.sys.files import atomic_write, make_dirs, read_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any, Generic, TypeVar

    from wherry.sys.locks import FileLock

    R = TypeVar("R", bound=Record)

    class _Of(Generic[R]):
        """What makes ``Table[LayerRecord]`` a type."""
else:
    R = Record

    class _Of:
        def __class_getitem__(cls, _record):
            return cls

TOKEN_SIZE = 64
_TOKEN = Struct("<QQI44s")      # time in ns, counter of this process, pid, random
_ROW = b'{"id":"'
_saves = 0


def new_token() -> bytes:
    """64 bytes no other save has written; others only compare them."""
    global _saves
    _saves += 1
    return _TOKEN.pack(time.time_ns(), _saves, os.getpid(), os.urandom(44))


class File:
    """One JSON file of a table. *sync* is False for files whose content a power cut may take."""

    __slots__ = ("path", "sync")

    def __init__(self, path: str, *, sync: bool = True) -> None:
        self.path = path
        self.sync = sync


class _Text:
    """The text of a JSON array of objects that begin with ``{"id":"..."``, changed row by row.

    A quotation mark inside a string is escaped, so the beginning of a row is found nowhere else.
    """

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data

    @staticmethod
    def fits(data: bytes, rows: int) -> bool:
        """Is *data*, an array of so many *rows*, written the way this class needs?"""
        return data.count(_ROW) == rows and data[:1] == b"[" and data[-1:] == b"]" and (
            not rows or data.startswith(_ROW, 1)
        ) and data.count(b"," + _ROW) == max(rows - 1, 0)

    def put(self, key: str, row: bytes) -> bool:
        """Replace or append a row; False, and nothing done, when it does not fit."""
        if row.count(_ROW) != 1:
            return False
        start, end = self._span(key)
        if start:
            self.data = self.data[:start] + row + self.data[end:]
        else:
            self.data = b"".join((self.data[:-1], b"," if len(self.data) > 2 else b"", row, b"]"))
        return True

    def drop(self, key: str) -> None:
        start, end = self._span(key)
        if not start:
            return
        if start > 1:
            start -= 1          # the comma before
        elif self.data[end:end + 1] == b",":
            end += 1
        self.data = self.data[:start] + self.data[end:]

    def _span(self, key: str) -> tuple[int, int]:
        """Where the row is; (0, 0) when there is none."""
        start = self.data.find(_ROW + key.encode() + b'"')
        if start < 0:
            return 0, 0
        end = self.data.find(b"," + _ROW, start)
        return start, end if end >= 0 else len(self.data) - 1


class _Snapshot:
    """What was read, and by which token and modification times to know whether it is still current."""

    __slots__ = ("names", "origins", "records", "rows", "stamps", "texts", "token")

    def __init__(self, token: bytes, stamps: list[int]) -> None:
        self.token = token
        self.stamps = stamps
        self.rows: dict[str, dict[str, Any]] = {}       # id -> JSON object, in file order
        self.origins: dict[str, int] = {}               # id -> file number, where it is not 0
        self.records: dict[str, Any] = {}               # id -> decoded record, filled as needed
        self.names: dict[str, str] | None = None        # name -> id
        self.texts: dict[int, _Text] = {}               # file number -> its text


class Table(_Of[R]):
    """The rows of one kind. Every method but the constructor needs the lock; those that change need it exclusively.

    *files* are in order of precedence.  *watch* compares modification times besides the token.
    """

    def __init__(self, kind: type[R], lock: FileLock, files: Sequence[File], *, watch: bool = False) -> None:
        self.lock = lock
        self._kind = kind
        self._files = files
        self._watch = watch
        self._keys = frozenset(kind._names)
        self._fd = -1
        self._snapshot: _Snapshot | None = None
        self._dirty: set[int] = set()
        #: Goes up whenever the files were read again.
        self.generation = 0

    # -- under the lock ------------------------------------------------------------------------------------------

    def entered(self, fd: int, exclusive: bool) -> None:
        """The lock was taken: *fd* is the lock file. Loads what changed; raises :class:`Corrupt`."""
        if exclusive:
            self._fd = fd
        held = self._snapshot
        try:
            token = os.pread(fd, TOKEN_SIZE, 0)
            if held is not None and len(token) == TOKEN_SIZE and token == held.token and (
                not self._watch or self._stamps() == held.stamps
            ):
                return
            self._snapshot = self._load(token)
            self.generation += 1
        except OSError as error:
            raise from_os_error(error, f"reading the {self._what()}") from None

    def leaving(self) -> None:
        """The lock is about to be released: forget changes that were not saved."""
        if self._dirty:
            self.forget()

    def forget(self) -> None:
        """Read everything again next time."""
        self._snapshot = None
        self._dirty.clear()

    def skip(self) -> None:
        """The lock cannot be had (a read-only file system without a lock file): there is nothing here."""
        self._snapshot = _Snapshot(b"", [])

    @property
    def _rows(self) -> _Snapshot:
        snapshot = self._snapshot
        if snapshot is None:
            # Only after a save failed: what is on disk is what there is. An empty token never matches.
            assert self.lock.is_held(), "table used without its lock"
            try:
                snapshot = self._snapshot = self._load(b"")
            except OSError as error:
                raise from_os_error(error, f"reading the {self._what()}") from None
        return snapshot

    def __contains__(self, key: str) -> bool:
        return key in self._rows.rows

    def __len__(self) -> int:
        return len(self._rows.rows)

    def __iter__(self) -> Iterator[R]:
        for key in list(self._rows.rows):
            yield self[key]

    def __getitem__(self, key: str) -> R:
        snapshot = self._rows
        record: R | None = snapshot.records.get(key)
        if record is None:
            row = snapshot.rows[key]
            if None in row.values():        # Go writes an empty list as null
                row = {name: value for name, value in row.items() if value is not None}
            record = snapshot.records[key] = self._kind.from_json(row)
        return record

    def get(self, key: str) -> R | None:
        """The record with id *key*, or None."""
        return self[key] if key in self._rows.rows else None

    def raw(self) -> dict[str, dict[str, Any]]:
        """id -> JSON object, for quick scans. Not to be changed."""
        return self._rows.rows

    def named(self, name: str) -> R | None:
        """The record that holds *name*; when two claim it, the later one has it."""
        snapshot = self._rows
        if snapshot.names is None:
            snapshot.names = {
                name: key for key, row in snapshot.rows.items() for name in row.get("names") or ()
            }
        key = snapshot.names.get(name)
        return None if key is None else self[key]

    def with_prefix(self, prefix: str) -> list[R]:
        """Every record whose id begins with *prefix*."""
        return [self[key] for key in self._rows.rows if key.startswith(prefix)]

    def put(self, record: R, file: int = 0) -> None:
        """Replace the record of the same id where it is, or add a new one to file number *file*."""
        snapshot = self._rows
        key: str = record.id  # type: ignore[attr-defined]
        if key not in snapshot.rows and file:
            snapshot.origins[key] = file
        row = record.to_json()
        old = snapshot.rows.get(key)
        if old is None or old.get("names") != row.get("names"):
            snapshot.names = None
        snapshot.rows[key] = row
        snapshot.records.pop(key, None)
        number = snapshot.origins.get(key, 0)
        text = snapshot.texts.get(number)
        if text is not None and not text.put(key, jsontext.dumps(row).encode()):
            del snapshot.texts[number]
        self._dirty.add(number)

    def drop(self, key: str) -> None:
        """Remove a record; a missing one is fine."""
        snapshot = self._rows
        if snapshot.rows.pop(key, None) is not None:
            snapshot.records.pop(key, None)
            snapshot.names = None
            number = snapshot.origins.pop(key, 0)
            text = snapshot.texts.get(number)
            if text is not None:
                text.drop(key)
            self._dirty.add(number)

    def save(self) -> None:
        """Write what was put and dropped. After a failure nothing is remembered and the files are as before."""
        if not self._dirty:
            return
        snapshot = self._rows
        token = new_token()
        try:
            os.pwrite(self._fd, token, 0)
            for number in sorted(self._dirty):
                self._write(number, snapshot)
            snapshot.token = token
            if self._watch:
                snapshot.stamps = self._stamps()
        except OSError as error:
            self.forget()
            raise from_os_error(error, f"saving the {self._what()}") from None
        except BaseException:
            self.forget()
            raise
        self._dirty.clear()

    # -- files ---------------------------------------------------------------------------------------------------

    def _write(self, number: int, snapshot: _Snapshot) -> None:
        file = self._files[number]
        text = snapshot.texts.get(number)
        data = text.data if text is not None else self._encode(number, snapshot)
        try:
            atomic_write(file.path, data, sync=file.sync)
        except FileNotFoundError:
            make_dirs(os.path.dirname(file.path))
            atomic_write(file.path, data, sync=file.sync)

    def _encode(self, number: int, snapshot: _Snapshot) -> bytes:
        """The text of a file from its rows, without the keys that are not ours; the id comes first."""
        keys = self._keys
        origins = snapshot.origins
        rows = [
            {"id": row["id"]} | {name: value for name, value in row.items() if name in keys}
            for key, row in snapshot.rows.items()
            if origins.get(key, 0) == number
        ]
        data = jsontext.dumps(rows).encode()
        if _Text.fits(data, len(rows)):
            snapshot.texts[number] = _Text(data)
        return data

    def _load(self, token: bytes) -> _Snapshot:
        snapshot = _Snapshot(token, self._stamps() if self._watch else [])
        rows = snapshot.rows
        for number, file in enumerate(self._files):
            data = self._read(file.path)
            clean = True
            found = _decode(data, file.path)
            for row in found:
                try:
                    key = row["id"]
                    again = key in rows
                    clean = clean and not again and self._keys.issuperset(row)
                except (KeyError, TypeError, IndexError):
                    raise Corrupt(f"reading {file.path}: not a list of records") from None
                if again:
                    continue
                rows[key] = row
                if number:
                    snapshot.origins[key] = number
            if clean and _Text.fits(data, len(found)):
                snapshot.texts[number] = _Text(data)
        return snapshot

    def _read(self, path: str) -> bytes:
        try:
            return read_bytes(path)
        except (FileNotFoundError, NotADirectoryError):
            return b""

    def _stamps(self) -> list[int]:
        stamps = []
        for file in self._files:
            try:
                stamps.append(os.stat(file.path).st_mtime_ns)
            except (FileNotFoundError, NotADirectoryError):
                stamps.append(0)
        return stamps

    def _what(self) -> str:
        return os.path.basename(self._files[0].path).removesuffix(".json") + " of the store"


def _decode(data: bytes, path: str) -> list[Any]:
    """The rows in the text of a file, which may be empty or ``null``. Raises :class:`Corrupt`."""
    if not data:
        return []
    try:
        rows = jsontext.loads(data)
    except jsontext.JSONError as error:
        raise Corrupt(f"reading {path}: {error}") from None
    if rows is None:
        return []
    if not isinstance(rows, list):
        raise Corrupt(f"reading {path}: not a list of records")
    return rows
