"""Reading exits and waiting for them, with a shell in the part of conmon."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.oci.conftest import descriptors

from wherry.oci.exits import Exit, ExitWatch, read_exit
from wherry.sys import processes


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name in ("exits", "persist", "bundle"):
        (tmp_path / name).mkdir()
    os.mkfifo(tmp_path / "bundle/ctl")
    return tmp_path


@pytest.fixture
def container(place: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process in the part of the container's."""
    with subprocess.Popen(["sleep", "100"]) as process:
        yield process
        process.kill()


def conmon(place: Path, script: str) -> subprocess.Popen[bytes]:
    """A process that holds the reading end of ctl like conmon, waits for a line, then runs *script* and ends."""
    process = subprocess.Popen(
        ["sh", "-c", f'exec 5<>{place}/bundle/ctl 6<{place}/bundle/ctl 5>&-; echo ready; read line; {script}'],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


def watch(place: Path, container: subprocess.Popen[bytes], monitor: subprocess.Popen[bytes]) -> ExitWatch:
    return ExitWatch(
        f"{place}/exits", "c1", f"{place}/bundle", pid=container.pid, pid_start=processes.start_time(container.pid),
        conmon_pid=monitor.pid, conmon_start=processes.start_time(monitor.pid), persist_dir=f"{place}/persist",
    )


def test_no_exit_file_is_no_exit(place: Path) -> None:
    assert read_exit(f"{place}/exits", "c1") is None
    assert read_exit(f"{place}/none", "c1") is None


def test_an_exit_file_is_read(place: Path) -> None:
    (place / "exits/c1").write_text("137")
    os.utime(place / "exits/c1", ns=(1, 1_700_000_000_123_456_789))
    assert read_exit(f"{place}/exits", "c1") == Exit(code=137, time_ns=1_700_000_000_123_456_789)


@pytest.mark.parametrize("where", ["persist", "bundle"])
def test_an_oom_file_in_either_place_counts(place: Path, where: str) -> None:
    (place / "exits/c1").write_text("137")
    (place / where / "oom").touch()
    found = read_exit(f"{place}/exits", "c1", persist_dir=f"{place}/persist", bundle=f"{place}/bundle")
    assert found is not None
    assert found.oom


def test_conmon_timeout_is_minus_one(place: Path) -> None:
    (place / "exits/c1").write_text("-1")
    found = read_exit(f"{place}/exits", "c1")
    assert found is not None
    assert found.code == -1


def test_an_exit_already_there_needs_no_wait(place: Path, container: subprocess.Popen[bytes]) -> None:
    (place / "exits/c1").write_text("0")
    with ExitWatch(f"{place}/exits", "c1", f"{place}/bundle", pid=container.pid) as waiting:
        assert waiting.fileno() == -1
        found = waiting.wait(timeout=0)
    assert found is not None
    assert (found.code, found.lost) == (0, False)


def test_wait_ends_when_conmon_closes_the_fifo_though_it_lives_on(
    place: Path, container: subprocess.Popen[bytes]
) -> None:
    before = descriptors()
    with conmon(place, f"echo -n 3 > {place}/exits/c1; exec 6<&-; exec sleep 100") as monitor:
        assert monitor.stdin is not None
        with watch(place, container, monitor) as waiting:
            assert waiting.wait(timeout=0.05) is None
            monitor.stdin.write(b"\n")
            monitor.stdin.flush()
            found = waiting.wait(timeout=20)
        assert found is not None
        assert (found.code, found.lost) == (3, False)
        assert monitor.poll() is None
        monitor.kill()
    assert descriptors() <= before


def test_without_a_fifo_the_exit_file_is_enough_though_conmon_lives_on(
    place: Path, container: subprocess.Popen[bytes]
) -> None:
    """conmon waits for its exit command, which waits for the lock of who waits here."""
    command = f"read line; echo -n 4 > {place}/exits/c1; exec sleep 100"
    with subprocess.Popen(["sh", "-c", command], stdin=subprocess.PIPE) as monitor:
        assert monitor.stdin is not None
        with watch(place, container, monitor) as waiting:
            assert waiting.fileno() == -1
            assert waiting.wait(timeout=0.05) is None
            container.kill()
            container.wait()
            assert waiting.wait(timeout=0.05) is None
            monitor.stdin.write(b"\n")
            monitor.stdin.flush()
            found = waiting.wait(timeout=20)
        assert found is not None
        assert (found.code, found.lost) == (4, False)
        assert monitor.poll() is None
        monitor.kill()


def test_killed_conmon_is_lost_only_when_the_container_has_ended(
    place: Path, container: subprocess.Popen[bytes]
) -> None:
    with conmon(place, "") as monitor:
        waiting = watch(place, container, monitor)
        monitor.kill()
        monitor.wait()
        assert waiting.wait(timeout=0.1) is None
        container.kill()
        started = time.time_ns()
        found = waiting.wait(timeout=20)
        waiting.close()
    assert found is not None
    assert (found.code, found.lost) == (-1, True)
    assert found.time_ns >= started


def test_without_a_fifo_the_end_of_conmon_tells(place: Path, container: subprocess.Popen[bytes]) -> None:
    (place / "bundle/other").mkdir()
    with (
        subprocess.Popen(["sh", "-c", f"sleep 0.2; kill {container.pid}; echo -n 5 > {place}/exits/c1"]) as monitor,
        ExitWatch(
            f"{place}/exits", "c1", f"{place}/bundle/other", pid=container.pid, conmon_pid=monitor.pid,
        ) as waiting,
    ):
        assert waiting.fileno() == -1
        found = waiting.wait(timeout=20)
    assert found is not None
    assert found.code == 5


def test_a_reused_pid_is_not_waited_for(place: Path, container: subprocess.Popen[bytes]) -> None:
    with ExitWatch(
        f"{place}/exits", "c1", f"{place}/bundle", pid=container.pid, pid_start=1, conmon_pid=container.pid,
        conmon_start=1,
    ) as waiting:
        found = waiting.wait(timeout=20)
    assert found is not None
    assert found.lost
