"""The shell's part of the exit command: when the interpreter is spared, and when it never may be."""

from __future__ import annotations

import fcntl
import os
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from wherry.engine.exit_command import with_shortcut
from wherry.engine.owner import DONE
from wherry.model.container import ContainerConfig
from wherry.model.pod import PodConfig, PodState


class Place:
    def __init__(self, base: Path, pod: str = "", policy: str = "continue") -> None:
        self.base = base
        self.owner = base / "owners" / "c1"
        self.static = base / "static"
        self.ran = base / "ran"
        config = ContainerConfig(
            id="c1", pod=pod, static_dir=str(self.static), exit_command=["/bin/sh", "-c", f"echo . >> {self.ran}"]
        )
        state = SimpleNamespace(pod=lambda _identity: (PodConfig(exit_policy=policy), PodState()))
        runtime = SimpleNamespace(paths=SimpleNamespace(owners=str(base / "owners")), state=state)
        held: Any = SimpleNamespace(id="c1", config=config, runtime=runtime)
        self.words = list(with_shortcut(held))
        self.owner.parent.mkdir()
        self.static.mkdir()

    def run(self) -> bool:
        """Run the words; was the exit command itself reached?"""
        subprocess.run(self.words, check=True, timeout=10)
        return self.ran.exists()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_nobody_owned_the_end(place: Place) -> None:
    assert place.run()


def test_the_owner_died_without_a_word(place: Place) -> None:
    place.owner.write_bytes(b"")
    assert place.run()


def test_the_owner_died_while_it_removed_the_container(place: Place) -> None:
    place.owner.write_bytes(b"")
    place.static.rmdir()
    assert place.run()


def test_the_owner_did_everything(place: Place) -> None:
    place.owner.write_bytes(DONE)
    assert not place.run()


def test_the_container_was_removed(place: Place) -> None:
    place.static.rmdir()
    assert not place.run()


def test_it_waits_for_the_owner(place: Place) -> None:
    place.owner.write_bytes(b"")
    with place.owner.open("r+b") as owner:
        fcntl.flock(owner, fcntl.LOCK_SH)
        process = subprocess.Popen(place.words)
        time.sleep(0.2)
        assert process.poll() is None and not place.ran.exists()
        os.pwrite(owner.fileno(), DONE, 0)
    assert process.wait(10) == 0
    assert not place.ran.exists()


def test_without_flock_the_exit_command_runs(place: Place) -> None:
    place.owner.write_bytes(b"")
    subprocess.run(place.words, check=True, env={"PATH": "/nonexistent"}, timeout=10)
    assert place.ran.exists()


def test_members_of_pods_that_end_with_them_have_no_shortcut(tmp_path: Path) -> None:
    place = Place(tmp_path, pod="p1", policy="stop")
    place.owner.write_bytes(DONE)
    assert place.run()


def test_other_members_have(tmp_path: Path) -> None:
    place = Place(tmp_path, pod="p1")
    place.owner.write_bytes(DONE)
    assert not place.run()
