"""pull and load: from an image source to the store."""

from __future__ import annotations

from wherry.engine import image_lookup
from wherry.engine.notify import MoreTime
from wherry.engine.undo import Undo
from wherry.errors import Corrupt, InUse, InvalidArgument, NoSpace, NoSuchImage, WherryError
from wherry.model import reference as references
from wherry.model.event import Event
from wherry.model.record import Record
from wherry.model.timestamps import now_ns
from wherry.sys import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wherry.archive.compression import Readable
    from wherry.config.registries import Registries
    from wherry.engine.runtime import Runtime
    from wherry.model.reference import Reference
    from wherry.registry.platform import Platform
    from wherry.registry.progress import Reporter
    from wherry.registry.source import ImageSource
    from wherry.storage.records import ImageRecord, LayerRecord
    from wherry.storage.store import Store

POLICIES = {
    "always": "always",
    "missing": "missing",
    "ifmissing": "missing",
    "ifnotpresent": "missing",
    "newer": "newer",
    "ifnewer": "newer",
    "never": "never",
}


class PullOptions(Record):
    """How to pull. ``None`` for *tls_verify* follows registries.conf."""

    policy: str = "always"
    os: str = ""
    architecture: str = ""
    variant: str = ""
    authfile: str = ""
    credentials: str = ""          # user[:password]
    cert_dir: str = ""
    tls_verify: bool | None = None
    retry: int | None = None
    retry_delay: float | None = None    # seconds
    signature_policy: str = ""          # a file used instead of the host's policy.json
    # Asked which of several candidates a short name means; without it, what registries.conf says of that decides.
    choose: Callable[[Sequence[Reference]], Reference] | None = None


def check_policy(text: str) -> str:
    """The canonical pull policy of *text*; raises ``InvalidArgument`` in Podman's words."""
    try:
        return POLICIES[text.lower()]
    except KeyError:
        raise InvalidArgument(f'unsupported pull policy "{text}"') from None


def pull(runtime: Runtime, text: str, options: PullOptions, reporter: Reporter) -> ImageRecord:
    """Make sure what *text* names is in the store: a reference, as the policy wants it, or ``transport:...``.

    Raises in Podman's words.
    """
    policy = check_policy(options.policy)
    if text.startswith(image_lookup.LOCATIONS[1:]):
        from wherry.engine import image_locations

        return image_locations.pull(runtime, text, options, reporter)
    local = _local(runtime, text, options)
    if policy == "never":
        if local is None:
            raise NoSuchImage(text)
        return local
    if policy == "missing" and local is not None:
        return local
    try:
        with MoreTime(runtime):
            return _pull_candidates(runtime, text, options, reporter, local if policy == "newer" else None)
    except WherryError:
        if policy == "newer" and local is not None:
            return local
        raise


def _local(runtime: Runtime, text: str, options: PullOptions) -> ImageRecord | None:
    if text.startswith("docker://"):
        text = text.removeprefix("docker://")
    try:
        record = image_lookup.find(runtime.store, text)[0]
    except NoSuchImage:
        return None
    return record if _suits(runtime, record, options) else None


def _suits(runtime: Runtime, record: ImageRecord, options: PullOptions) -> bool:
    """Is a stored image for the platform that was asked for, if one was?"""
    if not (options.os or options.architecture or options.variant) or not record.layer:
        return True
    config = runtime.store.image_config(record.id)
    wanted = platform_of(options)
    found = wanted.override(config.get("os") or "", config.get("architecture") or "", config.get("variant") or "")
    return (found.os, found.architecture) == (wanted.os, wanted.architecture) and (
        not options.variant or found.variant in ("", wanted.variant)
    )


def _remember(short: str, meant: Reference) -> None:
    """The next pull of the short name does not ask. That this cannot be noted does not make the pull fail."""
    from wherry.config.short_names import remember
    from wherry.sys import log

    try:
        remember(short, meant.repository)
    except WherryError as error:
        log.warning(str(error))


def _pull_candidates(
    runtime: Runtime, text: str, options: PullOptions, reporter: Reporter, newer_than: ImageRecord | None
) -> ImageRecord:
    from wherry.config.registries import load as load_registries

    registries = load_registries(runtime.settings)
    name = text.removeprefix("docker://")
    if text.startswith("docker://"):
        name = str(references.normalize(name))      # said in full: no short name
    resolution = registries.resolve_short_name(name, may_ask=options.choose is not None)
    if resolution.description:
        reporter.message(resolution.description)
    candidates = list(resolution.candidates)
    chosen = resolution.ambiguous and options.choose is not None
    if chosen and options.choose is not None:
        candidates = [options.choose(candidates)]
    errors: list[WherryError] = []
    for candidate in candidates:
        reporter.message(f"Trying to pull {candidate}...")
        try:
            try:
                pulled = _pull_one(runtime, registries, candidate, options, reporter, newer_than)
            except _KeptBlobWasBad:
                pulled = _pull_one(runtime, registries, candidate, options, reporter, newer_than)
            if chosen:
                _remember(references.parse(name).path, candidate)
            return pulled
        except WherryError as error:
            runtime.state.add_events(image_event("pull-error", "", str(candidate), error=str(error)))
            runtime.publish()
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    lines = "".join(f"\n * {error}" for error in errors)
    raise WherryError(f"{len(errors)} errors occurred while pulling:{lines}", kind=errors[-1].kind)


