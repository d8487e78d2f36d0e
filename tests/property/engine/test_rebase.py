"""A container's configuration on another image is the one it would have had, had it been created from that image."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.spec.spec_world import make

from wherry.engine.rebase import rebase
from wherry.model.container import ContainerConfig
from wherry.spec.host import ImageFacts

WORDS = st.lists(st.sampled_from(["a", "b", "/run", "--x"]), max_size=3)
DOCUMENTS = st.fixed_dictionaries({}, optional={
    "Entrypoint": WORDS,
    "Cmd": WORDS,
    "Env": st.dictionaries(st.sampled_from(["PATH", "MODE", "A", "B"]), st.sampled_from(["", "1", "2"])).map(
        lambda found: [f"{name}={value}" for name, value in found.items()]
    ),
    "WorkingDir": st.sampled_from(["", "/", "/srv", "/app"]),
    "User": st.sampled_from(["", "root", "web", "1000:1000"]),
    "Labels": st.dictionaries(st.sampled_from(["x", "y", "z"]), st.sampled_from(["1", "2"])),
    "ExposedPorts": st.dictionaries(st.sampled_from(["80/tcp", "53/udp", "443/tcp"]), st.just({})),
    "Volumes": st.dictionaries(st.sampled_from(["/data", "/cache"]), st.just({})),
    "StopSignal": st.sampled_from(["SIGINT", "SIGTERM", "9"]),
    "Healthcheck": st.fixed_dictionaries({"Test": st.sampled_from([["CMD", "true"], ["CMD-SHELL", "x"]])}, optional={
        "Interval": st.sampled_from([10**9, 5 * 10**9]), "Retries": st.integers(1, 3),
    }),
})
#: Values no image has, so that it can be told who said them.
FLAGS = st.fixed_dictionaries({}, optional={
    "entrypoint": st.just("mine"),
    "env": st.just(["MINE=x", "A=mine"]),
    "workdir": st.just("/mine"),
    "user": st.just("user-of-mine"),
    "label": st.just(["mine=1", "x=mine"]),
    "expose": st.just(["9999"]),
    "volume": st.just(["named:/data"]),
    "stop-signal": st.just("SIGUSR1"),
    "health-cmd": st.just("mine"),
    "health-interval": st.just("77s"),
    "init": st.just("true"),
    "hostname": st.just("mine"),
    "memory": st.just("64m"),
    "image-volume": st.sampled_from(["ignore", "tmpfs"]),
})
COMMANDS = st.sampled_from([(), ("mine", "--all")])


def image(name: str, document: dict[str, Any]) -> ImageFacts:
    return ImageFacts(id=name * 64, name="quay.io/a/app:1", raw_name="quay.io/a/app:1", document={"config": document})


def created(flags: dict[str, object], command: tuple[str, ...], facts: ImageFacts) -> ContainerConfig:
    given = dict(flags)
    if "health-interval" in given and "health-cmd" not in given and "Healthcheck" not in facts.config:
        del given["health-interval"]
    return make(given, *command, image=facts)


@settings(max_examples=200, deadline=None)
@given(FLAGS, COMMANDS, DOCUMENTS)
def test_the_same_image_changes_nothing(flags: dict[str, object], command: tuple[str, ...], document: Any) -> None:
    facts = image("a", document)
    config = created(flags, command, facts)
    assert rebase(config, facts, facts) == config


@settings(max_examples=300, deadline=None)
@given(FLAGS, COMMANDS, DOCUMENTS, DOCUMENTS)
def test_as_if_created_from_the_new_image(
    flags: dict[str, object], command: tuple[str, ...], before: dict[str, Any], after: dict[str, Any]
) -> None:
    old, new = image("a", before), image("b", after)
    found = rebase(created(flags, command, old), old, new)
    wanted = created(flags, command, new)
    assert found.rootfs_image_id == wanted.rootfs_image_id
    for part in ("user", "labels", "stop_signal", "entrypoint", "command", "hosts_add", "spec.hostname"):
        assert value(found, part) == value(wanted, part), part
    assert sorted(value(found, "spec.process.env")) == sorted(value(wanted, "spec.process.env"))
    for part in ("args", "cwd", "capabilities"):
        assert value(found, f"spec.process.{part}") == value(wanted, f"spec.process.{part}"), part
    assert ports(found) == ports(wanted)
    # Nothing that holds data is given up, and what the new image declares is there.
    places = {volume.destination for volume in found.named_volumes}
    assert places >= {volume.destination for volume in wanted.named_volumes}
    assert places >= {volume.destination for volume in created(flags, command, old).named_volumes}
    if "health-interval" not in flags:
        assert found.health_check == wanted.health_check


def value(config: ContainerConfig, path: str) -> Any:
    found: Any = config
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else getattr(found, name)
    return found


def ports(config: ContainerConfig) -> set[tuple[str, str]]:
    return {(port, name) for port, names in config.exposed_ports.items() for name in names}
