"""Event files of wherry and Podman: each reads the other's."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from wherry.events.codec import from_line, to_line
from wherry.events.human import line
from wherry.events.publisher import Publisher
from wherry.events.reader import EventReader
from wherry.model.event import Event

pytestmark = [
    pytest.mark.compat,
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("podman"), reason="needs root and podman"),
]


class Podman:
    """A Podman with a store and an event file of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.log = directory / "events.log"
        conf = directory / "containers.conf"
        conf.write_text(f'[engine]\nevents_logger="file"\nevents_logfile_path="{self.log}"\n')
        self.environment = {**os.environ, "CONTAINERS_CONF": str(conf), "TZ": "UTC"}

    def __call__(self, *words: str) -> str:
        at = self.directory
        places = ["--root", f"{at}/root", "--runroot", f"{at}/run", "--tmpdir", f"{at}/tmp"]
        done = subprocess.run(
            ["podman", *places, *words], env=self.environment, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def podman() -> Iterator[Podman]:
    directory = Path(tempfile.mkdtemp(prefix="we-"))        # Podman wants a short path for its run root
    yield Podman(directory)
    subprocess.run(["umount", "-l", str(directory / "root/overlay")], capture_output=True)
    shutil.rmtree(directory)


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_podmans_file_is_read(podman: Podman) -> None:
    podman("volume", "create", "--label", "a=b", "v1")
    podman("pod", "create", "--infra=false", "--name", "p1", "--label", "b=2", "--label", "a=1")
    podman("pod", "rm", "p1")
    podman("volume", "rm", "v1")
    events = list(EventReader("file", str(podman.log)).read(follow=False))
    wanted = [("volume", "create", "v1"), ("pod", "create", "p1"), ("pod", "remove", "p1"), ("volume", "remove", "v1")]
    assert [(event.type, event.status, event.name) for event in events if event.type != "system"] == wanted
    # Byte for byte what Podman writes, and line for line what it shows.
    assert [to_line(event) for event in events] == podman.log.read_text().splitlines()
    shown = podman("events", "--stream=false", "--since", "1h").splitlines()
    assert [line(event) for event in events if len(event.attributes) < 2] == [
        text for text in shown if "a=1" not in text
    ]


def test_our_file_is_read_by_podman(podman: Podman) -> None:
    podman("volume", "ls")
    podman.log.unlink(missing_ok=True)
    ours = [
        Event(type="container", status="died", id="a" * 64, name="web", exit_code=3, attributes={"k": "v"}),
        Event(type="image", status="pull", id="b" * 64, name="localhost/x:1"),
        Event(type="volume", status="create", name="data"),
    ]
    Publisher("file", str(podman.log)).publish(ours)
    shown = podman("events", "--stream=false", "--since", "1h").splitlines()
    assert shown == [line(event) for event in map(from_line, podman.log.read_text().splitlines())]


def test_both_write_one_file(podman: Podman) -> None:
    podman("volume", "create", "v1")
    Publisher("file", str(podman.log)).publish([Event(type="volume", status="create", name="v2")])
    podman("volume", "create", "v3")
    events = EventReader("file", str(podman.log)).read(follow=False, filters=["type=volume"])
    assert [event.name for event in events] == ["v1", "v2", "v3"]
