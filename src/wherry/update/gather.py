"""Gathering facts: containers from the engine, digests from registries and store, units from systemd."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from wherry.config.registries import load as load_registries
from wherry.engine import image_lookup
from wherry.errors import InvalidArgument, NoSuchContainer, WherryError
from wherry.model import jsontext
from wherry.model import reference as references
from wherry.model.record import EMPTY, Record
from wherry.model.timespec import parse_duration
from wherry.model.update import AUTHFILE_LABEL, POLICY_LABEL, UNIT_LABEL
from wherry.registry import platform
from wherry.registry.digests import CONNECTIONS, DigestReader
from wherry.registry.verify import digest_of
from wherry.spec.parse_values import quote
from wherry.update import plan as planner
from wherry.update import units
from wherry.update.facts import ContainerFacts, Facts, ImageFacts, Lookup

if TYPE_CHECKING:
    from wherry.engine.listing import Summary
    from wherry.engine.runtime import Runtime
    from wherry.model.container import ContainerConfig
    from wherry.storage.records import ImageRecord
    from wherry.update.units import UnitManager

#: Longest time a health check is given to make up its mind, ns.
LONGEST_HEALTH_TIME = 600 * 10**9
_SECOND = 10**9


class Wanted(Record):
    """What a run is to look at, and how."""

    names: Sequence[str] = ()           # containers, pods, units; empty: all
    exclude: Sequence[str] = ()         # the same, left out
    filters: Mapping[str, Sequence[str]] = EMPTY        # as for ps
    authfile: str = ""
    tls_verify: bool | None = None
    retry_bad: bool = False
    window: int = -1                    # ns, -1: by label, setting or health check


def gather(runtime: Runtime, wanted: Wanted, manager: UnitManager | None) -> Facts:
    """The facts of a run. Only one that names what does not exist fails; all else is in the facts."""
    problems: list[str] = []
    containers = _containers(runtime, wanted, problems, with_units=manager is not None)
    images = _images(runtime, containers, wanted)
    settings = runtime.settings.auto_update
    found = {}
    if manager is not None:
        try:
            found = units.facts_of(manager, [container.unit for container in containers if container.unit])
        except WherryError as error:
            problems.append(f"asking systemd for the order of units: {error}")
    return Facts(
        containers=_sized(runtime, containers, images),
        images=images,
        units=found,
        bad=runtime.state.bad_digests(),
        retry_bad=wanted.retry_bad,
        window=wanted.window,
        default_window=parse_duration(settings.window) if settings.window else -1,
        allowed_restarts=settings.allowed_restarts,
        problems=problems,
    )


# -- containers ------------------------------------------------------------------------------------------------------


def _containers(
    runtime: Runtime, wanted: Wanted, problems: list[str], *, with_units: bool
) -> list[ContainerFacts]:
    from wherry.engine.listing import listing

    running = [
        summary for summary in listing(runtime, filters={**wanted.filters, "status": ["running"]})
        if not summary.is_infra
    ]
    pod_units = _pod_units(runtime) if with_units else {}
    chosen = _chosen(runtime, running, wanted, pod_units)
    store_images = {image.id: image for image in runtime.store.images()}
    found = []
    for summary in chosen:
        if POLICY_LABEL not in summary.labels:
            continue
        try:
            config = runtime.state.container_config(summary.id)
        except NoSuchContainer:
            continue        # removed meanwhile
        image = store_images.get(summary.image_id)
        if image is None and _is_updated(summary):
            problems.append(f"container image ID {quote(summary.image_id)} not found in local storage")
            continue
        unit = pod_units.get(summary.pod) or config.labels.get(UNIT_LABEL, "") if with_units else ""
        found.append(_facts(runtime, config, summary, image, wanted, unit))
    return found


def _is_updated(summary: Summary) -> bool:
    try:
        return planner.policy_of(summary.labels[POLICY_LABEL]) != planner.DISABLED
    except InvalidArgument:
        return False


def _facts(
    runtime: Runtime, config: ContainerConfig, summary: Summary, image: ImageRecord | None, wanted: Wanted, unit: str
) -> ContainerFacts:
    document = runtime.store.image_config(image.id) if image is not None else {}
    return ContainerFacts(
        id=config.id,
        name=config.name,
        image=config.raw_image_name,
        image_id=config.rootfs_image_id,
        image_digests=image.digests() if image is not None else (),
        image_created=image.created if image is not None else "",
        policy=config.labels[POLICY_LABEL],
        authfile=config.labels.get(AUTHFILE_LABEL, wanted.authfile),
        unit=unit,
        own_unit=config.labels.get(UNIT_LABEL, "") if unit else "",
        pod=config.pod,
        pod_name=summary.pod_name,
        platform="/".join(
            part for part in (document.get("os"), document.get("architecture"), document.get("variant")) if part
        ),
        requires=list(config.dependencies),
        labels=dict(config.labels),
        has_health_check=_checked(config),
        health_time=health_time(config),
    )


def _checked(config: ContainerConfig) -> bool:
    check = config.health_check
    return check is not None and bool(check.test) and check.test[0] != "NONE"


def health_time(config: ContainerConfig) -> int:
    """ns within which the health check tells good from bad: what it takes to fail in a row, after the start period."""
    check = config.health_check
    if check is None or not _checked(config):
        return 0
    time = check.start_period + (check.retries + 1) * max(check.interval, _SECOND) + check.timeout
    startup = config.startup_health_check
    if startup is not None:
        time += max(startup.retries, startup.successes, 1) * max(startup.interval, _SECOND)
    return min(time, LONGEST_HEALTH_TIME)


def _pod_units(runtime: Runtime) -> dict[str, str]:
    """Pod -> the unit that runs it, told by the infra container's label."""
    found = {}
    for row in runtime.state.container_rows():
        if row.is_infra and row.pod and row.labels.get(UNIT_LABEL):
            found[row.pod] = row.labels[UNIT_LABEL]
    return found


