"""push and save: from the store to registries, archives and directories."""

from __future__ import annotations

import os

from wherry.engine import image_lookup
from wherry.engine.image_signing import SigningOptions, put, signers
from wherry.engine.image_source import StoredImage, is_list
from wherry.errors import InvalidArgument, Unsupported, from_os_error
from wherry.model.event import Event
from wherry.model.record import Record
from wherry.model.timestamps import now_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wherry.engine.runtime import Runtime
    from wherry.registry.copy import Copied, CopyOptions
    from wherry.registry.destination import ImageDestination, KnownBlob
    from wherry.registry.progress import Reporter
    from wherry.registry.registry_destination import RegistryDestination
    from wherry.registry.source import LayerBlob
    from wherry.registry.transports import Location
    from wherry.storage.records import ImageRecord

#: ``save --format``.
SAVE_FORMATS = ("oci-dir", "oci-archive", "docker-dir", "docker-archive")
_NUMBERS = {0: "none", 1: "bzip2", 2: "gzip", 3: "xz", 4: "zstd"}


class PushOptions(Record):
    """How to push. ``None`` for *tls_verify* follows registries.conf."""

    format: str = ""                # oci or v2s2; empty: as the image is
    compression_format: str = ""    # gzip, zstd or zstd:chunked; empty: containers.conf
    compression_level: int = -1
    force_compression: bool = False
    compress: bool = False          # dir: only
    authfile: str = ""
    credentials: str = ""           # user[:password]
    cert_dir: str = ""
    tls_verify: bool | None = None
    retry: int | None = None
    retry_delay: float | None = None    # seconds
    remove_signatures: bool = False
    signing: SigningOptions = SigningOptions()


def push(runtime: Runtime, text: str, target: str, options: PushOptions, reporter: Reporter) -> Copied:
    """Push the image *text* to *target* (``[transport:]destination``, empty: its own name); returns what was written.

    Raises ``NoSuchImage``, ``RegistryError`` and its kin in Podman's words.
    """
    record, found_as = image_lookup.find(runtime.store, text)
    if is_list(runtime.store, record):
        from wherry.engine.manifest_push import ListPushOptions, push_list

        return push_list(runtime, text, target, ListPushOptions(push=options), reporter)
    from wherry.registry import transports

    location = parse_target(target or found_as)
    if location.transport == transports.STORAGE:
        from wherry.engine.image_locations import push_to_store

        copied = push_to_store(runtime, record, location, reporter)
        return _pushed(runtime, record, location, copied)
    signing = signers(options.signing, location)
    reporter.message("Getting image source signatures")
    with open_target(runtime, location, options) as destination:
        with StoredImage(runtime.store, record, reporter) as source:
            copied = copy(runtime, source, destination, copy_options(runtime, options), options, reporter)
            put(destination, location, copied, source.signatures, signing, reporter)
        destination.commit()
    return _pushed(runtime, record, location, copied)


def _pushed(runtime: Runtime, record: ImageRecord, location: Location, copied: Copied) -> Copied:
    runtime.state.add_events(
        Event(id=record.id, name=str(location), type="image", status="push", time_ns=now_ns())
    )
    runtime.publish()
    return copied


def copy(
    runtime: Runtime, source: StoredImage, destination: ImageDestination, how: CopyOptions, options: PushOptions,
    reporter: Reporter,
) -> Copied:
    """Copy one stored image; compressed forms of its layers that are known are used, new ones remembered."""
    from wherry.registry.blobcache import BlobCache
    from wherry.registry.copy import copy_image
    from wherry.registry.spool import spool_directory

    if options.remove_signatures:
        source.signatures = []
    if source.signatures:
        how = how.replace(keep_manifest=True)
    cache = BlobCache(cache_path(runtime))
    copied = copy_image(
        source, destination, how, spool_parent=spool_directory(runtime.settings), reporter=reporter,
        known=_known_forms(source, cache, destination.domain),
    )
    if destination.domain:
        remember(cache, destination.domain, destination.repository, copied.layers)
    return copied


def cache_path(runtime: Runtime) -> str:
    """Where the knowledge of compressed blobs is kept."""
    return runtime.settings.state_dir + "/cache/blobs.db"


