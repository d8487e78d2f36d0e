"""auto-update of units, with a manager that does what units of ``generate systemd --new`` do; systemd itself is in the
virtual machine's tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
from tests.helpers import crash
from tests.system.update.world import World, results, row

from wherry.engine import intents
from wherry.engine.runtime import Runtime
from wherry.errors import WherryError
from wherry.sys import systemd_bus
from wherry.update.auto_update import AutoUpdate
from wherry.update.report import Result
from wherry.update.units import Unreachable

pytestmark = pytest.mark.system

BAD = {"Cmd": ["sh", "-c", "exit 3"]}


class Manager:
    """Units that create their containers anew at every start."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.units: dict[str, list[Callable[[], Any]]] = {}
        self.after: dict[str, list[str]] = {}
        self.restarted: list[str] = []
        self.recreates = True

    def define(self, unit: str, name: str, image: str = "app:1", **options: Any) -> None:
        labels = {"PODMAN_SYSTEMD_UNIT": unit, **options.pop("labels", {})}
        self.units.setdefault(unit, []).append(
            lambda: self.world.run(name, image, remove=True, replace=True, labels=labels, **options)
        )

    def start(self, unit: str) -> str:
        try:
            for create in self.units[unit]:
                create()
        except WherryError:
            return "failed"
        return "done"

    def restart_unit(self, name: str, mode: str = "replace", *, timeout: float | None = None) -> str:
        self.restarted.append(name)
        return self.start(name) if self.recreates else "done"

    def reset_failed(self, name: str) -> None:
        return

    def unit_property(self, name: str, interface: str, prop: str) -> object:
        found: dict[str, object] = {"After": self.after.get(name, []),
                                    "LoadState": "loaded" if name in self.units else "not-found", "NRestarts": 0,
                                    "ActiveState": "active", "Job": (0, "/")}
        return found[prop]

    def close(self) -> None:
        return


@pytest.fixture
def manager(world: World) -> Manager:
    return Manager(world)


def update(world: World, manager: Manager, **options: Any) -> Result:
    noun = AutoUpdate(world.rt, manager=manager)
    problems = noun.settle()
    result = noun.apply(noun.plan(window=0.4, tls_verify=False, **options), tls_verify=False)
    return result.replace(errors=[*problems, *result.errors])


def test_a_unit_is_restarted_on_the_new_image(world: World, manager: Manager) -> None:
    first = world.publish("1")
    manager.define("web.service", "web")
    manager.start("web.service")
    second = world.publish("2")
    result = update(world, manager)
    assert results(result) == {"web": "true"}
    assert row(result, "web").unit == "web.service"
    assert manager.restarted == ["web.service"]
    assert world.says("web") == "2"
    [known] = world.rt.auto_update.history()
    assert (known.unit, known.old_digest, known.new_digest, known.result) == ("web.service", first, second, "true")
    assert results(update(world, manager)) == {"web": "false"}
    assert manager.restarted == ["web.service"]


def test_a_unit_that_does_not_start_is_rolled_back(world: World, manager: Manager) -> None:
    first = world.publish("1")
    manager.define("web.service", "web")
    manager.start("web.service")
    world.publish("2", Cmd=["/no/such/program"])
    result = update(world, manager)
    assert results(result) == {"web": "rolled back"}
    assert row(result, "web").reason == (
        'restarting systemd unit "web.service" failed: expected "done" but received "failed"'
    )
    assert manager.restarted == ["web.service"] * 2
    assert world.says("web") == "1"
    assert world.rt.images.get(world.image()).digest == first
    assert results(update(world, manager)) == {"web": "false"}


def test_one_bad_container_takes_its_unit_back(world: World, manager: Manager) -> None:
    for name in ("a:1", "b:1"):
        world.publish("1", name)
    manager.define("both.service", "a", "a:1")
    manager.define("both.service", "b", "b:1")
    manager.start("both.service")
    world.publish("2", "a:1")
    world.publish("2", "b:1", **BAD)
    result = update(world, manager)
    assert results(result) == {"a": "rolled back", "b": "rolled back"}
    assert row(result, "a").reason.startswith("container b: it is")
    assert manager.restarted == ["both.service"] * 2
    assert (world.says("a"), world.says("b")) == ("1", "1")
    assert results(update(world, manager)) == {"a": "true", "b": "false"}       # the good one goes on alone
    assert (world.says("a"), world.says("b")) == ("2", "1")


def test_a_shared_image_rolled_back_is_not_given_to_the_second_unit(world: World, manager: Manager) -> None:
    world.publish("1")
    for name in ("a", "b"):
        manager.define(f"{name}.service", name)
        manager.start(f"{name}.service")
    world.publish("2", **BAD)
    result = update(world, manager)
    assert results(result) == {"a": "rolled back", "b": "false"}
    assert manager.restarted == ["a.service"] * 2
    assert world.says("b") == "1"


def test_units_are_updated_in_their_order(world: World, manager: Manager) -> None:
    world.publish("1")
    for name in ("a", "b", "c"):
        manager.define(f"{name}.service", name)
        manager.start(f"{name}.service")
    manager.after = {"a.service": ["b.service"], "b.service": ["c.service"]}
    world.publish("2")
    assert results(update(world, manager)) == {"c": "true", "b": "true", "a": "true"}
    assert manager.restarted == ["c.service", "b.service", "a.service"]


def test_a_unit_can_be_named(world: World, manager: Manager) -> None:
    world.publish("1")
    for name in ("a", "b"):
        manager.define(f"{name}.service", name)
        manager.start(f"{name}.service")
    world.publish("2")
    noun = AutoUpdate(world.rt, manager=manager)
    assert [group.name for group in noun.plan(["a.service"], tls_verify=False).groups] == ["a.service"]
    assert [group.name for group in noun.plan(exclude=["a"], tls_verify=False).groups] == ["b.service"]


