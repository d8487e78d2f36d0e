"""The life of a container, with the real conmon and OCI runtime."""

from __future__ import annotations

import time

import pytest
from tests.system.engine.conftest import IMAGE

from wherry.engine.runtime import Runtime
from wherry.errors import (
    NameInUse,
    NoSuchContainer,
    NoSuchImage,
    RuntimeCommandNotFound,
    RuntimePermissionDenied,
    StateError,
)

pytestmark = pytest.mark.system


def test_foreground_run_gives_output_and_exit_code(rt: Runtime) -> None:
    result = rt.containers.run(IMAGE, ["sh", "-c", "echo out; echo err >&2; exit 7"], remove=True, network="none")
    assert (result.exit_code, result.stdout, result.stderr) == (7, "out\n", "err\n")


def test_input_reaches_the_process(rt: Runtime) -> None:
    result = rt.containers.run(IMAGE, ["cat"], input=b"some bytes\n" * 1000, remove=True, network="none")
    assert result.stdout == "some bytes\n" * 1000


def test_life_of_a_container(rt: Runtime) -> None:
    container = rt.containers.create(IMAGE, ["sleep", "100"], name="life", network="none")
    assert container.status == "created"
    container.start()
    assert container.status == "running"
    container.start()
    assert [summary.name for summary in rt.containers.list()] == ["life"]
    with pytest.raises(StateError, match=r"cannot remove container .* as it is running"):
        container.remove()
    container.pause()
    assert container.status == "paused"
    container.unpause()
    assert container.stop(timeout=0) is True
    assert container.stop(timeout=0) is False
    assert container.status == "exited"
    assert container.wait() == 137
    container.start()
    container.kill("KILL")
    assert container.wait(timeout=10) == 137
    container.restart()
    assert container.status == "running"
    container.remove(force=True, timeout=0)
    with pytest.raises(NoSuchContainer, match='no container with name or ID "life" found: no such container'):
        rt.containers.get("life")


def test_events_of_a_foreground_run_are_in_order(rt: Runtime) -> None:
    rt.containers.run(IMAGE, ["true"], name="evented", remove=True, network="none")
    with open(rt.paths.events, encoding="utf-8") as file:
        import json

        records = [json.loads(line) for line in file]
    mine = [record["Status"] for record in records if record.get("Name") == "evented"]
    assert mine == ["create", "init", "start", "died", "remove"]


def test_exit_code_outlives_the_container(rt: Runtime) -> None:
    container = rt.containers.create(IMAGE, ["sh", "-c", "exit 5"], network="none", remove=True)
    container.start()
    assert container.wait(timeout=10) == 5
    deadline = time.monotonic() + 10
    while rt.containers.exists(container.id) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert container.wait() == 5


def test_missing_command(rt: Runtime) -> None:
    with pytest.raises(RuntimeCommandNotFound) as caught:
        rt.containers.run(IMAGE, ["nope"], remove=True, network="none")
    assert caught.value.exit_code == 127


def test_command_that_is_no_program(rt: Runtime) -> None:
    with pytest.raises(RuntimePermissionDenied) as caught:
        rt.containers.run(IMAGE, ["/etc/passwd"], remove=True, network="none")
    assert caught.value.exit_code == 126


def test_a_container_that_cannot_start_stays_without_rm(rt: Runtime) -> None:
    container = rt.containers.create(IMAGE, ["nope"], network="none")
    with pytest.raises(RuntimeCommandNotFound):
        container.start()
    assert container.status == "created"
    container.remove()


def test_name_in_use(rt: Runtime) -> None:
    with rt.containers.create(IMAGE, ["true"], name="taken", network="none") as first:
        with pytest.raises(NameInUse, match=f'the container name "taken" is already in use by {first.id}'):
            rt.containers.create(IMAGE, ["true"], name="taken", network="none")
        second = rt.containers.create(IMAGE, ["true"], name="taken", network="none", replace=True)
        assert not rt.containers.exists(first.id)
        second.remove()


def test_unknown_image(rt: Runtime) -> None:
    with pytest.raises(NoSuchImage, match="nope: image not known"):
        rt.containers.create("nope", ["true"], pull="never")


def test_exec(rt: Runtime) -> None:
    with rt.containers.create(IMAGE, ["sleep", "100"], network="none", environment={"A": "1"}) as container:
        container.start()
        done = container.exec(["sh", "-c", "echo $A $B; cat; exit 3"], environment={"B": "2"}, input=b"fed")
        assert (done.exit_code, done.stdout) == (3, "1 2\nfed")
        assert container.exec(["id", "-u"], user="user").stdout == "1000\n"
        assert container.exec(["pwd"], workdir="/tmp").stdout == "/tmp\n"
        with pytest.raises(RuntimeCommandNotFound):
            container.exec(["nope"])
        assert container.inspect()["ExecIDs"] == []
        container.stop(timeout=0)
        with pytest.raises(StateError, match="can only create exec sessions on running containers"):
            container.exec(["true"])


def test_logs(rt: Runtime) -> None:
    with rt.containers.create(IMAGE, ["sh", "-c", "echo one; echo two >&2; echo three"], network="none") as container:
        container.start()
        container.wait(timeout=10)
        lines = sorted((line.stream, line.text) for line in container.logs())
        assert lines == [("stderr", "two"), ("stdout", "one"), ("stdout", "three")]
        assert len(list(container.logs(tail=1))) == 1


def test_inspect_tells_what_was_asked(rt: Runtime) -> None:
    options = {"labels": {"a": "b"}, "environment": {"X": "y"}, "memory": "64m", "workdir": "/tmp", "hostname": "box"}
    with rt.containers.create(IMAGE, ["sleep", "1"], name="seen", network="none", **options) as container:
        data = container.inspect()
    assert data["Name"] == "seen"
    assert data["State"]["Status"] == "created"
    assert data["Config"]["Labels"] == {"a": "b"}
    assert "X=y" in data["Config"]["Env"]
    assert data["Config"]["WorkingDir"] == "/tmp"
    assert data["Config"]["Hostname"] == "box"
    assert data["Config"]["Cmd"] == ["sleep", "1"]
    assert data["HostConfig"]["Memory"] == 64 << 20
    assert data["HostConfig"]["NetworkMode"] == "none"
    assert data["ImageName"] == IMAGE
