"""Writing OCI image layouts (directory or tar) and dir: directories.

Sources: OCI image specification "image-layout.md"; containers-transports(5).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from wherry.archive.compression import GZIP
from wherry.errors import Corrupt, InvalidArgument, from_os_error
from wherry.model import jsontext
from wherry.model.digest import encoded
from wherry.registry import mediatypes
from wherry.registry.destination import ImageDestination, SpooledBlob
from wherry.registry.streams import FileRange, Readable, Stream
from wherry.registry.tarwriter import ArchiveWriter
from wherry.registry.verify import digest_of
from wherry.sys.files import atomic_write, make_dirs, try_read_text

REF_NAME = "org.opencontainers.image.ref.name"
_LAYOUT = b'{"imageLayoutVersion": "1.0.0"}'
#: First line of the file ``version`` of a dir: directory.
_VERSION = b"Directory Transport Version: 1.1\n"
_PIECE = 1 << 20


class _Writer:
    """Named files of a layout: in a directory, or as members of a tar."""

    def has(self, name: str, size: int) -> bool:
        raise NotImplementedError

    def put(self, name: str, stream: Readable, size: int) -> None:
        raise NotImplementedError

    def put_bytes(self, name: str, data: bytes) -> None:
        raise NotImplementedError


class DirectoryWriter(_Writer):
    """Files below *path*, each there whole or not at all; existing blobs are kept."""

    def __init__(self, path: str, subdirectories: Sequence[str] = ()) -> None:
        self.path = path
        try:
            for name in ("", *subdirectories):
                make_dirs(os.path.join(path, name), 0o755)
        except OSError as error:
            raise from_os_error(error, "creating directory") from error

    def has(self, name: str, size: int) -> bool:
        try:
            return os.stat(os.path.join(self.path, name)).st_size == size
        except OSError:
            return False

    def put(self, name: str, stream: Readable, size: int) -> None:
        path = os.path.join(self.path, name)
        temporary = os.path.join(self.path, f".tmp-{os.urandom(8).hex()}")
        try:
            with open(temporary, "xb", buffering=0, opener=_opener) as file:
                while data := stream.read(_PIECE):
                    view = memoryview(data)
                    while view:
                        view = view[file.write(view):]
            os.rename(temporary, path)
        except BaseException as error:
            _unlink(temporary)
            if isinstance(error, OSError):
                raise from_os_error(error, "writing blob") from error
            raise

    def put_bytes(self, name: str, data: bytes) -> None:
        try:
            atomic_write(os.path.join(self.path, name), data, 0o644, sync=False)
        except OSError as error:
            raise from_os_error(error, "writing image") from error

    def read(self, name: str) -> str | None:
        """The text of a file, None when there is none."""
        return try_read_text(os.path.join(self.path, name))


class TarLayoutWriter(_Writer):
    """Members of an archive."""

    def __init__(self, writer: ArchiveWriter) -> None:
        self.writer = writer

    def has(self, name: str, size: int) -> bool:
        return self.writer.has(name)

    def put(self, name: str, stream: Readable, size: int) -> None:
        with self.writer.lock:
            if not self.writer.has(name):
                self.writer.add_stream(name, stream, size)

    def put_bytes(self, name: str, data: bytes) -> None:
        with self.writer.lock:
            if not self.writer.has(name):
                self.writer.add_bytes(name, data)


class OciLayout:
    """An OCI layout being written; several images may go into it, each with its entry in the index."""

    def __init__(self, writer: _Writer, reference: str, entries: Sequence[Mapping[str, Any]] = ()) -> None:
        self.writer = writer
        self.reference = reference
        self._entries: list[dict[str, Any]] = [dict(entry) for entry in entries]
        self._lock = threading.Lock()

    def image(self, name: str) -> OciDestination:
        """Where an image is written; *name* is its annotation in the index, may be empty."""
        return OciDestination(self, name)

    def add_entry(self, data: bytes, media_type: str, name: str) -> None:
        """List a manifest; an older one of the same name, or without name and the same digest, is replaced."""
        entry: dict[str, Any] = {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}
        if name:
            entry["annotations"] = {REF_NAME: name}
        with self._lock:
            self._entries = [
                old for old in self._entries
                if (old.get("annotations") or {}).get(REF_NAME, "") != name
                or (not name and old.get("digest") != entry["digest"])
            ]
            self._entries.append(entry)

    @property
    def entries(self) -> Sequence[Mapping[str, Any]]:
        """The descriptors of the index, their annotations included."""
        return tuple(self._entries)

    def remove_entry(self, digest: str, name: str) -> None:
        """Take the entry of the manifest *digest* with that name (empty: without one) off the list."""
        with self._lock:
            self._entries = [
                old for old in self._entries
                if old.get("digest") != digest or (old.get("annotations") or {}).get(REF_NAME, "") != name
            ]

    def end(self) -> None:
        """Write index.json and oci-layout."""
        self.writer.put_bytes("oci-layout", _LAYOUT)
        index = {"schemaVersion": 2, "manifests": self._entries}
        self.writer.put_bytes("index.json", jsontext.dumps(index).encode())


class OciDestination(ImageDestination):
    types = (mediatypes.OCI_MANIFEST,)
    compression = GZIP

    def __init__(self, layout: OciLayout, name: str) -> None:
        self.reference = layout.reference
        self._layout = layout
        self._name = name

    def find_blob(self, digest: str, size: int) -> bool:
        return self._layout.writer.has(_blob(digest), size)

    def put_stream(self, stream: Stream, digest: str, size: int, report: Callable[[int], object]) -> None:
        self._layout.writer.put(_blob(digest), stream, size)

    def put_file(self, blob: SpooledBlob, report: Callable[[int], object]) -> None:
        if not self.find_blob(blob.digest, blob.size):
            self._layout.writer.put(_blob(blob.digest), FileRange(blob.fd, 0, blob.size), blob.size)

    def put_config(self, digest: str, data: bytes) -> None:
        self._layout.writer.put_bytes(_blob(digest), data)

    def put_manifest(self, data: bytes, media_type: str, *, instance: bool = False) -> None:
        self._layout.writer.put_bytes(_blob(digest_of(data)), data)
        if not instance:
            self._layout.add_entry(data, media_type, self._name)


class DirDestination(ImageDestination):
    """A ``dir:`` directory; what was in one before is replaced."""

    def __init__(self, path: str, compression: str | None = None) -> None:
        self.reference = f"dir:{path}"
        self.compression = compression
        _check_dir(path)
        self._writer = DirectoryWriter(path)
        self._writer.put_bytes("version", _VERSION)

    def find_blob(self, digest: str, size: int) -> bool:
        return self._writer.has(encoded(digest), size)

    def put_stream(self, stream: Stream, digest: str, size: int, report: Callable[[int], object]) -> None:
        self._writer.put(encoded(digest), stream, size)

    def put_file(self, blob: SpooledBlob, report: Callable[[int], object]) -> None:
        self._writer.put(encoded(blob.digest), FileRange(blob.fd, 0, blob.size), blob.size)

    def put_config(self, digest: str, data: bytes) -> None:
        self._writer.put_bytes(encoded(digest), data)

    def put_manifest(self, data: bytes, media_type: str, *, instance: bool = False) -> None:
        name = f"{encoded(digest_of(data))}.manifest.json" if instance else "manifest.json"
        self._writer.put_bytes(name, data)

    def put_signatures(self, digest: str, signatures: Sequence[bytes], *, instance: bool = False) -> None:
        prefix = f"{encoded(digest)}." if instance else ""
        for number, data in enumerate(signatures, 1):
            self._writer.put_bytes(f"{prefix}signature-{number}", data)


def open_layout(path: str) -> OciLayout:
    """The OCI layout directory at *path*, made if there is none. Raises :class:`Corrupt` for a broken index."""
    if os.path.exists(path) and not os.path.isdir(path):
        raise InvalidArgument(f"oci:{path}: not a directory")
    writer = DirectoryWriter(path, ("blobs/sha256",))
    text = writer.read("index.json")
    entries: list[Any] = []
    if text:
        try:
            entries = jsontext.loads(text)["manifests"] or []
        except (ValueError, KeyError, TypeError):
            raise Corrupt(f"oci:{path}: index.json is damaged") from None
    return OciLayout(writer, f"oci:{path}", [entry for entry in entries if isinstance(entry, dict)])


def _check_dir(path: str) -> None:
    """A directory that is neither empty nor of this transport is not written to."""
    try:
        names = os.listdir(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise from_os_error(error, "opening directory") from error
    if not names:
        return
    text = try_read_text(os.path.join(path, "version")) or ""
    if not text.startswith("Directory Transport Version: "):
        raise InvalidArgument(f"initializing destination dir:{path}: not a containers image directory")
    for name in names:
        _unlink(os.path.join(path, name))


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass


def _opener(path: str, flags: int) -> int:
    return os.open(path, flags, 0o644)


def _blob(digest: str) -> str:
    algorithm, _, hexadecimal = digest.partition(":")
    return f"blobs/{algorithm}/{hexadecimal}"


