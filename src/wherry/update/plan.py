"""The planner: from facts to what is to be done. Pure; every decision of auto-update that can be wrong is here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from wherry.errors import InvalidArgument
from wherry.model import reference as references
from wherry.model.record import EMPTY, Record, field
from wherry.model.timespec import parse_duration
from wherry.model.update import (
    CURRENT,
    FAILED,
    PENDING,
    POLICY_LABEL,
    RESTARTS_LABEL,
    WINDOW_LABEL,
)
from wherry.spec.parse_values import quote
from wherry.update.facts import ContainerFacts, Facts, ImageFacts, Lookup, UnitFacts

DISABLED, REGISTRY, LOCAL = "disabled", "registry", "local"
#: Value of the label -> policy.
POLICIES = {"": DISABLED, "disabled": DISABLED, "image": REGISTRY, "registry": REGISTRY, "local": LOCAL}

#: Nanoseconds a container without a health check is watched.
PLAIN_WINDOW = 5 * 10**9

UNIT, POD, CONTAINER = "unit", "pod", "container"


class Task(Record):
    """What is to become of one container. The words of ``updated`` are those of the table."""

    id: str = ""
    name: str = ""
    image: str = ""                     # as written
    reference: str = ""                 # what is pulled or looked up: fully qualified for policy registry
    policy: str = ""
    authfile: str = ""
    platform: str = ""
    own_unit: str = ""                  # of the container, where another one (of its pod) is restarted
    updated: str = ""                   # pending: to be updated; false: nothing to do; failed
    reason: str = ""                    # why not
    old_image: str = ""                 # id
    new_image: str = ""                 # id, where it is in the store already
    old_digest: str = ""
    new_digest: str = ""                # of the manifest or index in the registry
    digest: str = ""                    # of the image for the platform, where the two differ
    created: str = ""
    size: int = 0                       # bytes
    old_size: int = 0
    version: str = ""                   # org.opencontainers.image.version of the new image
    old_version: str = ""
    revision: str = ""
    signature: str = ""                 # accepted or rejected
    window: int = 0                     # ns to watch it
    health_time: int = 0                # ns its health check may take to make up its mind
    allowed_restarts: int = 0
    labels: Mapping[str, str] = EMPTY   # those of auto-update

    @property
    def pending(self) -> bool:
        return self.updated == PENDING


class Group(Record):
    """Containers that are restarted, watched and rolled back together."""

    kind: str = CONTAINER               # unit, pod, container
    name: str = ""                      # of the unit, pod or container
    pod: str = ""                       # name, where its containers are in one
    tasks: Sequence[Task] = field(default=(), records=Task)

    @property
    def unit(self) -> str:
        return self.name if self.kind == UNIT else ""

    @property
    def pending(self) -> bool:
        return any(task.pending for task in self.tasks)


class Plan(Record):
    """Groups in the order in which they are to be updated, and what could not be planned."""

    groups: Sequence[Group] = field(default=(), records=Group)
    errors: Sequence[str] = ()
    retry_bad: bool = False

    @property
    def pending(self) -> bool:
        return any(group.pending for group in self.groups)


# -- what to ask ---------------------------------------------------------------------------------------------------


def policy_of(text: str) -> str:
    """The policy a label's value stands for. Raises ``InvalidArgument`` naming the valid ones."""
    try:
        return POLICIES[text]
    except KeyError:
        valid = " ".join(quote(name) for name in sorted(POLICIES) if name)
        raise InvalidArgument(f"invalid auto-update policy {quote(text)}: valid policies are [{valid}]") from None


def registry_reference(text: str) -> str:
    """*text* as a reference one can ask a registry about: registry, repository and tag.

    Raises ``InvalidArgument`` for short names, ids, other transports and digests.
    """
    transport, colon, rest = text.partition("://")
    if not colon and text.partition(":")[0] in _TRANSPORTS:
        transport, colon = text.partition(":")[0], ":"
    if colon and transport != "docker":
        raise InvalidArgument(
            f"auto updates require the docker image transport but image is of transport {quote(transport)}"
        )
    try:
        parsed = references.parse(rest if colon else text)
    except InvalidArgument as error:
        raise InvalidArgument(
            f"enforcing fully-qualified docker transport reference for auto updates: {error}"
        ) from None
    if not parsed.domain:
        raise InvalidArgument(f"short name: auto updates require fully-qualified image reference: {quote(text)}")
    if parsed.digest:
        raise InvalidArgument(f"auto updates require fully-qualified image references without digest: {quote(text)}")
    return str(references.normalize(str(parsed)).with_default_tag())


