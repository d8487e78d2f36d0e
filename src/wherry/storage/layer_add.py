"""Adding image layers: a tar stream becomes a layer whose tar can be given back bit for bit.

The layers' lock is held for writing during the whole extraction, as every version of every engine understands it.
The stream should therefore be local (a file, not a socket).
"""

from __future__ import annotations

import os

from wherry.archive import compression, extract, tarsplit
from wherry.errors import AlreadyExists, Corrupt, InUse, InvalidArgument, from_os_error
from wherry.model.digest import check_digest
from wherry.model.ids import generate_id, is_id
from wherry.model.timestamps import now
from wherry.storage import damaged
from wherry.storage.home import Home, Located
from wherry.storage.layers import layer_id_for
from wherry.storage.records import COMPRESSION_NUMBERS, LayerRecord

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from wherry.archive.compression import Readable
    from wherry.model.mount import IDMap
    from wherry.storage.layers import Layers

#: A blob may become so many times as large when it is decompressed (gzip cannot do more), or so many bytes.
#: What goes beyond is a decompression bomb.
LARGEST_RATIO = 1100
LARGEST_ANYHOW = 16 << 30
#: Bytes from which a compression format is recognised.
_HEAD = 6


class Adder:
    """Adds layers to *home*. Methods need the layers' lock for writing."""

    def __init__(self, layers: Layers, home: Home) -> None:
        self._layers = layers
        self._home = home

    def add(
        self,
        parent: str,
        stream: Readable,
        *,
        layer_id: str = "",
        diff_id: str = "",
        compressed_digest: str = "",
        compressed_size: int = -1,
    ) -> Located:
        """Extract *stream* as a layer on *parent*.

        The id follows from parent and content unless given; while the content is unknown the layer has a random one.
        An existing layer is returned without reading the stream.  Raises :class:`NoSuchLayer` for the parent,
        :class:`Corrupt` when the content is no tar or not what *diff_id* says; nothing is left then.
        """
        above = self._layers.get(parent) if parent else None
        if layer_id and not is_id(layer_id):
            raise InvalidArgument(f"{layer_id!r} is not a layer id")
        if compressed_digest:
            check_digest(compressed_digest)
        wanted = layer_id or (layer_id_for(parent, check_digest(diff_id)) if diff_id else "")
        found = self._layers.find(wanted) if wanted else None
        if found is not None:
            return self._reused(found, parent, diff_id)
        measured = _Measured(stream, not compressed_digest)
        record = LayerRecord(id=wanted or generate_id(), parent=parent, created=now())
        layer = self._layers.begin(self._home, record, above)
        begun = [layer]
        try:
            filled = self._extract(layer, measured, diff_id, compressed_digest, compressed_size)
            if not wanted:
                final = layer_id_for(parent, filled.diff_digest)
                other = self._layers.find(final)
                if other is not None:
                    self._layers.abandon(layer)
                    return other
                filled = filled.replace(id=final)
                begun.append(Located(self._home, filled))
                self._move(layer, begun[1])
            return self._layers.finish(Located(self._home, filled))
        except BaseException:
            for layer in begun:
                self._layers.abandon(layer)
            raise

    def refill(self, layer: Located, stream: Readable) -> Located:
        """Make the content of a damaged layer anew; *stream* must be the tar its digest was taken of.

        The old content stays until the new one is whole.  Raises :class:`Corrupt` when it is another one, and
        :class:`InUse` while the layer, or one above it, is mounted and there is still content that may be in use.
        """
        layers = self._layers
        if os.path.isdir(layers.driver.upper(layer)) and self._is_mounted(layer.id):
            raise InUse(f"layer {layer.id} is damaged, but mounted: stop the containers that use it first")
        parent = layers.get(layer.record.parent) if layer.record.parent else None
        record = LayerRecord(id=generate_id(), parent=layer.record.parent, created=now())
        fresh = layers.begin(self._home, record, parent)
        try:
            self._extract(fresh, _Measured(stream, False), layer.record.diff_digest, "sha256:", 0)
            layers.driver.adopt(layer, fresh)
            layers.driver.restore(layer, parent, [layers.get(child) for child in layers.children(layer.id)])
            os.rename(self._home.tar_split(fresh.id), layer.home.tar_split(layer.id))
        except OSError as error:
            raise from_os_error(error, f"restoring layer {layer.id}") from None
        finally:
            layers.abandon(fresh)
        damaged.note(self._home.root, damaged.noted(self._home.root) - {layer.id})
        return layer

    def _is_mounted(self, layer_id: str) -> bool:
        """Is the layer, or any made on it, mounted?"""
        pending, counts = [layer_id], self._layers.mounts.counts()
        while pending:
            one = pending.pop()
            if one in counts:
                return True
            pending += self._layers.children(one)
        return False

    def _reused(self, layer: Located, parent: str, diff_id: str) -> Located:
        record = layer.record
        if record.parent != parent or (diff_id and record.diff_digest and record.diff_digest != diff_id):
            raise AlreadyExists(f"layer {layer.id} exists with other content: that ID is already in use")
        return layer

    def _extract(
        self, layer: Located, stream: _Measured, diff_id: str, compressed_digest: str, compressed_size: int
    ) -> LayerRecord:
        options = self._layers.driver.extract_options(layer)
        applied = extract.apply(
            stream, self._layers.driver.upper(layer),
            options.replace(
                tar_split_path=self._home.tar_split(layer.id),
                max_size=max(LARGEST_ANYHOW, compressed_size * LARGEST_RATIO) if compressed_size > 0 else 0,
            ),
        )
        if diff_id and applied.diff_id != diff_id:
            raise Corrupt(f"layer content has digest {applied.diff_id}, expected {diff_id}")
        number = COMPRESSION_NUMBERS[applied.compression]
        if not compressed_digest:
            compressed_digest = stream.digest() if number else applied.diff_id
        if compressed_size < 0:
            compressed_size = stream.size
        return layer.record.replace(
            diff_digest=applied.diff_id, diff_size=applied.size, compression=number,
            compressed_digest=compressed_digest, compressed_size=compressed_size,
            uids=applied.uids, gids=applied.gids,
        )

    def _move(self, old: Located, new: Located) -> None:
        """Give the extracted layer its final id.

        Both ids are recorded as incomplete while files move, so that after a crash all of it is removed.
        """
        table = self._home.layers
        table.put(new.record)
        table.save()
        self._layers.driver.move(self._home, old.id, new.id)
        os.rename(self._home.tar_split(old.id), self._home.tar_split(new.id))
        table.drop(old.id)

    def copy(self, source: Located, parent: str) -> Located:
        """The content of *source* as a layer on another parent, from its reassembled tar."""
        record = source.record
        if not record.diff_digest:
            raise InvalidArgument(f"layer {source.id} was not made from a tar")
        stream = _Pieces(tarsplit.reassemble(source.home.tar_split(source.id), self._layers.driver.contents(source)))
        return self.add(
            parent, stream, diff_id=record.diff_digest, compressed_digest=record.compressed_digest,
            compressed_size=record.compressed_size,
        )

    def mapped_copy(self, template: Located, uid_map: Sequence[IDMap], gid_map: Sequence[IDMap]) -> Located:
        """A copy of a top layer whose files have the ids of the maps (storage lock held as well).

        Its record takes the template's place in the chain, its directories lie on top of the template's.
        """
        import shutil

        record = template.record.replace(
            id=generate_id(), names=(), created=now(), uid_map=uid_map, gid_map=gid_map,
        )
        layer = self._layers.begin(self._home, record, template)
        try:
            if record.diff_digest:
                shutil.copyfile(template.home.tar_split(template.id), self._home.tar_split(layer.id))
            self._layers.driver.remap(layer, uid_map, gid_map)
            return self._layers.finish(layer)
        except BaseException:
            self._layers.abandon(layer)
            raise


class _Measured:
    """A stream that counts what is read from it and, if asked to and it is compressed, hashes it."""

    def __init__(self, stream: Readable, hash_it: bool) -> None:
        self._stream = stream
        self._hash_it = hash_it
        self._started = False
        self._hash: Any = None
        self.size = 0

    def read(self, size: int, /) -> bytes:
        data = self._stream.read(size)
        self.size += len(data)
        if not self._started:
            self._start(data)
        if self._hash is not None:
            self._hash.update(data)
        return data

    def _start(self, head: bytes) -> None:
        self._started = True
        if self._hash_it and (len(head) < _HEAD or compression.detect(head) != "none"):
            import hashlib

            self._hash = hashlib.sha256()

    def digest(self) -> str:
        """Of everything read."""
        return f"sha256:{self._hash.hexdigest()}"


class _Pieces:
    """An iterator of byte strings as a stream."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._held = b""

    def read(self, size: int, /) -> bytes:
        while not self._held:
            try:
                self._held = next(self._pieces)
            except StopIteration:
                return b""
        out, self._held = self._held[:size], self._held[size:]
        return out