def _chosen(
    runtime: Runtime, running: Sequence[Summary], wanted: Wanted, pod_units: Mapping[str, str]
) -> list[Summary]:
    """Those the names mean and the exclusions do not. Raises ``NoSuchContainer`` for a name that means nothing."""
    everything = runtime.state.container_rows()
    include = _meant(runtime, wanted.names, everything, pod_units)
    exclude = _meant(runtime, wanted.exclude, everything, pod_units)
    return [
        summary for summary in running
        if (not wanted.names or summary.id in include) and summary.id not in exclude
    ]


def _meant(runtime: Runtime, names: Iterable[str], rows: Sequence[Any], pod_units: Mapping[str, str]) -> set[str]:
    found: set[str] = set()
    for name in names:
        ids = {
            row.id for row in rows
            if name in _unit_names(pod_units.get(row.pod) or row.labels.get(UNIT_LABEL, ""))
        }
        ids |= set(_of_pod(runtime, name)) | set(_of_container(runtime, name))
        if not ids:
            raise NoSuchContainer(f'no container, pod or unit with name or ID "{name}" found')
        found |= ids
    return found


def _unit_names(unit: str) -> tuple[str, ...]:
    return (unit, unit.removesuffix(".service")) if unit else ()


def _of_pod(runtime: Runtime, name: str) -> list[str]:
    try:
        return list(runtime.state.containers_in_pod(runtime.state.pod_id(name)))
    except WherryError:
        return []


def _of_container(runtime: Runtime, name: str) -> list[str]:
    try:
        return [runtime.state.container_id(name)]
    except NoSuchContainer:
        return []


def _sized(
    runtime: Runtime, containers: Sequence[ContainerFacts], images: Mapping[str, ImageFacts]
) -> list[ContainerFacts]:
    """Sizes are added up from many files: only for what may have to be updated."""
    found = []
    for container in containers:
        lookup = _lookup(container)
        image = images.get(lookup.key) if lookup is not None else None
        if image is not None and not image.problem and not planner.is_current(container, image):
            try:
                container = container.replace(image_size=runtime.store.image_size(container.image_id))
            except WherryError:
                pass        # an image that is damaged is all the more reason to replace it
        found.append(container)
    return found


# -- images ----------------------------------------------------------------------------------------------------------


