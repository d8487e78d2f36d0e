"""manifest push: a list and the images in it."""

from __future__ import annotations

from wherry.engine import image_push
from wherry.engine.image_signing import put, signers
from wherry.engine.image_source import StoredImage
from wherry.engine.manifest_artifacts import artifacts_of
from wherry.engine.manifest_lists import Access, find, open_source
from wherry.errors import InvalidArgument
from wherry.model.record import Record
from wherry.registry import conversion, manifests, mediatypes
from wherry.registry.copy import Copied, copy_image
from wherry.registry.destination import type_compression
from wherry.registry.platform import ZSTD_ANNOTATION
from wherry.registry.spool import spool_directory
from wherry.registry.verify import digest_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from wherry.engine.manifest_lists import ListImage
    from wherry.engine.runtime import Runtime
    from wherry.registry.destination import ImageDestination
    from wherry.registry.progress import Reporter
    from wherry.registry.source import ImageSource


class ListPushOptions(Record):
    """How to push a list; *all*: its images as well."""

    push: image_push.PushOptions = image_push.PushOptions()
    all: bool = True
    remove: bool = False                        # the list from the store afterwards
    add_compression: Sequence[str] = ()         # images are pushed in these forms besides


def push_list(runtime: Runtime, text: str, target: str, options: ListPushOptions, reporter: Reporter) -> Copied:
    """Push the manifest list *text* to *target* (empty: its own name); returns the list as written."""
    found = find(runtime, text)
    location = image_push.parse_target(target or found.record.names[0])
    if location.transport not in ("docker", "oci", "oci-archive", "dir"):
        raise InvalidArgument(f"{location}: manifest lists cannot be stored there")
    for name in options.add_compression:
        if name not in ("gzip", "zstd"):
            raise InvalidArgument(f'"{name}" is not a known compression: want gzip or zstd')
    reporter.message("Getting image list signatures")
    signing = signers(options.push.signing, location)
    with image_push.open_target(runtime, location, options.push) as destination:
        entries = list(found.entries)
        if options.all:
            copier = _ListCopier(runtime, found, destination, options, reporter)
            entries = copier.copy(lambda copied, kept: put(
                destination, location, copied, kept, signing, reporter, instance=True
            ))
        reporter.message("Writing manifest list to image destination")
        written = _write(destination, found.document, entries, options.push.format)
        put(destination, location, written, (), signing, reporter)
        destination.commit()
    if options.remove:
        runtime.images.remove(found.record.id, force=True)
    return written


class _ListCopier:
    """Copies what a list lists, and tells which entries the copy of the list has."""

    def __init__(
        self, runtime: Runtime, found: ListImage, destination: ImageDestination, options: ListPushOptions,
        reporter: Reporter,
    ) -> None:
        self._runtime = runtime
        self._found = found
        self._destination = destination
        self._options = options
        self._reporter = reporter
        self._artifacts = artifacts_of(found)

    def copy(self, put_signatures: Callable[[Copied, Sequence[bytes]], None]) -> list[dict[str, Any]]:
        """The entries: those of the list, then the further compressed forms of images."""
        count = len(self._found.entries)
        self._reporter.message(f"Copying {count} of {count} images in list")
        entries: list[dict[str, Any]] = []
        more: list[dict[str, Any]] = []
        for number, entry in enumerate(self._found.entries, 1):
            self._reporter.message(f"Copying image {entry['digest']} ({number}/{count})")
            if entry["digest"] in self._artifacts.manifests:
                put_signatures(self._artifacts.push(entry["digest"], self._destination), ())
                entries.append(entry)
                continue
            with self._open(entry["digest"]) as source:
                copied = self._copied(source, self._options.push)
                put_signatures(copied, source.signatures)
                entries.append(_entry(entry, copied))
                for name in self._options.add_compression:
                    if name not in _forms(copied):
                        form = self._options.push.replace(compression_format=name, force_compression=True)
                        copied_again = self._copied(source, form.replace(remove_signatures=True))
                        put_signatures(copied_again, ())
                        more.append(_entry(entry, copied_again))
        # Entries of zstd images come last: who does not know the annotation takes the first that fits.
        return entries + more

    def _open(self, digest: str) -> ImageSource:
        push = self._options.push
        access = Access(
            authfile=push.authfile, credentials=push.credentials, cert_dir=push.cert_dir, tls_verify=push.tls_verify
        )
        return open_source(self._runtime, digest, self._found.instances.get(digest, ""), access)

    def _copied(self, source: ImageSource, push: image_push.PushOptions) -> Copied:
        how = image_push.copy_options(self._runtime, push).replace(instance=True)
        if isinstance(source, StoredImage):
            return image_push.copy(self._runtime, source, self._destination, how, push, self._reporter)
        return copy_image(
            source, self._destination, how, spool_parent=spool_directory(self._runtime.settings),
            reporter=self._reporter,
        )


def _forms(copied: Copied) -> set[str]:
    """How the layers were written."""
    written = manifests.parse_image(copied.manifest, copied.media_type)
    return {type_compression(layer.media_type) for layer in written.layers}


def _entry(entry: dict[str, Any], copied: Copied) -> dict[str, Any]:
    """The list's entry for an image as it was written (containers/image marks those of zstd layers)."""
    found = {**entry, "mediaType": copied.media_type, "digest": copied.digest, "size": len(copied.manifest)}
    if copied.media_type == mediatypes.OCI_MANIFEST and _forms(copied) == {"zstd"}:
        found["annotations"] = {**found.get("annotations", {}), ZSTD_ANNOTATION: "true"}
    return found


def _write(
    destination: ImageDestination, document: dict[str, Any], entries: list[dict[str, Any]], format: str
) -> Copied:
    kind = mediatypes.DOCKER_LIST if format and conversion.type_of(format) == mediatypes.DOCKER_MANIFEST else (
        mediatypes.OCI_INDEX
    )
    listing: dict[str, Any] = {"schemaVersion": 2, "mediaType": kind, "manifests": entries}
    if kind == mediatypes.OCI_INDEX:
        listing |= {key: document[key] for key in ("artifactType", "subject", "annotations") if document.get(key)}
    data = conversion.go_json(listing)
    destination.put_manifest(data, kind)
    return Copied(manifest=data, media_type=kind, digest=digest_of(data))
