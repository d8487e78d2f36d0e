"""pull from, and push to, places that are no registry: files in every layout, and this or another store."""

from __future__ import annotations

from wherry.engine import image_lookup
from wherry.engine.image_pull import image_event, platform_of, store_image
from wherry.engine.image_source import StoredImage
from wherry.errors import InvalidArgument, NoSuchImage
from wherry.model import reference as references
from wherry.registry import transports
from wherry.registry.verify import digest_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.config.settings import StorageSettings
    from wherry.engine.image_pull import PullOptions
    from wherry.engine.runtime import Runtime
    from wherry.registry.copy import Copied
    from wherry.registry.progress import Reporter
    from wherry.registry.source import ImageSource
    from wherry.registry.transports import Location
    from wherry.storage.records import ImageRecord
    from wherry.storage.store import Store


def pull(runtime: Runtime, text: str, options: PullOptions, reporter: Reporter) -> ImageRecord:
    """Store the image at ``transport:...``, called what Podman calls it.

    Raises ``InvalidArgument``, ``NotFound``, ``Corrupt``, and ``Rejected`` when policy.json does not allow it.
    """
    from wherry.engine.image_trust import check_file
    from wherry.registry.archives import open_location

    location = transports.parse(text)
    if location.transport == transports.STORAGE:
        return _pull_from_store(runtime, location, options, reporter)
    with open_location(location, runtime.settings, platform=platform_of(options), reporter=reporter) as source:
        check_file(
            location.transport, location.path, name=source.reference, policy=options.signature_policy,
            digest=source.manifest_digest, signatures=source.signatures,
        )
        image = store_image(runtime.store, source, names_of(source)[0], reporter, source.signatures)
    runtime.state.add_events(image_event("pull", image.id, text))
    runtime.publish()
    return image


def names_of(source: ImageSource) -> tuple[list[str], list[str]]:
    """What an image from a file is called in the store, and what ``load`` says it loaded.

    One of an OCI layout directory is called by the directory's path, unless that is no name.
    """
    transport, _, rest = source.reference.partition(":")
    if transport == transports.OCI:
        shown = "localhost/" + rest.partition(":")[0].lstrip("/")
        try:
            return [str(references.normalize(shown).with_default_tag())], [shown]
        except InvalidArgument:
            pass
    names = [str(references.normalize(name, default_domain="localhost")) for name in source.names]
    return names, names


def push_to_store(runtime: Runtime, record: ImageRecord, location: Location, reporter: Reporter) -> Copied:
    """Copy an image of the store to another (``containers-storage:[driver@root+runroot]name``), or name it anew."""
    from wherry.registry.copy import Copied

    settings, name = parse_store(runtime.settings.storage, location.image)
    target = _open(runtime, settings)
    full = str(references.normalize(name, default_domain="localhost").with_default_tag())
    with StoredImage(runtime.store, record, reporter) as source:
        store_image(target, source, [full], reporter, source.signatures)
        return Copied(
            manifest=source.manifest, media_type=source.manifest_media_type, digest=digest_of(source.manifest),
            layers=source.layers,
        )


def _pull_from_store(
    runtime: Runtime, location: Location, options: PullOptions, reporter: Reporter
) -> ImageRecord:
    from wherry.engine.image_trust import check_stored

    settings, name = parse_store(runtime.settings.storage, location.image)
    store = _open(runtime, settings)
    try:
        record = image_lookup.find(store, name.removeprefix("@"))[0]
    except NoSuchImage:
        where = f"containers-storage:[{settings.driver}@{settings.graph_root}+{settings.run_root}]{name}"
        raise NoSuchImage(
            f'initializing source {where}: reference "{where.partition(":")[2]}" does not resolve to an image ID'
        ) from None
    if store is runtime.store:
        return record
    check_stored(runtime, record, policy=options.signature_policy, store=store, storage=settings)
    with StoredImage(store, record, reporter) as source:
        image = store_image(runtime.store, source, record.names, reporter, source.signatures)
    runtime.state.add_events(image_event("pull", image.id, str(location)))
    runtime.publish()
    return image


def parse_store(own: StorageSettings, text: str) -> tuple[StorageSettings, str]:
    """The store and the image in ``[[driver@]root[+runroot][:options]]image`` (containers-transports(5)).

    Without brackets it is our own store.  Options are those of storage.conf; other than the store's own are refused.
    """
    if not text.startswith("["):
        return own, text
    where, closing, name = text[1:].partition("]")
    driver, at, paths = where.partition("@")
    if not at:
        driver, paths = own.driver, where
    paths, _, options = paths.partition(":")
    root, _, run_root = paths.partition("+")
    if not closing or not name or not root.startswith("/") or (run_root and not run_root.startswith("/")):
        raise InvalidArgument(
            f'Invalid image name "containers-storage:{text}": want [driver@/root+/runroot]image, with absolute paths'
        )
    if options:
        raise InvalidArgument(f'containers-storage:{text}: driver options "{options}" cannot be given here')
    return own.replace(driver=driver, graph_root=root, run_root=run_root or own.run_root, image_store="",
                       additional_image_stores=[]), name


def _open(runtime: Runtime, settings: StorageSettings) -> Store:
    own = runtime.settings.storage
    if (settings.driver, settings.graph_root) == (own.driver, own.graph_root):
        return runtime.store
    from wherry.storage.store import Store

    return Store(settings)