def _lookup(container: ContainerFacts) -> Lookup | None:
    try:
        return planner.lookup_of(container)
    except InvalidArgument:
        return None         # the planner says so


def _images(
    runtime: Runtime, containers: Sequence[ContainerFacts], wanted: Wanted
) -> dict[str, ImageFacts]:
    asking: dict[str, tuple[Lookup, list[ContainerFacts]]] = {}
    for container in containers:
        lookup = _lookup(container)
        if lookup is not None:
            asking.setdefault(lookup.key, (lookup, []))[1].append(container)
    found = {
        key: _local(runtime, lookup) for key, (lookup, _users) in asking.items() if lookup.policy == planner.LOCAL
    }
    remote = {key: pair for key, pair in asking.items() if key not in found}
    if remote:
        bad = {(one.image, one.digest) for one in runtime.state.bad_digests()} if not wanted.retry_bad else set()
        found.update(_remote(runtime, remote, wanted, bad))
    return found


def _local(runtime: Runtime, lookup: Lookup) -> ImageFacts:
    try:
        image, _name = image_lookup.find(runtime.store, lookup.reference)
        document = runtime.store.image_config(image.id)
    except WherryError as error:
        return ImageFacts(problem=str(error))
    return ImageFacts(
        digest=image.digest, id=image.id, created=image.created, labels=_labels(document),
        size=runtime.store.image_size(image.id),
    )


def _remote(
    runtime: Runtime, asking: Mapping[str, tuple[Lookup, Sequence[ContainerFacts]]], wanted: Wanted,
    bad: set[tuple[str, str]],
) -> dict[str, ImageFacts]:
    from concurrent.futures import ThreadPoolExecutor

    registries = load_registries(runtime.settings)
    with DigestReader(runtime.settings, registries, tls_verify=wanted.tls_verify) as reader, ThreadPoolExecutor(
        max_workers=CONNECTIONS
    ) as pool:
        def ask(pair: tuple[Lookup, Sequence[ContainerFacts]]) -> ImageFacts:
            lookup, users = pair
            try:
                digest = reader.digest(references.parse(lookup.reference), lookup.authfile)
            except WherryError as error:
                return ImageFacts(problem=str(error))
            found = ImageFacts(digest=digest)
            known = (lookup.reference, digest) in bad
            if known or all(planner.is_current(container, found) for container in users):
                return found
            return _details(runtime, lookup, found, wanted)

        return dict(zip(asking, pool.map(ask, asking.values()), strict=True))


def _details(runtime: Runtime, lookup: Lookup, found: ImageFacts, wanted: Wanted) -> ImageFacts:
    """What is new: the image for the platform, its age, size and labels, and what policy.json says to it."""
    from wherry.engine.image_trust import check_pull
    from wherry.registry.pull import open_image
    from wherry.registry.signatures import Rejected

    reference = references.parse(lookup.reference)
    try:
        source = open_image(
            runtime.settings, load_registries(runtime.settings), reference, authfile=lookup.authfile,
            tls_verify=wanted.tls_verify, platform=platform.parse(lookup.platform) if lookup.platform else None,
        )
    except WherryError as error:
        return ImageFacts(problem=str(error))
    with source:
        document = _document(source.config)
        top = digest_of(source.manifest_list) if source.manifest_list else source.manifest_digest
        found = found.replace(
            digest=top,     # it may have changed since it was first asked for
            platform_digest=source.manifest_digest if source.manifest_list else "",
            created=str(document.get("created") or ""),
            size=sum(max(layer.size, 0) for layer in source.layers),
            labels=_labels(document),
            verdict="accepted",
        )
        try:
            check_pull(runtime, source, reference)
        except Rejected as error:
            return found.replace(verdict="rejected", problem=str(error))
        except WherryError as error:
            return found.replace(verdict="rejected", problem=f"checking its signature: {error}")
    return found


def _document(config: bytes) -> dict[str, Any]:
    try:
        document = jsontext.loads(config)
    except jsontext.JSONError:
        return {}
    return document if isinstance(document, dict) else {}


def _labels(document: Mapping[str, Any]) -> dict[str, str]:
    labels = (document.get("config") or {}).get("Labels") or {}
    return {str(key): str(value) for key, value in labels.items()}


