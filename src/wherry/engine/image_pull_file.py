"""pull from files and from the store itself: ``oci:``, ``oci-archive:``, ``docker-archive:``, ``dir:``, ..."""

from __future__ import annotations

from wherry.engine import image_lookup
from wherry.errors import NoSuchImage
from wherry.model.event import Event
from wherry.model.timestamps import now_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from wherry.engine.image_pull import PullOptions
    from wherry.engine.runtime import Runtime
    from wherry.registry.platform import Platform
    from wherry.registry.progress import Reporter
    from wherry.registry.source import ImageSource
    from wherry.registry.transports import Location
    from wherry.storage.records import ImageRecord


def pull_location(
    runtime: Runtime, text: str, options: PullOptions, wanted: Platform, reporter: Reporter
) -> ImageRecord:
    """Copy the image at the location *text* to the store, whatever the pull policy; a stored one is only looked up.

    Raises ``InvalidArgument``, ``NotFound``, ``Rejected``.
    """
    from wherry.engine.image_pull import store_image
    from wherry.engine.image_trust import check_file
    from wherry.registry import transports
    from wherry.registry.archives import open_location

    location = transports.parse(text)
    if location.transport == transports.STORAGE:
        return _stored(runtime, location)
    with open_location(location, runtime.settings, platform=wanted, reporter=reporter) as source:
        check_file(
            location.transport, location.path, name=str(location), policy=options.signature_policy,
            digest=source.manifest_digest, signatures=source.signatures,
        )
        image = store_image(runtime, source, _names(location, source), reporter, source.signatures)
    runtime.state.add_events(Event(id=image.id, name=text, type="image", status="pull", time_ns=now_ns()))
    runtime.publish()
    return image


def _stored(runtime: Runtime, location: Location) -> ImageRecord:
    try:
        return image_lookup.find(runtime.store, location.image)[0]
    except NoSuchImage:
        storage = runtime.settings.storage
        where = f"[{storage.driver}@{storage.graph_root}+{storage.run_root}]{location.image}"
        raise NoSuchImage(
            f'initializing source containers-storage:{where}: reference "{where}" does not resolve to an image ID: '
            "identifier is not an image"
        ) from None


def _names(location: Location, source: ImageSource) -> Sequence[str]:
    """What the image is called: archives say so themselves, an OCI layout gives its path, ``dir:`` no name at all."""
    from wherry.registry import transports
    from wherry.registry.names import valid_local_names

    if location.transport == transports.OCI:
        return valid_local_names(["localhost/" + location.path.strip("/")])
    return source.names