_TRANSPORTS = ("oci", "oci-archive", "docker-archive", "docker-daemon", "dir", "containers-storage", "sif", "tarball")


def lookup_of(container: ContainerFacts) -> Lookup | None:
    """What has to be known of the container's image; None for one that is not updated.

    Raises ``InvalidArgument`` for a label or image name that cannot be.
    """
    policy = policy_of(container.policy)
    if policy == DISABLED:
        return None
    doing = "registry auto-updating" if policy == REGISTRY else "locally auto-updating"
    if not container.image:
        raise InvalidArgument(f"{doing} container {quote(container.id)}: raw-image name is empty")
    if policy == LOCAL:
        return Lookup(policy=LOCAL, reference=container.image)
    return Lookup(
        policy=REGISTRY, reference=registry_reference(container.image), authfile=container.authfile,
        platform=container.platform,
    )


def is_current(container: ContainerFacts, image: ImageFacts) -> bool:
    """Does the container run what its image reference stands for?"""
    if image.id:
        return image.id == container.image_id or image.digest in container.image_digests
    digests = container.image_digests
    return image.digest in digests or bool(image.platform_digest and image.platform_digest in digests)


# -- the plan ------------------------------------------------------------------------------------------------------


def plan(facts: Facts) -> Plan:
    """Decide for every container, gather them in groups, put the groups in order."""
    errors = list(facts.problems)
    tasks: dict[str, Task] = {}
    for container in facts.containers:
        try:
            task, complaint = decide(container, facts)
        except InvalidArgument as error:
            errors.append(str(error))
            continue
        if task is not None:
            tasks[container.id] = task
        if complaint:
            errors.append(complaint)
    wanted = [container for container in facts.containers if container.id in tasks]
    members: dict[tuple[str, str], list[ContainerFacts]] = {}
    for container in wanted:
        members.setdefault(_group_key(container), []).append(container)
    order = _ordered(members, facts.units)
    groups = [_group(key, members[key], tasks) for key in order]
    return Plan(groups=groups, errors=errors, retry_bad=facts.retry_bad)


def decide(container: ContainerFacts, facts: Facts) -> tuple[Task | None, str]:
    """The task for one container and an error to report; no task where it is not to be updated at all.

    Raises ``InvalidArgument`` for what makes no row in the table either.
    """
    policy = policy_of(container.policy)
    if policy == DISABLED:
        return None, ""
    task = _task(container, policy)
    doing = "registry auto-updating" if policy == REGISTRY else "locally auto-updating"
    who = f"{doing} container {quote(container.id)}"
    if not container.image:
        raise InvalidArgument(f"{who}: raw-image name is empty")
    try:
        lookup = lookup_of(container)
        task = task.replace(**_watching(container, facts))
    except InvalidArgument as error:
        complaint = f"{who}: image check for {quote(container.image)} failed: {error}"
        return task.replace(updated=FAILED, reason=str(error)), complaint
    assert lookup is not None
    task = task.replace(reference=lookup.reference)
    image = facts.images.get(lookup.key, ImageFacts(problem="it was not looked up"))
    if not image.digest and not image.id:
        complaint = f"{who}: image check for {quote(container.image)} failed: {image.problem}"
        return task.replace(updated=FAILED, reason=image.problem), complaint
    task = task.replace(**_found(image))
    if is_current(container, image):
        return task.replace(updated=CURRENT, new_image=container.image_id), ""
    bad = _remembered(facts, lookup.reference, image)
    if bad:
        return task.replace(updated=CURRENT, reason=f"bad digest: {bad}"), ""
    if image.verdict == "rejected":
        complaint = f"{who}: image update for {quote(container.image)} failed: {image.problem}"
        return task.replace(updated=FAILED, reason=image.problem), complaint
    return task.replace(updated=PENDING), ""