def test_a_unit_that_does_not_create_its_container_anew_is_told_so(world: World, manager: Manager) -> None:
    first = world.publish("1")
    manager.define("web.service", "web")
    manager.start("web.service")
    manager.recreates = False
    world.publish("2")
    result = update(world, manager)
    assert results(result) == {"web": "failed"}
    assert "generate systemd --new" in result.errors[0]
    assert world.rt.images.get(world.image()).digest == first
    assert world.rt.auto_update.bad_digests() == []


def test_a_unit_that_is_gone_or_cannot_be_asked_is_not_the_images_fault(world: World, manager: Manager) -> None:
    first = world.publish("1")
    manager.define("web.service", "web")
    manager.start("web.service")
    world.publish("1", "alone:1")
    world.run("alone", "alone:1")
    world.publish("2")
    world.publish("2", "alone:1")
    del manager.units["web.service"]
    result = update(world, manager)
    assert results(result) == {"alone": "true", "web": "failed"}
    assert result.errors == [
        'auto-updating unit web.service: restarting systemd unit "web.service" failed: it is not-found'
    ]
    world.publish("3", "alone:1")
    result = update(world, Unreachable(systemd_bus.BusUnavailable("no bus")))       # type: ignore[arg-type]
    assert results(result) == {"alone": "true", "web": "failed"}
    assert "auto-updating unit web.service: no bus" in result.errors
    assert world.rt.images.get(world.image()).digest == first
    assert world.rt.auto_update.bad_digests() == []


def test_a_pods_unit_takes_its_containers_with_it(
    world: World, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told by the label of the infra container, which has the unit its pod was created for."""
    for name in ("a:1", "b:1"):
        world.publish("1", name)
    monkeypatch.setenv("PODMAN_SYSTEMD_UNIT", "pod-stack.service")
    storage = world.rt.settings.storage
    with Runtime(
        root=storage.graph_root, runroot=storage.run_root, storage_driver="overlay",
        network_config_dir=world.rt.settings.network.network_config_dir,
    ) as rt:
        rt.pods.create("stack", network="none")
    monkeypatch.delenv("PODMAN_SYSTEMD_UNIT")
    for name in ("a", "b"):
        manager.define("pod-stack.service", name, f"{name}:1", pod="stack", network=None,
                       labels={"PODMAN_SYSTEMD_UNIT": f"container-{name}.service"})
    manager.start("pod-stack.service")
    world.publish("2", "a:1")
    world.publish("2", "b:1", **BAD)
    result = update(world, manager)
    assert results(result) == {"a": "rolled back", "b": "rolled back"}
    assert {entry.unit for entry in result.rows} == {"pod-stack.service"}
    assert manager.restarted == ["pod-stack.service"] * 2
    assert (world.says("a"), world.says("b")) == ("1", "1")


def test_going_back_restarts_the_unit(world: World, manager: Manager) -> None:
    world.publish("1")
    manager.define("web.service", "web")
    manager.start("web.service")
    world.publish("2")
    update(world, manager)
    noun = AutoUpdate(world.rt, manager=manager)
    assert results(noun.rollback("web.service", window=0.2)) == {"web": "true"}
    assert world.says("web") == "1"


KILLED = """
import os
from wherry.engine.runtime import Runtime
from wherry.update.auto_update import AutoUpdate
from wherry.update import units
base = arguments[0]
rt = Runtime(root=f"{base}/root", runroot=f"{base}/run", network_config_dir=f"{base}/networks",
             storage_driver="overlay")
class Dead:
    def restart_unit(self, *_arguments, **_options): os.kill(os.getpid(), 9)
    def unit_property(self, name, interface, prop): return "loaded" if prop == "LoadState" else []
    def close(self): pass
noun = AutoUpdate(rt, manager=Dead())
noun.apply(noun.plan(tls_verify=False, window=2.0), tls_verify=False)
"""


@pytest.mark.parametrize(("restarted", "newer", "wanted"), [
    (False, {}, "nothing"), (True, {}, "true"), (True, BAD, "rolled back"),
])
def test_another_run_takes_up_what_a_killed_one_left(
    world: World, manager: Manager, restarted: bool, newer: dict[str, Any], wanted: str
) -> None:
    world.publish("1")
    manager.define("web.service", "web")
    manager.start("web.service")
    world.publish("2", **newer)
    outcome = crash.run_killed(KILLED, 10**9, str(world.base))
    assert outcome.status == -signal.SIGKILL, outcome.errors
    [intent] = world.rt.state.intents()
    assert intent.kind == intents.WATCH
    if restarted:           # by systemd, or a reboot
        manager.start("web.service")
    noun = AutoUpdate(world.rt, manager=manager)
    assert noun.settle() == []
    assert world.rt.state.intents() == []
    history = [known.result for known in world.rt.auto_update.history()]
    assert history == ([] if wanted == "nothing" else [wanted])
    assert world.says("web") == ("2" if wanted == "true" else "1")
    after = results(update(world, manager))
    assert after == {"web": {"nothing": "true", "true": "false", "rolled back": "false"}[wanted]}


def test_the_bus_is_the_protocol(manager: Manager) -> None:
    """What the executor asks of a manager, the real one has."""
    for name in ("restart_unit", "reset_failed", "unit_property", "close"):
        assert callable(getattr(systemd_bus.Bus, name)) and callable(getattr(manager, name))
    assert os.path.isdir("/run/systemd/system") == systemd_bus.is_booted()
