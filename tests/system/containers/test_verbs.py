"""rename, update, clone, top, stats, mount, init, ports and events of real containers."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator

import pytest
from tests.system.fixtures.engine import IMAGE

from wherry import errors
from wherry.engine.container import Container
from wherry.engine.runtime import Runtime
from wherry.engine.top import host_ps
from wherry.errors import ContainerExists, InvalidArgument, StateError

pytestmark = pytest.mark.system

SLEEP = ["sleep", "1000"]


@pytest.fixture
def box(rt: Runtime) -> Iterator[Container]:
    with rt.containers.create(IMAGE, SLEEP, name="box", network="none", user="user") as container:
        container.start()
        yield container


def test_rename_running_and_stopped(rt: Runtime, box: Container) -> None:
    box.rename("crate")
    assert rt.containers.get("crate").id == box.id
    assert rt.store.container(box.id).names == ["crate"]
    assert not rt.containers.exists("box")
    with rt.containers.create(IMAGE, SLEEP, name="other", network="none") as other:
        words = f"name other already in use, cannot rename container {box.id}: container already exists"
        with pytest.raises(ContainerExists, match=words):
            box.rename("other")
        other.rename("box")
    assert (box.name, rt.store.container(box.id).names) == ("crate", ["crate"])
    with pytest.raises(InvalidArgument, match="names must match"):
        box.rename("bad name")
    box.stop(timeout=0)
    box.rename("box")
    assert box.inspect()["Name"] == "box"


def test_an_interrupted_rename_is_settled(rt: Runtime, box: Container) -> None:
    from wherry.engine.intents import RENAME

    rt.state.add_intent(RENAME, box.id, {"name": "half"})
    rt.store.rename_container(box.id, "half")
    rt.check(quick=True, repair=True)
    assert rt.store.container(box.id).names == ["box"]
    assert rt.state.intents() == []


def test_update_reaches_the_cgroup_and_the_next_start(rt: Runtime, box: Container) -> None:
    box.update(memory="64m", pids_limit=33, restart="on-failure:2", environment={"ADDED": "1"})
    data = box.inspect()
    assert (data["HostConfig"]["Memory"], data["HostConfig"]["PidsLimit"]) == (64 << 20, 33)
    assert data["HostConfig"]["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 2}
    assert box.stats().memory_limit == 64 << 20
    assert "ADDED=1" in box.exec(["env"]).stdout
    box.restart(timeout=0)
    assert box.stats().memory_limit == 64 << 20
    with pytest.raises(InvalidArgument, match="minimum memoryswap limit should be larger than memory limit"):
        box.update(memory_swap="1m")
    assert box.inspect()["HostConfig"]["Memory"] == 64 << 20


def test_health_options_need_a_check(box: Container) -> None:
    with pytest.raises(InvalidArgument, match="healthcheck command is not set"):
        box.update(health_interval="5s")
    box.update(health_command="true", health_retries=7)
    check = box.inspect()["Config"]["Healthcheck"]
    assert (check["Test"], check["Retries"]) == (["CMD-SHELL", "true"], 7)


def test_clone(rt: Runtime, box: Container) -> None:
    with box.clone() as one, box.clone() as two, box.clone("named") as three:
        assert [container.name for container in (one, two, three)] == ["box-clone", "box-clone1", "named"]
        assert one.config.command == box.config.command
        three.start()
        assert three.exec(["id", "-u"]).stdout == "1000\n"
        assert three.inspect()["HostConfig"]["LogConfig"]["Path"].find(three.id) > 0
        with pytest.raises(StateError):
            one.kill()


def test_top(box: Container) -> None:
    child = box.exec_create(["sh", "-c", "sleep 1000 & wait"])
    child.start()
    deadline = time.monotonic() + 10
    while len(box.top().rows) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    found = box.top("pid,ppid", "user", "args", "hpid", "capeff")
    assert list(found.titles) == ["PID", "PPID", "USER", "COMMAND", "HPID", "EFFECTIVE CAPS"]
    assert [row[3] for row in found.rows] == ["sleep 1000", "sh -c sleep 1000 & wait", "sleep 1000"]
    assert found.rows[0][:3] == ["1", "0", "user"]
    assert found.rows[2][1] == found.rows[1][0]
    assert found.rows[0][4] == str(box.state().pid)
    with pytest.raises(InvalidArgument, match="unknown descriptor"):
        box.top("nonsense")
    child.remove(force=True)


def test_top_with_the_hosts_pid_namespace_shows_only_the_container(rt: Runtime) -> None:
    with rt.containers.create(IMAGE, SLEEP, network="none", pid="host") as container:
        container.start()
        assert [row[0] for row in container.top("pid").rows] == [str(container.state().pid)]


def test_ps_arguments_run_the_hosts_program(rt: Runtime, box: Container) -> None:
    """CVE-2022-1227: nothing of a hostile image is run, whatever is called ps in it."""
    box.exec(["sh", "-c", "printf '#!/bin/sh\\ntouch /tmp/ran\\n' >/tmp/ps; chmod +x /tmp/ps"])
    box.copy_to("/bin", box.copy_from("/tmp/ps"), overwrite=True)
    text = host_ps(rt, box.id, ["-e", "-o", "pid,args"])
    assert [line.split(maxsplit=1) for line in text.splitlines()][1] == ["1", "sleep 1000"]
    assert box.exec(["ls", "/tmp"]).stdout == "ps\n"


def test_top_needs_a_process(box: Container) -> None:
    box.stop(timeout=0)
    with pytest.raises(StateError, match=r"^top can only be used on running containers$"):
        box.top()


def test_stats(box: Container) -> None:
    first = box.stats()
    box.exec(["sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"])
    second = box.stats(first)
    assert second.cpu_ns > first.cpu_ns
    assert second.cpu_percent > 0
    assert second.memory_bytes > 0
    assert second.memory_limit > second.memory_bytes
    assert second.pids == 1
    box.stop(timeout=0)
    assert not box.stats().running
    assert list(box.stats_stream(0.01)) == []


def test_mounts_are_counted(rt: Runtime, box: Container) -> None:
    from wherry.engine.mounting import mounted

    with pytest.raises(StateError, match="as it is running or paused"):
        box.unmount()
    path = box.mount()
    assert os.path.exists(f"{path}/bin/busybox")
    assert [one.path for one in mounted(rt)] == [path]
    assert box.unmount() is True
    with pytest.raises(StateError, match="as it is running or paused"):
        box.unmount(force=True)
    box.stop(timeout=0)
    assert mounted(rt) == []
    box.mount()
    box.mount()
    assert box.unmount() is True
    assert len(mounted(rt)) == 1
    assert box.unmount(force=True) is True
    assert box.unmount() is False


def test_a_container_mounted_by_hand_can_run_and_end(box: Container) -> None:
    path = box.mount()
    box.stop(timeout=0)
    assert os.path.exists(f"{path}/bin/busybox")
    box.start()
    box.stop(timeout=0)
    assert box.unmount() is True


def test_init(rt: Runtime) -> None:
    with rt.containers.create(IMAGE, ["echo", "early"], network="none") as container:
        container.init()
        assert container.status == "initialized"
        with pytest.raises(StateError, match="has already been created in runtime: container state improper"):
            container.init()
        with container.attach() as attachment:
            container.start()
            assert attachment.collect() == (b"early\n", b"")
        assert container.wait(timeout=10) == 0


def test_ports_and_events(rt: Runtime) -> None:
    with rt.containers.create(IMAGE, SLEEP, name="ported", ports=["127.0.0.1:18123:80/tcp"]) as container:
        assert [(port.host_ip, port.host_port, port.container_port) for port in container.ports()] == [
            ("127.0.0.1", 18123, 80)
        ]
        container.start()
        container.rename("other")
        container.update(cpu_shares=200)
        container.pause()
        container.unpause()
        container.stop(timeout=0)
    with rt.events(since="10m", filters=[f"container={container.id}"]) as stream:
        mine = [event.status for event in stream]
    assert mine == [
        "create", "init", "start", "rename", "update", "pause", "unpause", "stop", "died", "cleanup", "remove",
    ]


def test_events_are_followed(rt: Runtime) -> None:
    with rt.events(filters=["container=followed"], follow=True, until="20s") as stream:
        rt.containers.run(IMAGE, ["true"], name="followed", network="none", remove=True)
        assert [next(stream).status for _ in range(5)] == ["create", "init", "start", "died", "remove"]


def test_no_process_is_left_of_ps(rt: Runtime, box: Container) -> None:
    host_ps(rt, box.id, ["-ef"])
    listing = subprocess.run(["ps", "-ef"], capture_output=True, text=True, check=True).stdout
    assert "nsenter --target" not in listing


def test_evict_removes_what_cannot_be_read(rt: Runtime) -> None:
    import sqlite3

    container = rt.containers.create(IMAGE, SLEEP, name="broken", network="none")
    with sqlite3.connect(rt.paths.database) as database:
        database.execute(
            "UPDATE configs SET config='{' WHERE n=(SELECT n FROM containers WHERE id=?)", (container.id,)
        )
    database.close()
    with pytest.raises(errors.Corrupt, match="is damaged"):
        rt.containers.get("broken")
    with pytest.raises(errors.Corrupt, match="is damaged"):
        rt.containers.remove("broken")
    assert rt.containers.remove("broken", force=True) == container.id
    assert not rt.containers.exists("broken")
    assert container.id not in [record.id for record in rt.store.containers()]


def test_force_removes_what_has_lost_its_layer(rt: Runtime) -> None:
    container = rt.containers.create(IMAGE, SLEEP, name="broken", network="none")
    shutil.rmtree(f"{rt.settings.storage.graph_root}/overlay/{rt.store.container(container.id).layer}")
    with pytest.raises(errors.WherryError):
        container.start()
    rt.containers.remove("broken", force=True)
    assert not rt.containers.exists("broken")


def test_force_gives_nothing_up_that_others_need(rt: Runtime) -> None:
    with rt.containers.create(IMAGE, SLEEP, name="first", network="none") as first, \
            rt.containers.create(IMAGE, SLEEP, network="container:first"):
        with pytest.raises(errors.AlreadyExists, match="dependent"):
            rt.containers.remove("first", force=True)
        assert rt.containers.exists(first.id)


def test_a_container_of_the_store_only_is_removed_on_demand(rt: Runtime) -> None:
    with rt.containers.create(IMAGE, SLEEP, name="ours", network="none"), \
            pytest.raises(errors.ContainerExists, match="refusing to remove"):
        rt.containers.remove_from_storage("ours")
    foreign = "f" * 64
    rt.store.create_container(foreign, name="foreign", image_id=rt.images.get(IMAGE).id, image_name=IMAGE)
    rt.store.mount_container(foreign)
    with pytest.raises(errors.StateError, match="is mounted"):
        rt.containers.remove_from_storage("foreign")
    assert rt.containers.remove_from_storage("foreign", force=True) == foreign
    with pytest.raises(errors.NoSuchContainer, match="no container with ID or name"):
        rt.containers.remove_from_storage("foreign")


def test_logs_are_followed_across_restarts(rt: Runtime) -> None:
    command = ["sh", "-c", "echo run; sleep 0.1; exit 1"]
    with rt.containers.create(IMAGE, command, network="none", restart="on-failure:2") as container:
        container.start()
        assert [line.text for line in container.logs(follow=True)] == ["run"] * 3
        assert container.inspect()["RestartCount"] == 2


def test_preserved_descriptors(rt: Runtime, box: Container) -> None:
    from wherry.engine.execs import run_captured
    from wherry.model.exec_session import ExecConfig

    reader, writer = os.pipe()
    config = ExecConfig(
        command=["sh", "-c", "echo through >/proc/self/fd/47; ls /proc/self/fd | wc -l"], preserve_fd=[47], user="0",
        attach_stdout=True,
    )
    try:
        os.dup2(writer, 47)
        try:
            done = run_captured(rt, box.id, config, None, 10)
        finally:
            os.close(47)
            os.close(writer)
        assert (done.exit_code, os.read(reader, 100)) == (0, b"through\n")
    finally:
        os.close(reader)
