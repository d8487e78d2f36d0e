"""save: images to an archive or directory, as ``podman save`` writes them."""

from __future__ import annotations

from wherry.engine import image_files, image_lookup, image_push
from wherry.engine.image import full_name
from wherry.engine.image_source import StoredImage
from wherry.errors import InvalidArgument
from wherry.model.event import Event
from wherry.model.timestamps import now_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from wherry.engine.runtime import Runtime
    from wherry.registry.destination import ImageDestination
    from wherry.registry.progress import Reporter
    from wherry.storage.records import ImageRecord


def save(
    runtime: Runtime,
    texts: Sequence[str],
    path: str,
    *,
    format: str,
    multi: bool,
    compress: bool,
    uncompressed: bool,
    policy: str,
    reporter: Reporter,
) -> None:
    """Write the images *texts* to *path*; without *multi* the texts after the first are further names of the first.

    *policy* is a file used instead of the host's policy.json.

    Raises ``NoSuchImage``, ``InvalidArgument``.
    """
    if format not in image_push.SAVE_FORMATS:
        raise InvalidArgument(f"format value must be one of {' '.join(image_push.SAVE_FORMATS)}")
    if compress and format != "docker-dir":
        raise InvalidArgument("--compress can only be set when --format is 'docker-dir'")
    chosen = _chosen(runtime, texts, multi)
    if len(chosen) > 1 and format != "docker-archive":
        raise InvalidArgument("multi-image archives are only supported in the docker-archive format")
    from wherry.engine.image_trust import check_stored

    for record, _names in chosen:
        check_stored(runtime, record, policy=policy)
    if format == "docker-archive":
        _docker_archive(runtime, chosen, path, reporter)
    else:
        _one(runtime, *chosen[0], path, format, compress, uncompressed, reporter)
    for record, _names in chosen:
        runtime.state.add_events(Event(id=record.id, name=path, type="image", status="save", time_ns=now_ns()))
    runtime.publish()


def _chosen(runtime: Runtime, texts: Sequence[str], multi: bool) -> list[tuple[ImageRecord, list[str]]]:
    """Each image with the names it gets: those it was asked for by."""
    found: dict[str, tuple[ImageRecord, list[str]]] = {}
    for text in texts if multi else texts[:1]:
        record, found_as = image_lookup.find(runtime.store, text)
        names = found.setdefault(record.id, (record, []))[1]
        by_id = record.id.startswith(found_as.removeprefix("sha256:"))
        if not by_id and "@" not in found_as and found_as not in names:
            names.append(found_as)
    chosen = list(found.values())
    if not multi:
        chosen[0][1].extend(full_name(text) for text in texts[1:])
    return chosen


def _docker_archive(
    runtime: Runtime, chosen: Sequence[tuple[ImageRecord, list[str]]], path: str, reporter: Reporter
) -> None:
    from wherry.registry.docker_archive_writer import DockerArchive

    image_files.refuse_existing(path)
    output = image_files.Output(path)
    try:
        archive = DockerArchive(output.fd, path)
        for record, names in chosen:
            _copy(runtime, record, archive.image(names), reporter)
        archive.end()
        output.commit()
    finally:
        output.close()


def _one(
    runtime: Runtime, record: ImageRecord, names: list[str], path: str, format: str, compress: bool,
    uncompressed: bool, reporter: Reporter,
) -> None:
    from wherry.registry.layout_writer import DirDestination

    name = names[0] if names else ""
    destination: ImageDestination
    if format == "docker-dir":
        destination = DirDestination(path, "gzip" if compress else None)
        destination.types = ("application/vnd.docker.distribution.manifest.v2+json",)
    elif format == "oci-dir":
        destination = image_files.oci_directory(path, name)
    else:
        destination = image_files.oci_archive(path, name)
    if uncompressed:
        destination.compression = None
    with destination:
        _copy(runtime, record, destination, reporter)
        destination.commit()


def _copy(runtime: Runtime, record: ImageRecord, destination: ImageDestination, reporter: Reporter) -> None:
    from wherry.registry.copy import CopyOptions

    options = image_push.PushOptions(remove_signatures=True)
    how = image_push.copy_options(runtime, options) if destination.compression == "gzip" else CopyOptions(workers=1)
    with StoredImage(runtime.store, record, reporter) as source:
        image_push.copy(runtime, source, destination, how, options, reporter)