class _KeptBlobWasBad(Corrupt):
    """What an earlier pull left may be to blame; it is gone now."""


def _pull_one(
    runtime: Runtime,
    registries: Registries,
    candidate: Reference,
    options: PullOptions,
    reporter: Reporter,
    newer_than: ImageRecord | None,
) -> ImageRecord:
    from wherry.engine.image_trust import check_pull
    from wherry.registry.pull import open_image

    wanted = candidate.with_default_tag()
    source = open_image(
        runtime.settings,
        registries,
        wanted,
        platform=platform_of(options),
        credentials=options.credentials,
        authfile=options.authfile,
        tls_verify=options.tls_verify,
        cert_dir=options.cert_dir,
        reporter=reporter,
        retry=options.retry,
        retry_delay=options.retry_delay,
        is_layer_present=_presence(runtime),
        blob_dir=runtime.settings.state_dir + "/blobs",
    )
    try:
        if newer_than is not None and source.manifest_digest in newer_than.digests():
            return newer_than
        name = str(wanted.without_tag_if_digested())
        signatures = check_pull(runtime, source, wanted.without_tag_if_digested(), policy=options.signature_policy)
        image = store_image(runtime.store, source, [name], reporter, signatures)
    except Corrupt as error:
        if source.discard_suspect():
            raise _KeptBlobWasBad(error.message) from error
        raise
    except NoSpace:
        source.finished()       # blobs kept for the next attempt would keep the disk full
        raise
    finally:
        source.close()
    runtime.state.add_events(image_event("pull", image.id, text_name(wanted)))
    runtime.publish()
    return image


def text_name(reference: Reference) -> str:
    """How an event names a pulled image."""
    return str(reference)


def platform_of(options: PullOptions) -> Platform:
    from wherry.registry.platform import host_platform

    return host_platform().override(options.os, options.architecture, options.variant)


def _presence(runtime: Runtime) -> Callable[[int, Sequence[str]], bool]:
    """A predicate for the source: is layer *index* of the chain *diff_ids* in the store already?"""

    def present(index: int, diff_ids: Sequence[str]) -> bool:
        parent = ""
        for diff_id in diff_ids[: index + 1]:
            if not diff_id:
                return False
            layer = runtime.store.find_layer(parent, diff_id)
            if layer is None:
                return False
            parent = layer.id
        return not runtime.store.is_layer_damaged(parent)

    return present


def store_image(
    store: Store, source: ImageSource, names: Sequence[str], reporter: Reporter, signatures: Sequence[bytes] = ()
) -> ImageRecord:
    """Copy every layer and the image record of *source* into the store; nothing stays if any of it fails."""
    reporter.message("Getting image source signatures")
    with Undo() as undo:
        parent = ""
        for index, blob in enumerate(source.layers):
            layer = store.find_layer(parent, blob.diff_id) if blob.diff_id else None
            if layer is None:
                stream = source.open_layer(index)
                layer = store.add_layer(
                    parent,
                    stream,
                    diff_id=blob.diff_id,
                    compressed_digest=blob.digest,
                    compressed_size=blob.size,
                )
                undo.push(f"adding layer {layer.id}", store.delete_layer, layer.id)
            elif store.is_layer_damaged(layer.id):
                _refill(store, layer, source.open_layer(index))
            parent = layer.id
        source.announce_config()
        reporter.message("Writing manifest to image destination")
        image = store.add_image(
            config=source.config,
            manifest=source.manifest,
            manifest_list=source.manifest_list,
            layer=parent,
            names=names,
            signatures=signatures,
        )
        undo.commit()
    source.finished()
    return image


def _refill(store: Store, layer: LayerRecord, stream: Readable) -> None:
    """Mend a damaged layer; one that is in use is left as it is."""
    try:
        store.refill_layer(layer.id, stream)
    except InUse as error:
        log.warning(error.message)


def image_event(what: str, image_id: str, name: str, error: str = "") -> Event:
    return Event(id=image_id, name=name, type="image", status=what, time_ns=now_ns(), error=error)


def load(runtime: Runtime, path: str, reporter: Reporter, *, policy: str = "") -> list[str]:
    """Load every image of the archive or directory at *path*; returns the names (ids of nameless images).

    *policy* is a file used instead of the host's policy.json.
    """
    from wherry.engine.image_locations import names_of
    from wherry.engine.image_trust import check_file
    from wherry.registry.archives import open_archive

    loaded: list[str] = []
    sources = open_archive(path, runtime.settings, reporter=reporter)
    try:
        for source in sources:
            check_file(
                source.reference.partition(":")[0], path, name=source.reference, policy=policy,
                digest=source.manifest_digest, signatures=source.signatures,
            )
            names, shown = names_of(source)
            image = store_image(runtime.store, source, names, reporter, source.signatures)
            runtime.state.add_events(image_event("loadfromarchive", image.id, path))
            loaded.extend(shown or [image.id])
    finally:
        for source in sources:
            source.close()
    runtime.publish()
    return loaded
