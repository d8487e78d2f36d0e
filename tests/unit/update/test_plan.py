"""The planner's words and corner cases."""

from __future__ import annotations

import pytest

from wherry.errors import InvalidArgument
from wherry.update import plan as planner
from wherry.update.facts import ContainerFacts, Facts, ImageFacts, Lookup, UnitFacts

D1, D2, D3 = ("sha256:" + letter * 64 for letter in "123")
NAME = "quay.io/a/app:1"
SECOND = 10**9


def container(**fields: object) -> ContainerFacts:
    values = {"id": "c" * 64, "name": "web", "image": NAME, "image_id": "i1", "image_digests": [D1],
              "policy": "registry", **fields}
    return ContainerFacts(**values)  # type: ignore[arg-type]


def facts(*containers: ContainerFacts, image: ImageFacts | None = None, **fields: object) -> Facts:
    known = {}
    for one in containers:
        lookup = planner.lookup_of(one)
        assert lookup is not None
        known[lookup.key] = image or ImageFacts(digest=D2)
    return Facts(containers=containers, images=known, **fields)  # type: ignore[arg-type]


def test_an_unknown_policy_names_the_known_ones() -> None:
    plan = planner.plan(Facts(containers=[container(policy="always")]))
    assert plan.errors == [
        'invalid auto-update policy "always": valid policies are ["disabled" "image" "local" "registry"]'
    ]
    assert plan.groups == []


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("quay.io/a/b:1", "quay.io/a/b:1"),
        ("docker://quay.io/a/b:1", "quay.io/a/b:1"),
        ("quay.io/a/b", "quay.io/a/b:latest"),
        ("docker.io/busybox", "docker.io/library/busybox:latest"),
        ("localhost:5000/a:1", "localhost:5000/a:1"),
    ],
)
def test_names_that_can_be_followed(text: str, reference: str) -> None:
    assert planner.registry_reference(text) == reference


@pytest.mark.parametrize("text", ["busybox", "a/b:1", "0123abcd", "quay.io/a@" + D1, "oci:/x:1", "dir:/x", "A:!"])
def test_names_that_cannot(text: str) -> None:
    with pytest.raises(InvalidArgument):
        planner.registry_reference(text)


def test_an_image_is_asked_for_once() -> None:
    one, other = planner.lookup_of(container()), planner.lookup_of(container(image="docker://" + NAME))
    assert one == other == Lookup(policy="registry", reference=NAME)
    assert planner.lookup_of(container(authfile="/a")) != one
    assert planner.lookup_of(container(policy="disabled")) is None


def test_the_platforms_digest_counts() -> None:
    current = planner.plan(facts(container(), image=ImageFacts(digest=D3, platform_digest=D1)))
    assert current.groups[0].tasks[0].updated == "false"
    newer = planner.plan(facts(container(), image=ImageFacts(digest=D3, platform_digest=D2)))
    assert newer.groups[0].tasks[0].updated == "pending"


@pytest.mark.parametrize(
    ("labels", "more", "given", "wanted"),
    [
        ({}, {}, {}, 5 * SECOND),
        ({}, {"has_health_check": True, "health_time": 9 * SECOND}, {}, 9 * SECOND),
        ({}, {"has_health_check": True, "health_time": 9 * SECOND}, {"default_window": SECOND}, SECOND),
        ({"io.containers.autoupdate.window": "1m"}, {}, {"default_window": SECOND}, 60 * SECOND),
        ({"io.containers.autoupdate.window": "1m"}, {}, {"window": 0}, 0),
    ],
)
def test_how_long_is_watched(
    labels: dict[str, str], more: dict[str, object], given: dict[str, object], wanted: int
) -> None:
    plan = planner.plan(facts(container(labels=labels, **more), **given))
    assert plan.groups[0].tasks[0].window == wanted


def test_units_come_in_their_own_order() -> None:
    found = [container(id=name * 64, name=name, unit=f"{name}.service") for name in "abc"]
    units = {
        "a.service": UnitFacts(name="a.service", after=["b.service"]),
        "b.service": UnitFacts(name="b.service", after=["c.service", "network.target"]),
    }
    plan = planner.plan(facts(*found, units=units))
    assert [group.name for group in plan.groups] == ["c.service", "b.service", "a.service"]


def test_a_cycle_of_units_is_no_obstacle() -> None:
    found = [container(id=name * 64, name=name, unit=f"{name}.service") for name in "ab"]
    units = {
        "a.service": UnitFacts(name="a.service", after=["b.service"]),
        "b.service": UnitFacts(name="b.service", after=["a.service"]),
    }
    assert len(planner.plan(facts(*found, units=units)).groups) == 2
