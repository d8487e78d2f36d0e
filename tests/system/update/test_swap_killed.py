"""kill -9 of auto-update at many moments of a replacement: the container is there, the next run puts all right."""

from __future__ import annotations

import os

import pytest
from tests.helpers import crash
from tests.system.engine.recovering import at_rest
from tests.system.update.world import World, results

from wherry.engine.container import Container

pytestmark = pytest.mark.system

#: How many moments; a few hundred reach every one.
MOMENTS = int(os.environ.get("WHERRY_TEST_MOMENTS", "5"))
MANY = 10**9

OPEN = """
from wherry.engine.runtime import Runtime
base, window = arguments
rt = Runtime(root=f"{base}/root", runroot=f"{base}/run", network_config_dir=f"{base}/networks",
             storage_driver="overlay")
"""
UPDATE = OPEN + """
plan = rt.auto_update.plan(tls_verify=False, window=float(window))
assert plan.pending, plan
arm(number)
result = rt.auto_update.apply(plan, tls_verify=False)
total = effects()
print(total, *(row.updated for row in result.rows))
"""


def fresh(world: World, number: int) -> Container:
    """A running container of a version, and a newer version at hand."""
    world.publish(f"{number}-old", "app:1")
    world.rt.images.pull(world.image(), tls_verify=False)
    made = world.run(
        "web", network="bridge", ports=["18080:80"], restart="always", volumes=["data:/data", "/anonymous"]
    )
    made.exec(["sh", "-c", "echo kept > /data/file; echo too > /anonymous/file"])
    return made


def is_there(world: World) -> None:
    """What a user sees at once, whatever was killed."""
    seen = [summary for summary in world.rt.containers.list(all=True) if summary.name == "web"]
    assert len(seen) == 1


def is_whole(world: World, texts: tuple[str, str]) -> None:
    assert [summary.name for summary in world.rt.containers.list(all=True)] == ["web"]
    container = world.rt.containers.get("web")
    assert container.status == "running"
    assert world.says("web") in texts
    assert container.exec(["sh", "-c", "cat /data/file /anonymous/file"]).stdout == "kept\ntoo\n"
    config = container.config
    assert (config.restart_policy, config.auto_remove) == ("always", False)
    assert not config.networks["podman"].static_ips and not config.networks["podman"].static_mac
    assert [intent.kind for intent in world.rt.state.intents()] == []
    [stored] = [one for one in world.rt.store.containers() if one.id == container.id]
    assert list(stored.names) == ["web"]


@pytest.mark.parametrize("newer", ["good", "bad"])
def test_killed_at_many_moments(world: World, newer: str) -> None:
    command = {} if newer == "good" else {"Cmd": ["sh", "-c", "exit 3"]}
    wanted = "true" if newer == "good" else "rolled back"
    fresh(world, 0)
    world.publish("0-new", **command)
    whole = crash.run_killed(UPDATE, MANY, str(world.base), "0.2")
    assert whole.finished, whole.errors
    total, result = whole.output.split()[0], whole.output.split(maxsplit=1)[1].strip()
    assert result == wanted
    world.rt.containers.get("web").remove(force=True, volumes=True, timeout=0)
    for number in moments(int(total)):
        fresh(world, number)
        world.publish(f"{number}-new", **command)
        outcome = crash.run_killed(UPDATE, number, str(world.base), "0.2")
        try:
            is_there(world)
            again = world.update(window=0.2)
            assert again.errors == [], again
            is_whole(world, (f"{number}-old", f"{number}-new"))
            assert results(again)["web"] in (wanted, "false")
            is_whole(world, (f"{number}-new",) if newer == "good" else (f"{number}-old",))
            at_rest(world.rt)
            world.rt.containers.get("web").remove(force=True, volumes=True, timeout=0)
            for bad in world.rt.auto_update.bad_digests():
                world.rt.state.forget_bad_digest(bad.image, bad.digest)
        except BaseException as error:
            error.add_note(f"killed before effect {number} of {total}: {outcome.place}")
            raise


def moments(total: int) -> list[int]:
    """Spread evenly, others each hour, so that in time all are met."""
    import time

    step = max(1, total // MOMENTS)
    return list(range(1 + int(time.time()) // 3600 % step, total, step))


def test_the_next_command_settles_it(world: World) -> None:
    """Not only auto-update: a look at the containers is enough."""
    fresh(world, 0)
    world.publish("0-new")
    killed = crash.run_killed(
        OPEN + """
import os
from wherry.engine import replace
real = replace.Replacement._exchange
replace.Replacement._exchange = lambda self, step: os.kill(os.getpid(), 9)
rt.auto_update.apply(rt.auto_update.plan(tls_verify=False), tls_verify=False)
""", MANY, str(world.base), "0.2",
    )
    assert killed.killed
    rows = {row.name: row.status for row in world.rt.state.container_rows()}
    assert rows.pop("web") == "exited"      # stopped, and nobody to start the new one
    assert list(rows.values()) == ["configured"]
    assert [(one.name, one.state) for one in world.rt.containers.list(all=True)] == [("web", "running")]
    is_whole(world, ("0-old",))
    [update] = world.rt.auto_update.history("web")
    assert (update.result, update.reason) == ("rolled back", "the update was interrupted")
