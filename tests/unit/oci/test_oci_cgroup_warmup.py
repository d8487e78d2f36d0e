"""The warm-up changes nothing and never fails."""

from __future__ import annotations

import _thread
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.oci.conftest import descriptors

from wherry.oci import cgroup_warmup
from wherry.oci.cgroup_warmup import CgroupWarmup
from wherry.sys import cgroups
from wherry.sys.cgroups import Layout


def own() -> str:
    with open("/proc/self/cgroup", encoding="ascii") as file:
        return file.read()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pids: str) -> Path:
    """A make-believe unified tree in which this process is in /a."""
    (tmp_path / "a").mkdir()
    procs = tmp_path / "a/cgroup.procs"
    procs.write_text(pids)
    monkeypatch.setattr(cgroups, "layout", lambda: Layout(mode="v2", unified=str(tmp_path)))
    monkeypatch.setattr(cgroups, "own_path", lambda name="": "/a")
    return procs


def test_this_process_stays_where_it_is_and_the_thread_ends() -> None:
    before, open_before, threads = own(), descriptors(), _thread._count()
    warmup = CgroupWarmup().start()
    warmup.stop()
    wait_until(lambda: _thread._count() == threads)
    assert descriptors() <= open_before
    assert own() == before


def test_it_writes_until_it_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = descriptors()
    listing = f"1\n{os.getpid()}\n"
    procs = tree(tmp_path, monkeypatch, listing)
    warmup = CgroupWarmup().start()
    wait_until(lambda: len(procs.read_text()) >= len(listing) + 2)
    warmup.stop()
    wait_until(lambda: descriptors() <= before)
    assert set(procs.read_text()[len(listing):]) == {"0"}


def test_it_stops_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = descriptors()
    monkeypatch.setattr(cgroup_warmup, "_LONGEST", 0.02)
    listing = f"{os.getpid()}\n"
    procs = tree(tmp_path, monkeypatch, listing)
    CgroupWarmup().start()
    wait_until(lambda: len(procs.read_text()) > len(listing))
    wait_until(lambda: descriptors() <= before)


def test_a_list_without_us_is_not_ours_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    procs = tree(tmp_path, monkeypatch, f"1\n{os.getpid()}9\n")
    CgroupWarmup()._run()
    assert procs.read_text() == f"1\n{os.getpid()}9\n"


@pytest.mark.parametrize("layout", [Layout(), Layout(mode="v2", unified="/no/such/tree")])
def test_a_host_without_cgroups(monkeypatch: pytest.MonkeyPatch, layout: Layout) -> None:
    monkeypatch.setattr(cgroups, "layout", lambda: layout)
    before = descriptors()
    CgroupWarmup()._run()
    assert descriptors() <= before
