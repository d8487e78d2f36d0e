"""auto-update without systemd: containers are made anew on the new image, proven, or swapped back."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.system.update.world import World, results, row

pytestmark = pytest.mark.system

QUICK_END = {"Cmd": ["sh", "-c", "exit 3"]}


def names(world: World) -> list[tuple[str, str]]:
    return sorted((summary.name, summary.state) for summary in world.rt.containers.list(all=True))


def test_an_update_keeps_everything_but_the_image(world: World) -> None:
    old_digest = world.publish("1", Env=["PATH=/bin", "FROM_IMAGE=1"], Labels={"made": "1"})
    world.rt.secrets.create("word", b"hush")
    old = world.run(
        "web", network="bridge", ports=["18080:80"], restart="always", hostname="host", environment={"MINE": "x"},
        volumes=["data:/data"], secrets=["word"], memory="64m", mac_address="92:d0:c6:0a:29:33",
    )
    old.exec(["sh", "-c", "echo kept > /data/file"])
    before = old.inspect()
    new_digest = world.publish("2", Env=["PATH=/bin", "FROM_IMAGE=2"], Labels={"made": "2"})
    result = world.update()
    assert results(result) == {"web": "true"}
    assert list(result.errors) == []
    new = world.rt.containers.get("web")
    after = new.inspect()
    assert new.id != old.id
    assert row(result, "web").new_id == new.id
    assert world.says("web") == "2"
    assert new.exec(["cat", "/data/file"]).stdout == "kept\n"
    assert new.exec(["cat", "/run/secrets/word"]).stdout == "hush"
    for path in (("NetworkSettings", "IPAddress"), ("NetworkSettings", "MacAddress"), ("Config", "Hostname"),
                 ("HostConfig", "RestartPolicy"), ("HostConfig", "PortBindings"), ("HostConfig", "Memory")):
        assert after[path[0]][path[1]] == before[path[0]][path[1]], path
    environment = dict(entry.partition("=")[::2] for entry in after["Config"]["Env"])
    assert (environment["FROM_IMAGE"], environment["MINE"]) == ("2", "x")
    assert after["Config"]["Labels"]["made"] == "2"
    assert new.config.networks["podman"].static_ips in ((), [])       # it keeps the address, it does not insist on it
    assert names(world) == [("web", "running")]
    [update] = world.rt.auto_update.history("web")
    assert (update.result, update.old_digest, update.new_digest) == ("true", old_digest, new_digest)
    assert (update.container_id, update.new_container_id) == (old.id, new.id)
    assert 0 < update.down_ns < 10**10
    world.rt.secrets.remove("word")


def test_nothing_new_changes_nothing(world: World) -> None:
    world.publish("1")
    old = world.run("web")
    result = world.update()
    assert results(result) == {"web": "false"}
    assert world.rt.containers.get("web").id == old.id
    assert world.rt.auto_update.history() == []


def test_a_plan_tells_and_does_not_touch(world: World) -> None:
    old_digest = world.publish("1")
    old = world.run("web")
    new_digest = world.publish("2", Labels={"org.opencontainers.image.version": "2.0"})
    plan = world.rt.auto_update.plan(tls_verify=False)
    [task] = plan.groups[0].tasks
    assert (task.updated, task.old_digest, task.new_digest) == ("pending", old_digest, new_digest)
    assert (task.version, task.signature, task.created) == ("2.0", "accepted", "2024-01-02T03:04:05.000000006Z")
    assert task.size > 0 and task.old_size > 0
    assert world.rt.containers.get("web").id == old.id
    assert [image.digest for image in world.rt.images.list()] == [old_digest]


def test_an_update_that_does_not_stay_up_is_rolled_back_and_remembered(world: World) -> None:
    good = world.publish("1")
    old = world.run("web")
    bad = world.publish("2", **QUICK_END)
    result = world.update()
    assert results(result) == {"web": "rolled back"}
    assert list(result.errors) == []
    assert row(result, "web").reason == "container web: it is not running (exit code 3)"
    container = world.rt.containers.get("web")
    assert (container.id, container.status, world.says("web")) == (old.id, "running", "1")
    assert names(world) == [("web", "running")]
    assert world.rt.images.get(world.image()).digest == good
    [remembered] = world.rt.auto_update.bad_digests()
    assert (remembered.image, remembered.digest) == (world.image(), bad)
    assert remembered.reason == "container web: it is not running (exit code 3)" and remembered.time_ns

    again = world.update()
    assert results(again) == {"web": "false"}
    assert "bad digest: container web: it is not running" in row(again, "web").reason
    assert results(world.update(retry_bad=True)) == {"web": "rolled back"}
    assert [update.result for update in world.rt.auto_update.history("web")] == ["rolled back", "rolled back"]

    world.publish("3")
    assert results(world.update()) == {"web": "true"}
    assert world.says("web") == "3"


def test_without_rollback_the_new_one_stays(world: World) -> None:
    world.publish("1")
    world.run("web")
    world.publish("2", **QUICK_END)
    result = world.update(rollback=False)
    assert results(result) == {"web": "failed"}
    assert result.errors == ["auto-updating container web: container web: it is not running (exit code 3)"]
    assert names(world) == [("web", "exited")]
    assert world.rt.auto_update.bad_digests() == []


def test_one_that_cannot_start_is_rolled_back(world: World) -> None:
    world.publish("1")
    old = world.run("web")
    world.publish("2", Cmd=["/no/such/program"])
    result = world.update()
    assert results(result) == {"web": "rolled back"}
    assert "/no/such/program" in row(result, "web").reason
    assert world.rt.containers.get("web").id == old.id
    assert world.says("web") == "1"


def test_one_that_keeps_restarting_is_rolled_back(world: World) -> None:
    world.publish("1")
    old = world.run("web", restart="always")
    world.publish("2", Cmd=["sh", "-c", "sleep 0.1"])
    result = world.update(window=3)
    assert results(result) == {"web": "rolled back"}
    assert "restarted" in row(result, "web").reason
    container = world.rt.containers.get("web")
    assert (container.id, container.config.restart_policy) == (old.id, "always")


def test_restarts_may_be_allowed(world: World) -> None:
    world.publish("1")
    world.run("web", restart="always", labels={"io.containers.autoupdate.restarts": "2"}, volumes=["data:/data"])
    world.publish("2", Cmd=["sh", "-c", "test -e /data/second && sleep 1000; touch /data/second"])
    assert results(world.update(window=1.5)) == {"web": "true"}


def test_a_removed_container_stays_removed_at_its_end(world: World) -> None:
    """``--rm`` moves to the new container with the name."""
    world.publish("1")
    world.run("web", remove=True)
    world.publish("2")
    assert results(world.update()) == {"web": "true"}
    assert world.says("web") == "2"
    world.rt.containers.get("web").stop(timeout=0)
    assert names(world) == []


def test_a_failing_one_does_not_hold_up_the_others(world: World) -> None:
    world.publish("1", "a:1")
    world.publish("1", "b:1")
    world.run("a", "a:1")
    world.run("b", "b:1")
    world.run("bogus", "a:1", policy="sometimes")
    world.publish("2", "a:1", **QUICK_END)
    world.publish("2", "b:1")
    result = world.update()
    assert results(result) == {"a": "rolled back", "b": "true"}
    assert result.errors == [
        'invalid auto-update policy "sometimes": valid policies are ["disabled" "image" "local" "registry"]'
    ]


def test_an_image_rolled_back_for_one_is_not_given_to_another(world: World) -> None:
    world.publish("1")
    world.run("first")
    world.run("second")
    world.publish("2", Cmd=["sh", "-c", 'test -e /data && sleep 1000'])
    result = world.update()
    assert results(result) == {"first": "rolled back", "second": "false"}
    assert "rolled back in this run" in row(result, "second").reason
    assert (world.says("first"), world.says("second")) == ("1", "1")


def test_both_users_of_a_good_image_are_updated_with_one_pull(world: World) -> None:
    world.publish("1")
    world.run("first")
    world.run("second")
    world.publish("2")
    assert results(world.update()) == {"first": "true", "second": "true"}
    assert len(list(world.rt.events(filters=["event=pull"]))) == 2      # one of each version


def test_a_pod_is_one_group(world: World) -> None:
    world.publish("1", "a:1")
    world.publish("1", "b:1")
    pod = world.rt.pods.create("stack")
    a = world.run("a", "a:1", pod="stack", network=None)
    world.run("b", "b:1", pod="stack", network=None)
    world.publish("2", "a:1")
    world.publish("2", "b:1", **QUICK_END)
    result = world.update("stack")
    assert results(result) == {"a": "rolled back", "b": "rolled back"}
    assert world.rt.containers.get("a").id == a.id
    assert (world.says("a"), world.says("b")) == ("1", "1")
    assert [bad.image for bad in world.rt.auto_update.bad_digests()] == [world.image("b:1")]
    result = world.update()     # the good one alone
    assert results(result) == {"a": "true", "b": "false"}
    new = world.rt.containers.get("a")
    assert (new.config.pod, world.says("a")) == (pod.id, "2")


def test_who_lives_in_its_namespaces_follows(world: World) -> None:
    world.publish("1")
    world.run("web", network="bridge")
    side = world.rt.containers.start_detached(
        world.image(), name="side", network="container:web", tls_verify=False, restart="no"
    )
    world.publish("2")
    assert results(world.update()) == {"web": "true"}
    new = world.rt.containers.get("web")
    assert world.rt.containers.get("side").id == side.id
    assert world.rt.containers.get("side").config.net_ns_ctr == new.id
    links = [world.rt.containers.get(name).exec(["cat", "/proc/net/fib_trie"]).stdout for name in ("web", "side")]
    assert links[0] == links[1] != ""
    world.rt.containers.get("side").remove(force=True, timeout=0)


def test_prune_leaves_what_an_update_has_set_aside(world: World) -> None:
    world.publish("1")
    old = world.run("web")
    world.publish("2")
    pruned: list[list[str]] = []

    def prune(*_arguments: object) -> None:
        pruned.append(world.rt.containers.prune())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("wherry.update.hooks.after", prune)
        assert results(world.update()) == {"web": "true"}
    assert pruned == [[]]
    assert not world.rt.containers.exists(old.id)


def test_local_policy_follows_the_name_in_the_store(world: World) -> None:
    world.publish("1")
    world.run("web", policy="local")
    assert results(world.update()) == {"web": "false"}
    world.publish("2")
    assert results(world.update()) == {"web": "false"}      # nobody pulled it
    world.rt.images.pull(world.image(), tls_verify=False)
    assert results(world.update()) == {"web": "true"}
    assert world.says("web") == "2"


def test_only_what_was_asked_for(world: World) -> None:
    world.publish("1")
    for name in ("a", "b", "c"):
        world.run(name, labels={"group": "x"} if name == "c" else {})
    world.publish("2")
    assert results(world.update("a")) == {"a": "true"}
    assert results(world.update(exclude=["b"], filters={"label": ["group=x"]})) == {"c": "true"}
    assert [world.says(name) for name in ("a", "b", "c")] == ["2", "1", "2"]
    with pytest.raises(Exception, match='no container, pod or unit with name or ID "d" found'):
        world.update("d")
    with pytest.raises(Exception, match='no container, pod or unit with name or ID "d" found'):
        world.update(exclude=["d"])


def test_an_index_that_changed_for_others_only_is_no_update(world: World) -> None:
    world.publish_index("1", "x")
    old = world.run("web")
    world.publish_index("1", "y")
    assert results(world.update()) == {"web": "false"}
    assert world.rt.containers.get("web").id == old.id
    world.publish_index("2", "y")
    assert results(world.update()) == {"web": "true"}
    assert world.says("web") == "2"


def test_the_previous_image_is_kept_and_can_be_gone_back_to(world: World, conf: Path) -> None:
    first = world.publish("1")
    world.run("web")
    second = world.publish("2")
    assert results(world.update()) == {"web": "true"}
    world.rt.images.prune(all=True)
    result = world.rt.auto_update.rollback("web", window=0.2)
    assert results(result) == {"web": "true"}
    assert world.says("web") == "1"
    assert world.rt.images.get(world.image()).digest == first
    assert [bad.digest for bad in world.rt.auto_update.bad_digests()] == [second]
    assert results(world.update()) == {"web": "false"}      # it does not undo what somebody wanted
    with pytest.raises(Exception, match="no update of web to go back from"):
        world.rt.auto_update.rollback("web")
    world.publish("3")
    assert results(world.update()) == {"web": "true"}


def test_only_so_many_are_kept(world: World) -> None:
    world.publish("1")
    world.run("web")
    digests = []
    for text in ("2", "3", "4"):
        digests.append(world.publish(text))
        assert results(world.update()) == {"web": "true"}
    world.rt.images.prune(all=True)
    assert sorted(image.digest for image in world.rt.images.list(all=True)) == sorted(digests)


SECOND = 10**9
CHECK = {"Test": ["CMD", "stat", "/ok"], "Interval": SECOND, "Timeout": 5 * SECOND, "Retries": 1}


def test_one_that_starts_well_and_turns_unhealthy_is_rolled_back(world: World) -> None:
    world.publish("1", Healthcheck=CHECK, Cmd=["sh", "-c", "touch /ok; exec sleep 1000"])
    old = world.run("web")
    old.wait("healthy", timeout=60)
    world.publish("2", Healthcheck=CHECK, Cmd=["sh", "-c", "touch /ok; sleep 3; busybox rm /ok; exec sleep 1000"])
    result = world.update(window=20)
    assert results(result) == {"web": "rolled back"}
    assert row(result, "web").reason == "container web: it is unhealthy"
    container = world.rt.containers.get("web")
    assert container.id == old.id
    container.wait("healthy", timeout=60)
    [bad] = world.rt.auto_update.bad_digests()
    assert bad.reason == "container web: it is unhealthy"


def test_one_that_never_gets_healthy_is_rolled_back(world: World) -> None:
    world.publish("1", Healthcheck=CHECK, Cmd=["sh", "-c", "touch /ok; exec sleep 1000"])
    old = world.run("web", health_interval="1s", health_start_period="600s", health_retries=1)
    world.publish("2", Healthcheck=CHECK)
    plan = world.rt.auto_update.plan(tls_verify=False)
    [task] = plan.groups[0].tasks
    assert task.window == task.health_time == 600 * SECOND      # capped; nobody waits for that here
    short = task.replace(window=SECOND, health_time=4 * SECOND)
    result = world.rt.auto_update.apply(
        plan.replace(groups=[plan.groups[0].replace(tasks=[short])]), tls_verify=False
    )
    assert results(result) == {"web": "rolled back"}
    assert "it did not get ready within" in row(result, "web").reason
    assert world.rt.containers.get("web").id == old.id


def test_a_healthy_one_stays(world: World) -> None:
    world.publish("1", Healthcheck=CHECK, Cmd=["sh", "-c", "touch /ok; exec sleep 1000"])
    world.run("web")
    world.publish("2", Healthcheck=CHECK, Cmd=["sh", "-c", "touch /ok; exec sleep 1000"])
    assert results(world.update(window=3)) == {"web": "true"}
    assert world.rt.containers.get("web").state().health_status == "healthy"
