"""Which containers come back after a reboot, decided on this host."""

from __future__ import annotations

from tests.system.fixtures.engine import IMAGE

from wherry.engine.boot import restart_all, stop_all
from wherry.engine.runtime import Runtime

LOOP = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"]


def test_stop_all_and_restart_all(rt: Runtime) -> None:
    made = {
        name: rt.containers.start_detached(IMAGE, LOOP, name=name, network="none", restart=policy, labels=labels)
        for name, policy, labels in (
            ("always", "always", {}), ("unless", "unless-stopped", {}), ("stopped", "unless-stopped", {}),
            ("no", "no", {}), ("failing", "on-failure", {}), ("unit", "always", {"PODMAN_SYSTEMD_UNIT": "x.service"}),
        )
    }
    made["never"] = rt.containers.create(IMAGE, LOOP, name="never", network="none", restart="always")
    made["stopped"].stop()
    stopped, errors = stop_all(rt)
    assert errors == {}
    assert set(stopped) == {made[name].id for name in ("always", "unless", "no", "failing")}
    assert {container.name for container in rt.containers.list()} == {"unit"}
    assert made["no"].state().exit_code == 0
    made["unit"].stop()
    started, errors = restart_all(rt)
    assert errors == {}
    assert set(started) == {made["always"].id, made["unless"].id}
    assert restart_all(rt) == ([], {})
    made["always"].stop()
    assert restart_all(rt) == ([made["always"].id], {})      # whoever stopped it
    for container in made.values():
        container.remove(force=True, timeout=0)


def test_one_that_cannot_start_keeps_no_other_from_it(rt: Runtime) -> None:
    good = rt.containers.start_detached(IMAGE, LOOP, name="good", network="none", restart="always")
    bad = rt.containers.start_detached(IMAGE, LOOP, name="bad", network="none", restart="always", volumes=["/tmp:/x"])
    stop_all(rt)
    broken = bad.config.replace(spec={**bad.config.spec, "process": {**bad.config.spec["process"], "args": ["/none"]}})
    rt.state.rewrite_config(bad.id, broken)
    started, errors = restart_all(rt)
    assert started == [good.id]
    assert set(errors) == {bad.id}
    for container in (good, bad):
        container.remove(force=True, timeout=0)
