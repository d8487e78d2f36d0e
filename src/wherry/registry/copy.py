"""Copying an image from a source to a destination: layers in parallel, then config, then manifest."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from wherry.archive import compression
from wherry.archive.compression import NONE, ZSTD
from wherry.archive.readahead import OpenedAhead
from wherry.errors import Cancelled, InvalidArgument, WherryError
from wherry.model.record import Record
from wherry.registry import conversion, manifests, mediatypes
from wherry.registry.destination import ImageDestination, KnownBlob, SpooledBlob, layer_type, type_compression
from wherry.registry.failures import refuses_type
from wherry.registry.progress import Reporter
from wherry.registry.source import ImageSource, LayerBlob
from wherry.registry.spool import Spool, write_all
from wherry.registry.streams import Readable, Stream, Verified
from wherry.registry.verify import digest_of

#: Given a layer: the compressed forms its content is known to have.
KnownForms = Callable[[LayerBlob], Sequence[KnownBlob]]

_PIECE = 1 << 20


class CopyOptions(Record):
    """How to copy. Empty texts leave the choice to source and destination."""

    format: str = ""                # a manifest media type
    compression: str = ""           # gzip, zstd or none
    level: int = -1
    force_compression: bool = False     # also layers that are compressed already, or there in another form
    workers: int = 3
    instance: bool = False          # one of a list: it gets no tag
    keep_manifest: bool = False     # it is signed: another manifest is an error


class Copied(Record):
    """What was written."""

    manifest: bytes = b""
    media_type: str = ""
    digest: str = ""
    layers: Sequence[LayerBlob] = ()


def copy_image(
    source: ImageSource,
    destination: ImageDestination,
    options: CopyOptions,
    *,
    spool_parent: str,
    reporter: Reporter | None = None,
    known: KnownForms | None = None,
) -> Copied:
    """Copy all of *source*; the caller commits *destination*.

    Raises wherry errors; the destination's rules say what may then be left there (blobs in a registry, nothing else).
    """
    listener = reporter or Reporter()
    copier = _Copier(source, destination, options, listener, known, spool_parent)
    layers = copier.layers()
    types = [copier.target]
    if not options.format and destination.types and not any(one.compression == ZSTD for one in copier.forms.values()):
        types += [one for one in destination.types if one != copier.target]
    for position, media_type in enumerate(types):
        config, data = _documents(source, media_type, layers, copier.forms)
        if options.keep_manifest and data != source.manifest:
            raise _manifest_is_signed()
        digest = digest_of(config)
        listener.start(digest, "Copying config", len(config))
        destination.put_config(digest, config)
        listener.finish(digest, "done")
        listener.message("Writing manifest to image destination")
        try:
            destination.put_manifest(data, media_type, instance=options.instance)
        except WherryError as error:
            if position + 1 == len(types) or not refuses_type(error):
                raise
            continue
        return Copied(manifest=data, media_type=media_type, digest=digest_of(data), layers=layers)
    raise InvalidArgument("no manifest type the destination takes")


def _manifest_is_signed() -> InvalidArgument:
    return InvalidArgument(
        "Copying this image would require changing layer representation, which we cannot do: "
        '"Would invalidate signatures"', hint="use --remove-signatures",
    )


class _Form(Record):
    """A layer as it was written."""

    digest: str = ""
    size: int = 0
    compression: str = NONE


class _Copier:
    def __init__(
        self, source: ImageSource, destination: ImageDestination, options: CopyOptions, reporter: Reporter,
        known: KnownForms | None, spool_parent: str,
    ) -> None:
        self._source = source
        self._destination = destination
        self._options = options
        self._reporter = reporter
        self._known = known
        self._spool_parent = spool_parent
        self._stop = threading.Event()
        self._wanted = self._compression()
        self.target = self._target_type()
        self.forms: dict[str, _Form] = {}       # by digest in the source

    def layers(self) -> list[LayerBlob]:
        """Write every layer; returns them as they are now."""
        first = {layer.digest: index for index, layer in reversed(list(enumerate(self._source.layers)))}
        spool = Spool(self._spool_parent)
        try:
            with ThreadPoolExecutor(max(self._options.workers, 1), "wherry-layer") as pool:
                jobs = {
                    layer.digest: pool.submit(self._layer, index, layer, spool)
                    for index, layer in enumerate(self._source.layers) if first[layer.digest] == index
                }
                try:
                    for digest, job in jobs.items():
                        self.forms[digest] = job.result()
                except BaseException:
                    self._stop.set()
                    for job in jobs.values():
                        job.cancel()
                    raise
        finally:
            spool.close()
        return [self._described(layer) for layer in self._source.layers]

    def _described(self, layer: LayerBlob) -> LayerBlob:
        form = self.forms[layer.digest]
        changed = form.digest != layer.digest
        return layer.replace(
            digest=form.digest, size=form.size, urls=() if changed else layer.urls,
            media_type=layer_type(mediatypes.OCI_MANIFEST, form.compression) if changed else layer.media_type,
        )

    def _compression(self) -> str | None:
        """What plain layers are to become; None: left as they are."""
        if self._options.compression:
            return self._options.compression
        return self._destination.compression

    def _target_type(self) -> str:
        types = self._destination.types
        own = self._source.manifest_media_type
        if self._options.format:
            if self._wanted == ZSTD and self._options.format == mediatypes.DOCKER_MANIFEST:
                raise InvalidArgument("zstd compression is not possible with manifest format v2s2, use oci")
            if types and self._options.format not in types:
                raise InvalidArgument(f"{self._destination.reference}: manifest type {self._options.format} is not "
                                      "supported there")
            return self._options.format
        if self._wanted == ZSTD and own == mediatypes.DOCKER_MANIFEST:
            own = mediatypes.OCI_MANIFEST
        return own if not types or own in types else types[0]

    def _layer(self, index: int, layer: LayerBlob, spool: Spool) -> _Form:
        if self._stop.is_set():
            raise Cancelled("copy cancelled")
        plain = layer.digest == layer.diff_id
        now = NONE if plain else type_compression(layer.media_type)
        wanted = self._wanted
        if wanted is None or (now != NONE and wanted != NONE and not self._options.force_compression):
            return self._as_it_is(index, layer, now)
        if now == wanted:
            return self._as_it_is(index, layer, now)
        found = self._find_known(layer, wanted)
        if found is not None:
            self._skip(found.digest, found.size)
            return _Form(digest=found.digest, size=found.size, compression=found.compression)
        return self._recompressed(index, layer, wanted, spool)

    def _find_known(self, layer: LayerBlob, wanted: str) -> KnownBlob | None:
        if self._known is None or wanted == NONE:
            return None
        # A layer may keep the compression it came with, where the manifest can say so.
        loose = not self._options.force_compression and not self._options.compression
        loose = loose and self.target == mediatypes.OCI_MANIFEST
        forms = [
            form for form in self._known(layer)
            if form.compression == wanted or (loose and form.compression == ZSTD and not form.repository)
        ]
        return self._destination.find_known(forms)

    def _skip(self, digest: str, size: int) -> None:
        self._reporter.start(digest, "Copying blob", size)
        self._reporter.finish(digest, "skipped: already exists")

    def _as_it_is(self, index: int, layer: LayerBlob, now: str) -> _Form:
        form = _Form(digest=layer.digest, size=layer.size, compression=now)
        if layer.size >= 0 and self._destination.find_blob(layer.digest, layer.size):
            self._skip(layer.digest, layer.size)
            return form
        self._reporter.start(layer.digest, "Copying blob", layer.size)
        stream = OpenedAhead(lambda: self._source.open_layer(index))
        try:
            self._destination.put_stream(
                _Stoppable(Verified(stream, layer.digest, layer.size), self._stop), layer.digest, layer.size,
                lambda done: self._reporter.update(layer.digest, done),
            )
        finally:
            stream.close()
        self._reporter.finish(layer.digest, "done")
        return form

    def _recompressed(self, index: int, layer: LayerBlob, wanted: str, spool: Spool) -> _Form:
        if self._options.keep_manifest:
            raise _manifest_is_signed()
        self._reporter.start(layer.digest, "Copying blob", layer.size)
        stream = OpenedAhead(lambda: self._source.open_layer(index))
        try:
            verified = Verified(stream, layer.digest, layer.size)
            plain, _ = compression.reader(_Stoppable(verified, self._stop))
            blob = self._spooled(plain, wanted, spool)
        finally:
            stream.close()
        try:
            self._destination.put_file(blob, lambda done: None)
        finally:
            os.ftruncate(blob.fd, 0)
        self._reporter.finish(layer.digest, "done")
        return _Form(digest=blob.digest, size=blob.size, compression=wanted)

    def _spooled(self, plain: Readable, wanted: str, spool: Spool) -> SpooledBlob:
        sink = _Sink(spool.create())
        writer = compression.writer(sink, wanted, self._options.level)
        while data := plain.read(_PIECE):
            writer.write(data)
        writer.close()
        return SpooledBlob(fd=sink.fd, digest=f"sha256:{sink.hash.hexdigest()}", size=sink.size)


class _Sink:
    """A file that counts and hashes what is written to it."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.size = 0
        self.hash = hashlib.sha256()

    def write(self, data: bytes) -> None:
        write_all(self.fd, data, self.size)
        self.size += len(data)
        self.hash.update(data)


