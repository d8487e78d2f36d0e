"""Exec sessions in a running container, with crun and runc."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.system.oci.conftest import CONMON, Box

from wherry.errors import RuntimeCommandNotFound, RuntimeFailed, RuntimePermissionDenied
from wherry.oci import exec as oci_exec
from wherry.oci.attach import CLOSED, DETACHED
from wherry.oci.exec import ExecLaunch, ExecStarted
from wherry.sys import processes

pytestmark = [pytest.mark.system, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]


class Host:
    """A running container and the sessions in it."""

    def __init__(self, box: Box, directory: Path) -> None:
        self.box = box
        self.directory = directory
        self.started: list[ExecStarted] = []

    def launch(self, *args: str, process: dict[str, Any] | None = None, **values: Any) -> ExecLaunch:
        session = f"s{len(self.started)}"
        return ExecLaunch(
            session=session, container=self.box.id, name="box", directory=f"{self.directory}/{session}",
            process={**self.box.spec["process"], "args": list(args), **(process or {})}, **values,
        )

    def start(self, *args: str, **values: Any) -> ExecStarted:
        started = oci_exec.start(CONMON, self.box.runtime, self.launch(*args, **values))
        self.started.append(started)
        return started

    def run(self, *args: str, data: bytes | None = None, **values: Any) -> tuple[int, bytes, bytes]:
        started = self.start(*args, **values)
        assert started.attachment is not None
        out, err = started.attachment.collect(data)
        found = started.wait(timeout=30)
        assert found is not None
        assert not found.lost
        return found.code, out, err

    def close(self) -> None:
        for started in self.started:
            started.close()
            if started.conmon_pid:
                assert processes.wait_gone(started.conmon_pid, started.conmon_start, timeout=30)


@pytest.fixture
def host(box: Box, tmp_path: Path) -> Iterator[Host]:
    box.command("sleep", "1000").create()
    box.start()
    made = Host(box, tmp_path / "exec")
    yield made
    box.runtime.delete(box.id, force=True)
    box.wait()
    made.close()


def test_output_and_exit_code(host: Host) -> None:
    assert host.run("sh", "-c", "echo out; echo err >&2; exit 6") == (6, b"out\n", b"err\n")


def test_nothing_is_lost_of_a_quick_command(host: Host) -> None:
    for number in range(10):
        assert host.run("echo", str(number)) == (0, f"{number}\n".encode(), b"")


def test_input_reaches_the_command(host: Host) -> None:
    data = os.urandom(500_000)
    assert host.run("wc", "-c", data=data, stdin=True) == (0, b"500000\n", b"")


def test_death_by_signal(host: Host) -> None:
    assert host.run("sh", "-c", "kill -9 $$")[0] == 137


def test_the_session_is_in_the_container(host: Host) -> None:
    started = host.start("sleep", "100")
    mine, theirs = f"/proc/{started.pid}/ns/pid", f"/proc/{host.box.created.pid if host.box.created else 0}/ns/pid"
    assert os.readlink(mine) == os.readlink(theirs)
    assert processes.start_time(started.pid) == started.pid_start
    assert started.wait(timeout=0.05) is None
    os.kill(started.pid, signal.SIGTERM)
    with started.watch() as watch:
        seen = watch.wait(timeout=30)
    found = started.wait(timeout=30)
    assert seen is not None
    assert found is not None
    assert (seen.code, found.code) == (143, 143)


def test_a_detached_session(host: Host) -> None:
    started = host.start("sh", "-c", "sleep 0.1; exit 2", attach=False)
    assert started.attachment is None
    with started.watch() as watch:
        seen = watch.wait(timeout=30)
    assert seen is not None
    assert seen.code == 2


def test_the_exit_command_of_a_session(host: Host, tmp_path: Path) -> None:
    script = tmp_path / "after"
    script.write_text(f"#!/bin/sh\ncat {tmp_path}/exec/s0/exit/{host.box.id} > {tmp_path}/seen\n")
    script.chmod(0o755)
    started = host.start("sh", "-c", "exit 8", attach=False, exit_command=[str(script)])
    assert processes.wait_gone(started.conmon_pid, started.conmon_start, timeout=30)
    assert (tmp_path / "seen").read_text() == "8"


@pytest.mark.parametrize(
    ("args", "kind", "code"),
    [
        (["nosuch"], RuntimeCommandNotFound, 127),
        (["/bin/nosuch"], RuntimeCommandNotFound, 127),
        (["/plain"], RuntimePermissionDenied, 126),
        (["/directory"], RuntimePermissionDenied, 126),
    ],
)
@pytest.mark.parametrize("attach", [True, False])
@pytest.mark.parametrize("terminal", [False, True])
def test_commands_that_cannot_be_run(
    host: Host, args: list[str], kind: type[RuntimeFailed], code: int, attach: bool, terminal: bool
) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(kind) as caught:
        host.start(*args, attach=attach, process={"terminal": terminal})
    assert caught.value.exit_code == code
    assert str(caught.value).startswith(f"{host.box.runtime.name}: ")
    assert not os.path.exists(f"{host.directory}/s0")
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_bad_working_directory(host: Host) -> None:
    with pytest.raises(RuntimeFailed) as caught:
        host.start("true", process={"cwd": "/plain"})
    assert caught.value.exit_code == 126


def test_a_container_that_has_ended(host: Host) -> None:
    host.box.runtime.kill(host.box.id, signal.SIGKILL)
    host.box.wait()
    with pytest.raises(RuntimeFailed):
        host.start("true")


def test_a_terminal(host: Host) -> None:
    script = "until stty size; do sleep 0.1; done; read x; echo got $x"
    started = host.start("sh", "-c", script, process={"terminal": True}, size=(33, 77))
    out, err = _talk(started, b"word\n")
    assert b"33 77" in out          # the terminal's echo may come before or after
    assert b"got word" in out
    assert err == b""
    found = started.wait(timeout=30)
    assert found is not None
    assert found.code == 0


def _talk(started: ExecStarted, data: bytes) -> tuple[bytes, bytes]:
    assert started.attachment is not None
    streams: dict[int, bytes] = {2: b"", 3: b""}

    def keep(stream: int, packets: list[memoryview]) -> None:
        streams[stream] += b"".join(packets)

    assert started.attachment.relay(keep, None, first=data) == CLOSED
    return streams[2], streams[3]


def test_detaching_leaves_the_command_running(host: Host) -> None:
    started = host.start("sleep", "100", process={"terminal": True})
    assert started.attachment is not None
    reader, writer = os.pipe()
    os.write(writer, b"\x10\x11")
    assert started.attachment.run(reader, None, None, detach_keys=b"\x10\x11") == DETACHED
    os.close(reader)
    os.close(writer)
    started.attachment.close()
    assert started.wait(timeout=0.1) is None
    assert processes.is_alive(started.pid, started.pid_start)
    os.kill(started.pid, signal.SIGKILL)
    found = started.wait(timeout=30)
    assert found is not None
    assert found.code == 137


def test_a_killed_conmon(host: Host) -> None:
    started = host.start("sleep", "100")
    os.kill(started.conmon_pid, signal.SIGKILL)
    assert started.wait(timeout=0.2) is None
    os.kill(started.pid, signal.SIGKILL)
    found = started.wait(timeout=30)
    assert found is not None
    assert found.lost


def test_preserved_descriptors(host: Host, tmp_path: Path) -> None:
    ours = os.open(tmp_path / "file", os.O_CREAT | os.O_RDWR)
    try:
        code, _, _ = host.run("sh", "-c", "echo hello >&3", preserve_fds=1, fds={3: ours})
    finally:
        os.close(ours)
    assert code == 0
    assert (tmp_path / "file").read_text() == "hello\n"


def test_the_environment_of_the_command_is_the_specs(host: Host) -> None:
    _, out, _ = host.run("env", process={"env": ["PATH=/bin", "MINE=1"]}, env=["OURS=1"])
    assert set(out.split()) - {b"HOME=/"} == {b"PATH=/bin", b"MINE=1"}


def test_a_user_of_its_own(host: Host) -> None:
    code, out, _ = host.run("id", "-u", process={"user": {"uid": 1234, "gid": 1234}})
    assert (code, out) == (0, b"1234\n")
