"""Starting children, talking to them, and facts about processes."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from wherry.errors import TimedOut
from wherry.sys import processes

SHOW_FDS = "import os; print(sorted(int(f) for f in os.listdir('/proc/self/fd') if os.path.exists('/proc/self/fd/'+f)))"


def python(code: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", code]


@pytest.fixture(params=["", "/"], ids=["posix_spawn", "fork"])
def cwd(request: pytest.FixtureRequest) -> str:
    """Both ways of starting a process."""
    return str(request.param)


def test_run_collects_output_and_status(cwd: str) -> None:
    done = processes.run(["sh", "-c", "echo out; echo err >&2; exit 7"], cwd=cwd)
    assert (done.returncode, done.stdout, done.stderr) == (7, b"out\n", b"err\n")


def test_run_feeds_more_input_than_a_pipe_holds(cwd: str) -> None:
    data = os.urandom(1_000_000)
    assert processes.run(["cat"], input=data, cwd=cwd).stdout == data


def test_run_survives_a_child_that_does_not_read() -> None:
    assert processes.run(["true"], input=b"x" * 1_000_000).returncode == 0


def test_without_input_standard_input_is_empty() -> None:
    assert processes.run(["cat"]) == processes.Completed()


def test_death_by_signal_is_negative() -> None:
    assert processes.run(["sh", "-c", "kill -TERM $$"]).returncode == -signal.SIGTERM


def test_timeout_kills_the_child_and_leaves_no_zombie(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    with pytest.raises(TimedOut, match="did not finish within"):
        processes.run(["sh", "-c", f"echo $$ > {pid_file}; exec sleep 100"], timeout=0.3)
    assert not os.path.exists(f"/proc/{pid_file.read_text().strip()}")


def test_run_does_not_wait_for_descendants_that_keep_the_output_open(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    started = time.monotonic()
    done = processes.run(["sh", "-c", f"sleep 60 & echo $! > {pid_file}; echo started"])
    assert done.stdout == b"started\n"
    assert time.monotonic() - started < 30
    os.kill(int(pid_file.read_text()), signal.SIGKILL)


def test_run_leaves_no_descriptors(cwd: str) -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    processes.run(["true"], input=b"x", cwd=cwd)
    with pytest.raises(FileNotFoundError):
        processes.run(["/no/such/program"], input=b"x", cwd=cwd)
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_a_program_that_cannot_run_is_an_error_naming_it(cwd: str, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("#!/bin/sh\n")
    with pytest.raises(PermissionError) as caught:
        processes.spawn([str(plain)], cwd=cwd)
    assert caught.value.filename == str(plain)
    with pytest.raises(FileNotFoundError) as missing:
        processes.spawn(["no-such-program-anywhere"], cwd=cwd)
    assert missing.value.filename == "no-such-program-anywhere"


def test_a_missing_working_directory_is_an_error_naming_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        processes.spawn(["true"], cwd=str(tmp_path / "missing"))
    assert caught.value.filename == str(tmp_path / "missing")


def test_the_working_directory_is_the_childs_alone(tmp_path: Path) -> None:
    here = os.getcwd()
    assert processes.run(["pwd", "-P"], cwd=str(tmp_path)).stdout.decode().strip() == str(tmp_path.resolve())
    assert os.getcwd() == here


def test_only_named_descriptors_are_inherited(cwd: str) -> None:
    leaky, named = os.open("/dev/null", os.O_RDONLY), os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(leaky, True)
    try:
        done = processes.run(python(SHOW_FDS), fds={9: named}, cwd=cwd)
        assert done.stdout == b"[0, 1, 2, 9]\n", done
    finally:
        os.close(leaky)
        os.close(named)


def test_descriptors_can_trade_places(cwd: str, tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_text(name)
    first, second = os.open(tmp_path / "a", os.O_RDONLY), os.open(tmp_path / "b", os.O_RDONLY)
    try:
        code = f"import os; print(os.read({first}, 9), os.read({second}, 9))"
        swapped = processes.run(python(code), fds={first: second, second: first}, cwd=cwd)
        assert swapped.stdout == b"b'b' b'a'\n", swapped
        os.lseek(first, 0, 0), os.lseek(second, 0, 0)
        same = processes.run(python(code), fds={first: first, second: second}, cwd=cwd)
        assert same.stdout == b"b'a' b'b'\n", same
        assert not os.get_inheritable(first)
    finally:
        os.close(first)
        os.close(second)


def test_a_descriptor_may_replace_standard_error(cwd: str, tmp_path: Path) -> None:
    log = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        pid = processes.spawn(["sh", "-c", "echo hello >&2"], fds={2: log}, cwd=cwd)
        assert processes.wait(pid) == 0
    finally:
        os.close(log)
    assert (tmp_path / "log").read_text() == "hello\n"


def test_environment_is_replaced_or_handed_on(cwd: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHERRY_TEST_VARIABLE", "seen")
    assert processes.run(["/usr/bin/env"], env={"A": "1"}, cwd=cwd).stdout == b"A=1\n"
    assert b"WHERRY_TEST_VARIABLE=seen\n" in processes.run(["/usr/bin/env"], cwd=cwd).stdout


def test_signals_python_ignores_are_default_in_the_child(cwd: str) -> None:
    mask = int(processes.run(["sh", "-c", "grep SigIgn /proc/self/status"], cwd=cwd).stdout.split()[1], 16)
    assert mask >> (signal.SIGPIPE - 1) & 1 == 0
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    try:
        blocked = processes.run(["sh", "-c", "grep SigBlk /proc/self/status"], cwd=cwd).stdout
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
    assert int(blocked.split()[1], 16) == 0


def test_new_session(cwd: str) -> None:
    code = "import os; print(os.getsid(0) == os.getpid())"
    assert processes.run(python(code), cwd=cwd).stdout == b"False\n"
    reader, writer = os.pipe()
    pid = processes.spawn(python(code), fds={1: writer}, new_session=True, cwd=cwd)
    os.close(writer)
    try:
        assert os.read(reader, 100) == b"True\n"
    finally:
        os.close(reader)
    assert processes.wait(pid) == 0


def test_start_time_names_a_process_for_good() -> None:
    start = processes.start_time(os.getpid())
    assert start > 0
    assert processes.is_alive(os.getpid(), start)
    assert processes.is_alive(os.getpid())
    assert not processes.is_alive(os.getpid(), start + 1)
    assert processes.wait_gone(os.getpid(), start + 1)
    assert not processes.wait_gone(os.getpid(), start, timeout=0)


def test_a_zombie_is_dead_and_a_reaped_child_gone() -> None:
    pid = processes.spawn(["sleep", "100"])
    start = processes.start_time(pid)
    assert not processes.wait_gone(pid, start, timeout=0.01)
    os.kill(pid, signal.SIGKILL)
    assert processes.wait_gone(pid, start, timeout=30)
    assert processes.start_time(pid) == start       # a zombie still has its entry
    assert not processes.is_alive(pid, start)
    assert processes.wait(pid) == -signal.SIGKILL
    assert processes.start_time(pid) == 0
    assert not processes.is_alive(pid)
    assert processes.wait_gone(pid)


@pytest.mark.parametrize("pid", [0, -1])
def test_no_pid_is_no_process(pid: int) -> None:
    assert not processes.is_alive(pid)
    assert processes.wait_gone(pid)


def test_a_command_name_with_parentheses_does_not_confuse(tmp_path: Path) -> None:
    program = tmp_path / "a) R 1 (b"
    program.symlink_to("/bin/sleep")
    child = subprocess.Popen([str(program), "100"])
    try:
        assert processes.is_alive(child.pid, processes.start_time(child.pid))
    finally:
        child.kill()
        child.wait()


def test_boot_id_is_a_uuid_and_stays() -> None:
    assert len(processes.boot_id()) == 36
    assert processes.boot_id() == processes.boot_id()


def test_find_program(tmp_path: Path) -> None:
    program = tmp_path / "sh"
    program.write_text("#!/bin/sh\n")
    (tmp_path / "directory").mkdir()
    assert processes.find_program("sh", [str(tmp_path)]) in ("/usr/bin/sh", "/bin/sh")      # not executable yet
    program.chmod(0o755)
    assert processes.find_program("sh", [str(tmp_path)]) == str(program)
    assert processes.find_program(str(program)) == str(program)
    assert processes.find_program("directory", [str(tmp_path)]) == ""
    assert processes.find_program(str(tmp_path / "directory")) == ""
    assert processes.find_program("no-such-program-anywhere") == ""


def test_an_interrupted_run_leaves_no_child(monkeypatch: pytest.MonkeyPatch) -> None:
    pids: list[int] = []

    def interrupted(pid: int) -> int:
        pids.append(pid)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "pidfd_open", interrupted)
    with pytest.raises(KeyboardInterrupt):
        processes.run(["sleep", "100"])
    with pytest.raises(ProcessLookupError) as caught:
        os.kill(pids[0], 0)
    assert caught.value.errno == errno.ESRCH
