"""The parts of pods and volumes that need no container: order, states, options."""

from __future__ import annotations

import pytest

from wherry.engine import pod_status
from wherry.engine.graph import DependencyCycle, levels
from wherry.engine.volume_options import local_options, needs_mount, read
from wherry.errors import InvalidArgument
from wherry.model.mount import NamedVolume
from wherry.spec.container_spec import ContainerSpec, NetworkRequest
from wherry.spec.pod_spec import PodSpec, check, share


def test_levels() -> None:
    needs = {"c": ["a", "b"], "a": [], "b": ["a", "outside"], "d": []}
    assert levels(needs) == [["a", "d"], ["b"], ["c"]]
    assert levels({}) == []


def test_cycles_are_found() -> None:
    with pytest.raises(DependencyCycle, match="a, b"):
        levels({"a": ["b"], "b": ["a"], "c": []})


@pytest.mark.parametrize(("states", "expected"), [
    ([], "Created"),
    (["created", "created"], "Created"),
    (["configured", "initialized"], "Created"),
    (["running", "running"], "Running"),
    (["running", "exited"], "Degraded"),
    (["running", "paused"], "Degraded"),
    (["paused", "paused"], "Paused"),
    (["exited", "stopped"], "Exited"),
    (["exited", "created"], "Stopped"),
    (["unknown", "created"], "Error"),
])
def test_pod_status(states: list[str], expected: str) -> None:
    assert pod_status.of(states) == expected


@pytest.mark.parametrize(("text", "expected"), [
    ("", []), ("none", []), ("net", ["net"]), ("net,ipc", ["net", "ipc"]), ("+pid", ["ipc", "net", "uts", "pid"]),
])
def test_share(text: str, expected: list[str]) -> None:
    assert share(text) == expected


@pytest.mark.parametrize("spec", [
    PodSpec(exit_policy="foo"),
    PodSpec(replace_existing=True),
    PodSpec(infra=False, infra_image="x"),
    PodSpec(infra=False, share=["net"]),
    PodSpec(infra=False, container=ContainerSpec(network=NetworkRequest(mode="host"))),
    PodSpec(infra=False, container=ContainerSpec(dns=["10.0.0.1"])),
])
def test_contradictions(spec: PodSpec) -> None:
    with pytest.raises(InvalidArgument):
        check(spec)


def test_options_of_the_local_driver() -> None:
    found = local_options(read(["type=tmpfs", "device=tmpfs", "o=size=2m,uid=5", "o=nodev"]))
    assert found.uid == 5
    assert found.gid is None
    assert found.size == 2_000_000
    assert found.options["o"] == "nodev,size=2m"
    assert needs_mount(found.options)
    assert not needs_mount(local_options({"o": "uid=5,gid=6"}).options)
    assert not needs_mount({})


def test_anonymous_volumes_get_names() -> None:
    from wherry.engine.volumes import named

    kept, made = named([NamedVolume(name="a", destination="/a"), NamedVolume(destination="/b")])
    assert (kept.name, kept.is_anonymous) == ("a", False)
    assert len(made.name) == 64
    assert made.is_anonymous
