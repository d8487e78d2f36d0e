"""A container's life through conmon with crun and runc."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from tests.system.oci.conftest import CONMON, Box, processes_of

from wherry.errors import NotFound, RuntimeCommandNotFound, RuntimeFailed, RuntimePermissionDenied
from wherry.oci import bundle, conmon
from wherry.oci.failures import ContainerGone
from wherry.sys import cgroups, processes

pytestmark = [pytest.mark.system, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]


def test_output_exit_code_and_log(box: Box) -> None:
    found, out, err = box.command("sh", "-c", "echo to out; echo to err >&2; exit 7").run()
    assert (found.code, found.oom, found.lost) == (7, False, False)
    assert (out, err) == (b"to out\n", b"to err\n")
    assert abs(time.time_ns() - found.time_ns) < 60_000_000_000
    assert sorted(line.split(" ", 1)[1] for line in box.log().splitlines()) == ["stderr F to err", "stdout F to out"]


def test_creation_reports_the_processes(box: Box) -> None:
    created = box.command("sleep", "100").create()
    assert processes.start_time(created.pid) == created.pid_start > 0
    assert processes.start_time(created.conmon_pid) == created.conmon_start > 0
    assert Path(f"/proc/{created.conmon_pid}/comm").read_text() == "conmon\n"
    assert Path(f"/proc/{created.pid}/stat").read_text().split()[3] == str(created.conmon_pid)
    assert Path(box.launch.container_pid_path).read_text() == str(created.pid)
    state = box.runtime.state(box.id)
    assert state is not None
    assert (state["status"], state["pid"]) == ("created", created.pid)
    box.runtime.delete(box.id, force=True)
    assert box.wait().code == 137


def test_signals_states_and_deletion(box: Box) -> None:
    created = box.command("sh", "-c", "trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done").create()
    with box.attach() as attachment, box.watch() as watch:
        box.start()
        first: list[bytes] = []
        os.set_blocking(attachment.fileno(), True)
        first.append(os.read(attachment.fileno(), 100))
        assert first == [b"\x02ready\n"]
        assert (box.runtime.state(box.id) or {})["status"] == "running"
        with pytest.raises(RuntimeFailed):
            box.runtime.delete(box.id)
        assert watch.wait(timeout=0.05) is None
        box.runtime.kill(box.id, signal.SIGTERM, pid=created.pid, pid_start=created.pid_start)
        found = watch.wait(timeout=30)
    assert found is not None
    assert found.code == 3
    assert (box.runtime.state(box.id) or {})["status"] == "stopped"
    with pytest.raises(ContainerGone):
        box.runtime.kill(box.id, signal.SIGKILL, pid=created.pid, pid_start=created.pid_start)
    with pytest.raises(ContainerGone):
        box.runtime.kill(box.id, signal.SIGKILL)
    box.runtime.delete(box.id)
    box.runtime.delete(box.id)
    assert box.runtime.state(box.id) is None


def test_killing_through_the_runtime(box: Box) -> None:
    box.command("sleep", "100").create()
    box.start()
    box.runtime.kill(box.id, signal.SIGKILL)
    assert box.wait().code == 137
    box.runtime.begin_delete(box.id).finish()


def test_pausing(box: Box) -> None:
    box.command("sleep", "100").create()
    box.start()
    box.runtime.pause(box.id)
    assert (box.runtime.state(box.id) or {})["status"] == "paused"
    box.runtime.resume(box.id)
    assert (box.runtime.state(box.id) or {})["status"] == "running"
    box.runtime.delete(box.id, force=True)
    box.wait()
    with pytest.raises(RuntimeFailed):
        box.runtime.pause(box.id)


def test_update(box: Box) -> None:
    box.command("sleep", "100").create()
    box.start()
    box.runtime.update(box.id, {"pids": {"limit": 77}})
    layout = cgroups.layout()
    where = layout.directory(layout.controllers.get("pids", layout.unified), box.cgroup)
    assert Path(where, "pids.max").read_text() == "77\n"
    box.runtime.delete(box.id, force=True)
    box.wait()


@pytest.mark.parametrize(
    ("args", "kind", "code", "crun", "runc"),
    [
        (["nosuch"], RuntimeCommandNotFound, 127,
         "executable file `nosuch` not found in $PATH: No such file or directory",
         'exec: "nosuch": executable file not found in $PATH'),
        (["/bin/nosuch"], RuntimeCommandNotFound, 127,
         "executable file `/bin/nosuch` not found in $PATH: No such file or directory",
         'exec: "/bin/nosuch": stat /bin/nosuch: no such file or directory'),
        (["/plain"], RuntimePermissionDenied, 126, "open executable: Permission denied",
         'exec: "/plain": permission denied'),
        (["/directory"], RuntimePermissionDenied, 126, "open executable: Operation not permitted",
         'exec: "/directory": permission denied'),
    ],
)
def test_commands_that_cannot_be_run(
    box: Box, args: list[str], kind: type[RuntimeFailed], code: int, crun: str, runc: str
) -> None:
    with pytest.raises(kind) as caught:
        box.command(*args).create()
    text = crun if box.runtime.name == "crun" else f"runc create failed: unable to start container process: {runc}"
    assert str(caught.value) == f"{box.runtime.name}: {text}: {kind.cause}"
    assert caught.value.exit_code == code
    assert box.runtime.state(box.id) is None
    assert os.listdir(box.run_dir) in ([], ["ctr.log"])
    assert os.listdir(box.bundle) == ["config.json"]


def test_a_working_directory_that_is_none(box: Box) -> None:
    with pytest.raises(RuntimeFailed) as caught:
        box.command("true", cwd="/plain").create()
    assert type(caught.value) is RuntimeFailed
    assert str(caught.value).startswith(f"OCI runtime error: {box.runtime.name}: ")
    assert "ot a directory" in str(caught.value)
    assert caught.value.exit_code == 126


def test_a_spec_the_runtime_does_not_take(box: Box) -> None:
    box.spec["linux"]["namespaces"].append({"type": "nonsense"})
    with pytest.raises(RuntimeFailed):
        box.create()


def test_a_failed_creation_can_be_repeated(box: Box) -> None:
    with pytest.raises(RuntimeCommandNotFound):
        box.command("nosuch").create()
    found, out, _ = box.command("echo", "now").run()
    assert (found.code, out) == (0, b"now\n")


def test_the_exit_command_runs_after_the_exit_is_known(box: Box, tmp_path: Path) -> None:
    script = tmp_path / "exit-command"
    script.write_text(f"#!/bin/sh\ncat {box.launch.exit_dir}/$1 > {tmp_path}/seen; sleep 0.5; touch {tmp_path}/done\n")
    script.chmod(0o755)
    created = box.command("sh", "-c", "exit 5").create(exit_command=[str(script), box.id])
    box.start()
    assert box.wait().code == 5
    assert not (tmp_path / "done").exists()
    assert processes.wait_gone(created.conmon_pid, created.conmon_start, timeout=30)
    assert (tmp_path / "done").exists()
    assert (tmp_path / "seen").read_text() == "5"
    box.runtime.delete(box.id)


def test_the_exit_command_of_a_failed_creation_does_not_linger(box: Box, tmp_path: Path) -> None:
    script = tmp_path / f"exit-{box.id}"
    script.write_text("#!/bin/sh\nsleep 100\n")
    script.chmod(0o755)
    with pytest.raises(RuntimeCommandNotFound):
        box.command("nosuch").create(exit_command=[str(script)])


def test_a_restart_does_not_see_the_old_exit(box: Box) -> None:
    found, _, _ = box.command("sh", "-c", "exit 9").run()
    assert found.code == 9
    box.command("sleep", "100").create()
    box.start()
    with box.watch() as watch:
        assert watch.read() is None
        assert watch.wait(timeout=0.05) is None
    box.runtime.delete(box.id, force=True)
    assert box.wait().code == 137


def test_a_killed_conmon(box: Box) -> None:
    created = box.command("sleep", "100").create()
    box.start()
    with box.watch() as watch:
        os.kill(created.conmon_pid, signal.SIGKILL)
        assert watch.wait(timeout=0.2) is None
        assert processes.is_alive(created.pid, created.pid_start)
        box.runtime.kill(box.id, signal.SIGKILL)
        found = watch.wait(timeout=30)
    assert found is not None
    assert found.lost
    box.runtime.delete(box.id, force=True)


def test_conmon_killed_while_it_creates(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """The monitor disappears as soon as its pid file is there."""
    box.command("sleep", "100")
    for delay in (0.0, 0.002, 0.005, 0.01, 0.02):
        bundle.write(str(box.bundle), box.spec)
        creation = conmon.begin(CONMON, box.runtime, box.launch)
        while not (pid := creation._monitor.conmon_pid()):
            time.sleep(0.0005)
        time.sleep(delay)
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        try:
            creation.finish()
        except RuntimeFailed:
            assert box.runtime.state(box.id) is None
        else:
            box.runtime.delete(box.id, force=True)


def test_abandoning_at_any_moment(box: Box) -> None:
    box.command("sleep", "100")
    for delay in (0.0, 0.002, 0.005, 0.01, 0.02, 0.05):
        bundle.write(str(box.bundle), box.spec)
        creation = conmon.begin(CONMON, box.runtime, box.launch)
        time.sleep(delay)
        creation.abandon()
        assert box.runtime.state(box.id) is None
        assert os.listdir(box.bundle) == ["config.json"]


def test_the_time_limit(box: Box) -> None:
    box.command("sleep", "100").create(timeout=1)
    box.start()
    assert box.wait().code == -1
    box.runtime.delete(box.id, force=True)


def test_out_of_memory(box: Box) -> None:
    box.spec["linux"]["resources"] = {"memory": {"limit": 8 << 20, "swap": 8 << 20}}
    found, _, _ = box.command("sh", "-c", "x=a; while :; do x=$x$x; done").run()
    assert found.code in (137, 2)
    assert found.oom
    assert not os.path.exists("oom")


def test_conmon_in_a_cgroup_of_its_own(box: Box) -> None:
    group = f"{box.cgroup}-conmon"
    created = box.command("sleep", "100").create(conmon_cgroup=group)
    try:
        assert created.conmon_pid in cgroups.processes(group)
    finally:
        box.runtime.delete(box.id, force=True)
        box.wait()
        assert processes.wait_gone(created.conmon_pid, created.conmon_start, timeout=30)
        cgroups.remove(group)


def test_passthrough_hands_on_our_streams(box: Box, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    box.command("sh", "-c", "echo straight; exit 4").create(log_driver="passthrough")
    with pytest.raises(NotFound):
        box.attach()
    box.start()
    assert box.wait().code == 4
    assert capfd.readouterr().out == "straight\n"
    box.runtime.delete(box.id)


def test_preserved_descriptors_reach_the_container(box: Box, tmp_path: Path) -> None:
    ours = os.open(tmp_path / "file", os.O_CREAT | os.O_RDWR)
    try:
        box.command("sh", "-c", "ls /proc/self/fd; echo hello >&3").create(preserve_fds=1, fds={3: ours})
        with box.attach() as attachment:
            box.start()
            out, _ = attachment.collect(None)
    finally:
        os.close(ours)
    assert box.wait().code == 0
    # The fourth is ls's own look at the directory.
    assert out.split() == [b"0", b"1", b"2", b"3", b"4"]
    assert (tmp_path / "file").read_text() == "hello\n"
    box.runtime.delete(box.id)


def test_nothing_of_ours_leaks_into_the_container(box: Box, tmp_path: Path) -> None:
    ours = [os.open(tmp_path / f"file{number}", os.O_CREAT | os.O_RDWR) for number in range(5)]
    for fd in ours:
        os.set_inheritable(fd, True)
    try:
        _, out, _ = box.command("sh", "-c", "ls /proc/self/fd; env").run()
    finally:
        for fd in ours:
            os.close(fd)
    words = out.split()
    assert words[:4] == [b"0", b"1", b"2", b"3"]
    assert {word.partition(b"=")[0] for word in words[4:]} <= {b"PATH", b"SHLVL", b"PWD", b"HOME"}


def test_a_held_descriptor_is_released_at_the_exit(box: Box) -> None:
    reader, writer = os.pipe()
    try:
        box.command("cat").create(stdin=True, fds={7: writer})
        os.close(writer)
        os.set_blocking(reader, False)
        box.start()
        with pytest.raises(BlockingIOError):
            os.read(reader, 1)
        with box.attach() as attachment:
            attachment.collect(b"")
        box.wait()
        assert os.read(reader, 1) == b""
    finally:
        os.close(reader)
    box.runtime.delete(box.id)


def test_the_monitor_is_not_our_child(box: Box) -> None:
    created = box.command("sleep", "100").create()
    with pytest.raises(ChildProcessError):
        os.waitpid(created.conmon_pid, os.WNOHANG)
    box.runtime.delete(box.id, force=True)
    box.wait()
    assert processes.wait_gone(created.conmon_pid, created.conmon_start, timeout=30)
    assert processes_of(box.id) == []