def _task(container: ContainerFacts, policy: str) -> Task:
    return Task(
        id=container.id, name=container.name, image=container.image, policy=policy, authfile=container.authfile,
        platform=container.platform, own_unit=container.own_unit, old_image=container.image_id,
        old_digest=container.image_digests[0] if container.image_digests else "",
        old_size=container.image_size, old_version=container.labels.get(_VERSION, ""),
        labels={key: value for key, value in container.labels.items() if key.startswith(POLICY_LABEL)},
    )


_VERSION = "org.opencontainers.image.version"
_REVISION = "org.opencontainers.image.revision"


def _found(image: ImageFacts) -> Mapping[str, object]:
    return {
        "new_digest": image.digest, "digest": image.platform_digest, "new_image": image.id, "created": image.created,
        "size": image.size, "version": image.labels.get(_VERSION, ""), "revision": image.labels.get(_REVISION, ""),
        "signature": image.verdict,
    }


def _watching(container: ContainerFacts, facts: Facts) -> Mapping[str, object]:
    """How long the container is watched and how often it may restart. Raises ``InvalidArgument`` for a bad label."""
    return {
        "window": window_of(container, facts),
        "health_time": container.health_time if container.has_health_check else 0,
        "allowed_restarts": _number(container.labels.get(RESTARTS_LABEL, ""), facts.allowed_restarts),
    }


def window_of(container: ContainerFacts, facts: Facts) -> int:
    """ns: as asked for on the command line, by label, in the settings, or as the health check needs."""
    if facts.window >= 0:
        return facts.window
    text = container.labels.get(WINDOW_LABEL, "")
    if text:
        try:
            return max(0, parse_duration(text))
        except InvalidArgument as error:
            raise InvalidArgument(f"label {WINDOW_LABEL}: {error}") from None
    if facts.default_window >= 0:
        return facts.default_window
    return container.health_time if container.has_health_check else PLAIN_WINDOW


def _number(text: str, default: int) -> int:
    if not text:
        return default
    if not text.isascii() or not text.isdigit():
        raise InvalidArgument(f"label {RESTARTS_LABEL}: {quote(text)} is not a number of restarts")
    return int(text)


def _remembered(facts: Facts, reference: str, image: ImageFacts) -> str:
    """Why the digest is known to be bad, or nothing."""
    if facts.retry_bad:
        return ""
    known = {bad.digest: bad.reason for bad in facts.bad if bad.image == reference}
    for digest in (image.digest, image.platform_digest):
        if digest and digest in known:
            return known[digest] or "it was rolled back"
    return ""


# -- groups and their order ------------------------------------------------------------------------------------------


def _group_key(container: ContainerFacts) -> tuple[str, str]:
    if container.unit:
        return UNIT, container.unit
    if container.pod:
        return POD, container.pod
    return CONTAINER, container.id


def _group(key: tuple[str, str], members: Sequence[ContainerFacts], tasks: Mapping[str, Task]) -> Group:
    kind, text = key
    pods = {container.pod_name for container in members} - {""}
    name = {UNIT: text, POD: members[0].pod_name, CONTAINER: members[0].name}[kind]
    return Group(
        kind=kind, name=name, pod=min(pods, default=""), tasks=[tasks[container.id] for container in members]
    )


def _ordered(
    members: Mapping[tuple[str, str], Sequence[ContainerFacts]], units: Mapping[str, UnitFacts]
) -> list[tuple[str, str]]:
    """What others need comes first: by the units' order and by what containers depend on; else by name."""
    home = {container.id: key for key, containers in members.items() for container in containers}
    needs: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for key in sorted(members, key=lambda key: (members[key][0].name, key)):
        wanted = {home[other] for container in members[key] for other in container.requires if other in home}
        if key[0] == UNIT and key[1] in units:
            wanted |= {(UNIT, name) for name in units[key[1]].after if (UNIT, name) in members}
        needs[key] = wanted - {key}
    return _sorted(needs)


def _sorted(needs: Mapping[tuple[str, str], Iterable[tuple[str, str]]]) -> list[tuple[str, str]]:
    """Topological order; where there is a cycle (units may have one) the order of *needs* decides."""
    left = {key: set(others) for key, others in needs.items()}
    done: list[tuple[str, str]] = []
    while left:
        ready = [key for key, others in left.items() if not others & left.keys()] or [next(iter(left))]
        done.append(ready[0])
        del left[ready[0]]
    return done
