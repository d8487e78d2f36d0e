"""Properties of the planner, whatever the facts."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from wherry.model.update import CURRENT, FAILED, PENDING, BadDigest
from wherry.update import plan as planner
from wherry.update.facts import ContainerFacts, Facts, ImageFacts, UnitFacts

DIGESTS = ["sha256:" + letter * 64 for letter in "abcd"]
NAMES = ["quay.io/a/one:1", "quay.io/a/two:1", "three", "oci:/x", "quay.io/a/one@" + DIGESTS[0], "", "docker://q.io/x"]
UNITS = ["", "a.service", "b.service"]
digests = st.sampled_from(DIGESTS)

containers = st.lists(
    st.builds(
        ContainerFacts,
        image=st.sampled_from(NAMES),
        image_id=st.sampled_from(["1", "2", "3"]),
        image_digests=st.lists(digests, max_size=2),
        policy=st.sampled_from(["", "registry", "image", "local", "disabled", "bogus"]),
        authfile=st.sampled_from(["", "/auth"]),
        unit=st.sampled_from(UNITS),
        pod=st.sampled_from(["", "p1"]),
        labels=st.sampled_from([
            {}, {"io.containers.autoupdate.window": "3s"}, {"io.containers.autoupdate.window": "x"},
            {"io.containers.autoupdate.restarts": "-1"},
        ]),
        has_health_check=st.booleans(),
        health_time=st.sampled_from([0, 7 * 10**9]),
    ),
    max_size=6,
)
missing = st.just(ImageFacts(problem="no"))
remote = missing | st.builds(
    ImageFacts, digest=digests, platform_digest=st.sampled_from(["", *DIGESTS]),
    verdict=st.sampled_from(["", "accepted"]),
) | st.builds(ImageFacts, digest=digests, verdict=st.just("rejected"), problem=st.just("no"))
local = missing | st.builds(ImageFacts, digest=digests, id=st.sampled_from(["1", "2", "4"]))
bad = st.lists(st.builds(BadDigest, image=st.sampled_from(NAMES), digest=digests, reason=st.just("why")), max_size=3)


@st.composite
def facts(draw: st.DrawFn) -> Facts:
    found = [
        container.replace(
            id=f"id{number}", name=f"c{number}", pod_name="pod" if container.pod else "",
            requires=draw(st.lists(st.sampled_from([f"id{other}" for other in range(6)]), max_size=2)),
        )
        for number, container in enumerate(draw(containers))
    ]
    known: dict[str, ImageFacts] = {}
    for container in found:
        try:
            lookup = planner.lookup_of(container)
        except planner.InvalidArgument:
            continue
        if lookup is not None and lookup.key not in known:
            known[lookup.key] = draw(remote if lookup.policy == planner.REGISTRY else local)
    units = {name: UnitFacts(name=name, after=draw(st.lists(st.sampled_from(UNITS), max_size=2))) for name in UNITS}
    return Facts(
        containers=found, images=known, units=units, bad=draw(bad), retry_bad=draw(st.booleans()),
        window=draw(st.sampled_from([-1, 0, 10**9])), default_window=draw(st.sampled_from([-1, 2 * 10**9])),
    )


def tasks(plan: planner.Plan) -> list[planner.Task]:
    return [task for group in plan.groups for task in group.tasks]


@settings(max_examples=400, deadline=None)
@given(facts())
def test_every_container_has_one_place_or_a_reason_for_none(given_facts: Facts) -> None:
    plan = planner.plan(given_facts)
    planned = [task.id for task in tasks(plan)]
    assert len(planned) == len(set(planned))
    for container in given_facts.containers:
        disabled = container.policy in ("", "disabled")
        hopeless = not disabled and (container.policy == "bogus" or not container.image)
        assert (container.id in planned) == (not disabled and not hopeless)
    failed = [task for task in tasks(plan) if task.updated == FAILED]
    hopeless_ones = [
        one for one in given_facts.containers
        if one.policy == "bogus" or (one.policy not in ("", "disabled") and not one.image)
    ]
    assert len(plan.errors) == len(failed) + len(hopeless_ones)
    assert all(task.reason for task in failed)


@settings(max_examples=400, deadline=None)
@given(facts())
def test_only_what_is_new_known_good_and_allowed_is_updated(given_facts: Facts) -> None:
    by_id = {container.id: container for container in given_facts.containers}
    remembered = {(one.image, one.digest) for one in given_facts.bad}
    for task in tasks(planner.plan(given_facts)):
        container = by_id[task.id]
        assert task.updated in (PENDING, CURRENT, FAILED)
        if task.updated != PENDING:
            continue
        assert task.signature != "rejected"
        assert not {task.new_digest, task.digest} & set(container.image_digests)
        assert task.new_image != container.image_id
        if not given_facts.retry_bad:
            assert not {(task.reference, task.new_digest), (task.reference, task.digest)} & remembered
        assert task.window >= 0


@settings(max_examples=300, deadline=None)
@given(facts())
def test_groups_are_whole_and_in_order(given_facts: Facts) -> None:
    plan = planner.plan(given_facts)
    by_id = {container.id: container for container in given_facts.containers}
    where = {task.id: number for number, group in enumerate(plan.groups) for task in group.tasks}
    for one in where:
        for other in where:
            a, b = by_id[one], by_id[other]
            together = a.unit == b.unit if a.unit or b.unit else bool(a.pod) and a.pod == b.pod
            assert (where[one] == where[other]) == (together or one == other)
    edges = {
        (where[other], where[task]) for task in where for other in by_id[task].requires
        if other in where and where[other] != where[task]
    }
    for task in where:
        unit = by_id[task].unit
        for before in given_facts.units[unit].after if unit else ():
            edges |= {
                (where[other], where[task]) for other in where
                if before and by_id[other].unit == before and where[other] != where[task]
            }
    if is_acyclic(edges):
        assert all(first < second for first, second in edges)


def is_acyclic(edges: set[tuple[int, int]]) -> bool:
    left = set(edges)
    while left:
        targets = {target for _, target in left}
        free = {edge for edge in left if edge[0] not in targets}
        if not free:
            return False
        left -= free
    return True


@settings(max_examples=200, deadline=None)
@given(facts(), st.randoms())
def test_the_order_of_facts_does_not_matter(given_facts: Facts, random: object) -> None:
    shuffled = list(given_facts.containers)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one = planner.plan(given_facts)
    other = planner.plan(given_facts.replace(containers=shuffled))
    assert {task.id: task.updated for task in tasks(one)} == {task.id: task.updated for task in tasks(other)}
    assert sorted(one.errors) == sorted(other.errors)


@settings(max_examples=200, deadline=None)
@given(facts())
def test_a_plan_survives_json(given_facts: Facts) -> None:
    plan = planner.plan(given_facts)
    assert planner.Plan.from_json(plan.to_json()) == plan
