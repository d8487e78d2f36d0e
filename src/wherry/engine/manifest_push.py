"""manifest push: a list and the images in it."""

from __future__ import annotations

from wherry.engine import image_push
from wherry.engine.image_signing import put, signers
from wherry.engine.image_source import StoredImage
from wherry.engine.manifest_lists import Access, find, open_source
from wherry.errors import InvalidArgument
from wherry.model.record import Record
from wherry.registry import conversion, mediatypes
from wherry.registry.copy import Copied, copy_image
from wherry.registry.spool import spool_directory
from wherry.registry.verify import digest_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.engine.runtime import Runtime
    from wherry.registry.destination import ImageDestination
    from wherry.registry.progress import Reporter


class ListPushOptions(Record):
    """How to push a list; *all*: its images as well."""

    push: image_push.PushOptions = image_push.PushOptions()
    all: bool = True
    remove: bool = False            # the list from the store afterwards


def push_list(runtime: Runtime, text: str, target: str, options: ListPushOptions, reporter: Reporter) -> Copied:
    """Push the manifest list *text* to *target* (empty: its own name); returns the list as written."""
    found = find(runtime, text)
    location = image_push.parse_target(target or found.record.names[0])
    if location.transport not in ("docker", "oci", "oci-archive", "dir"):
        raise InvalidArgument(f"{location}: manifest lists cannot be stored there")
    access = Access(
        authfile=options.push.authfile, credentials=options.push.credentials, cert_dir=options.push.cert_dir,
        tls_verify=options.push.tls_verify,
    )
    reporter.message("Getting image list signatures")
    signing = signers(options.push.signing, location)
    with image_push.open_target(runtime, location, options.push) as destination:
        entries: list[dict[str, Any]] = []
        count = len(found.entries)
        if options.all:
            reporter.message(f"Copying {count} of {count} images in list")
        for number, entry in enumerate(found.entries, 1):
            if not options.all:
                entries.append(entry)
                continue
            reporter.message(f"Copying image {entry['digest']} ({number}/{count})")
            source = found.instances.get(entry["digest"], "")
            copied = _copy_instance(runtime, destination, entry["digest"], source, access, options, reporter)
            put(destination, location, copied, (), signing, reporter, instance=True)
            entries.append({
                **entry, "mediaType": copied.media_type, "digest": copied.digest, "size": len(copied.manifest),
            })
        reporter.message("Writing manifest list to image destination")
        written = _write(destination, found.document, entries, options.push.format)
        put(destination, location, written, (), signing, reporter)
        destination.commit()
    if options.remove:
        runtime.images.remove(found.record.id, force=True)
    return written


def _copy_instance(
    runtime: Runtime, destination: ImageDestination, digest: str, where: str, access: Access,
    options: ListPushOptions, reporter: Reporter,
) -> Copied:
    how = image_push.copy_options(runtime, options.push).replace(instance=True)
    with open_source(runtime, digest, where, access) as source:
        if isinstance(source, StoredImage):
            return image_push.copy(runtime, source, destination, how, options.push, reporter)
        return copy_image(
            source, destination, how, spool_parent=spool_directory(runtime.settings), reporter=reporter
        )


def _write(
    destination: ImageDestination, document: dict[str, Any], entries: list[dict[str, Any]], format: str
) -> Copied:
    kind = mediatypes.DOCKER_LIST if format and conversion.type_of(format) == mediatypes.DOCKER_MANIFEST else (
        mediatypes.OCI_INDEX
    )
    listing: dict[str, Any] = {"schemaVersion": 2, "mediaType": kind, "manifests": entries}
    if document.get("annotations") and kind == mediatypes.OCI_INDEX:
        listing["annotations"] = document["annotations"]
    data = conversion.go_json(listing)
    destination.put_manifest(data, kind)
    return Copied(manifest=data, media_type=kind, digest=digest_of(data))