def remember(cache: object, registry: str, repository: str, layers: Sequence[LayerBlob]) -> None:
    """Note that these blobs are in that repository."""
    from wherry.registry.blobcache import BlobCache
    from wherry.registry.destination import KnownBlob, type_compression

    assert isinstance(cache, BlobCache)
    cache.note([
        (layer.diff_id, KnownBlob(
            digest=layer.digest, size=layer.size, compression=type_compression(layer.media_type) or "gzip",
            registry=registry, repository=repository,
        ))
        for layer in layers if layer.diff_id and layer.diff_id != layer.digest
    ])


def _known_forms(
    source: StoredImage, cache: object, registry: str
) -> Callable[[LayerBlob], Sequence[KnownBlob]]:
    from wherry.registry.blobcache import BlobCache
    from wherry.registry.destination import KnownBlob

    assert isinstance(cache, BlobCache)
    records = {record.diff_digest: record for record in source.records}

    def known(layer: LayerBlob) -> list[KnownBlob]:
        found = []
        record = records.get(layer.digest)
        if record is not None and record.compressed_digest and record.compressed_digest != record.diff_digest:
            found.append(KnownBlob(
                digest=record.compressed_digest, size=record.compressed_size or -1,
                compression=_NUMBERS.get(record.compression, "gzip"),
            ))
        return found + cache.forms(layer.digest, registry)

    return known


def copy_options(runtime: Runtime, options: PushOptions) -> CopyOptions:
    """The copy engine's options; raises ``InvalidArgument``."""
    from wherry.registry.conversion import type_of
    from wherry.registry.copy import CopyOptions

    engine = runtime.settings.engine
    compression = options.compression_format
    if compression == "zstd:chunked" or (not compression and engine.compression_format == "zstd:chunked"):
        compression = "zstd"
    if not compression and engine.compression_format != "gzip":
        compression = engine.compression_format
    if compression not in ("", "gzip", "zstd"):
        raise InvalidArgument(
            f'cannot find compressor for "{compression}"', hint="wherry has gzip, zstd and zstd:chunked"
        )
    level = options.compression_level
    if level < 0 and engine.compression_level is not None:
        level = engine.compression_level
    return CopyOptions(
        format=type_of(options.format) if options.format else "",
        compression=compression,
        level=level,
        force_compression=options.force_compression,
        workers=min(engine.image_parallel_copies or (os.cpu_count() or 2), 6),
    )


def parse_target(text: str) -> Location:
    """Where to push: without a transport, a registry. Raises ``InvalidArgument``."""
    from wherry.model import reference
    from wherry.registry import transports

    if transports.transport_of(text):
        return transports.parse(text)
    return transports.Location(
        transport=transports.DOCKER, reference=reference.normalize(text).with_default_tag()
    )


def open_registry(runtime: Runtime, location: Location, options: PushOptions) -> RegistryDestination:
    """The registry a ``docker://`` location is in."""
    from wherry.config.registries import load as load_registries
    from wherry.registry.registry_destination import open_destination

    assert location.reference is not None
    return open_destination(
        runtime.settings, load_registries(runtime.settings), location.reference,
        credentials=options.credentials, authfile=options.authfile, tls_verify=options.tls_verify,
        cert_dir=options.cert_dir, retry=options.retry, retry_delay=options.retry_delay,
    )


def open_target(runtime: Runtime, location: Location, options: PushOptions) -> ImageDestination:
    """The destination *location* names; raises ``InvalidArgument``, ``Unsupported``, ``RegistryError``."""
    from wherry.engine import image_files
    from wherry.registry import transports
    from wherry.registry.layout_writer import DirDestination

    if options.compress and location.transport != transports.DIRECTORY:
        raise InvalidArgument("--compress can be set only when destination is dir: transport")
    if location.transport == transports.DOCKER:
        return open_registry(runtime, location, options)
    if not location.path:
        raise InvalidArgument(f"initializing destination {location}: the path is empty")
    if location.transport == transports.DIRECTORY:
        return DirDestination(location.path, "gzip" if options.compress else None)
    if location.transport == transports.DOCKER_ARCHIVE:
        names = [str(location.reference)] if location.reference else []
        return image_files.docker_archive(location.path, names)
    if location.transport == transports.OCI:
        return image_files.oci_directory(location.path, location.image)
    if location.transport == transports.OCI_ARCHIVE:
        return image_files.oci_archive(location.path, location.image)
    raise Unsupported(f"pushing to {location}: transport {location.transport} is not supported")


def write_digest(path: str, digest: str) -> None:
    """``--digestfile``."""
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(digest)
    except OSError as error:
        raise from_os_error(error, "writing digest file") from None