class _Stoppable(Stream):
    """Passes a stream on until *stop* is set."""

    def __init__(self, raw: Readable, stop: threading.Event) -> None:
        super().__init__()
        self._raw = raw
        self._stop = stop

    def next(self, size: int) -> bytes:
        if self._stop.is_set():
            raise Cancelled("copy cancelled")
        return self._raw.read(size)


def _documents(
    source: ImageSource, media_type: str, layers: Sequence[LayerBlob], forms: dict[str, _Form]
) -> tuple[bytes, bytes]:
    """Config and manifest in the type *media_type*; the source's own bytes where they are still true."""
    parsed = manifests.parse_image(source.manifest, source.manifest_media_type)
    config = source.config
    if media_type == source.manifest_media_type:
        if [layer.digest for layer in parsed.layers] == [layer.digest for layer in layers]:
            return config, source.manifest
    elif media_type == mediatypes.OCI_MANIFEST:
        config = conversion.oci_config(config)
    described = [
        layer if layer.urls else layer.replace(media_type=layer_type(media_type, forms[origin.digest].compression))
        for layer, origin in zip(layers, source.layers, strict=True)
    ]
    annotations = dict(parsed.annotations) if media_type == mediatypes.OCI_MANIFEST else None
    return config, conversion.manifest(media_type, config, described, annotations)
