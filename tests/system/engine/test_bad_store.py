"""A store that is damaged, locked, read-only or full; a database of somebody else."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.helpers.leaks import assert_nothing_leaked
from tests.system.engine.conftest import IMAGE, open_runtime
from tests.system.engine.recovering import at_rest, until

from wherry import errors
from wherry.engine.runtime import Runtime

pytestmark = pytest.mark.system


def works(rt: Runtime) -> None:
    result = rt.containers.run(IMAGE, ["echo", "works"], network="none", remove=True)
    assert (result.exit_code, result.stdout) == (0, "works\n")
    assert rt.check(quick=True) == []


# -- damage ------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("content", [b"{ this is no JSON", b"", b'{"a": 1}', b"[1, 2]", b"\x00" * 100])
@pytest.mark.parametrize("name", ["layers", "images", "containers"])
def test_damaged_records(own: Path, name: str, content: bytes) -> None:
    """A clear error naming the file, and nothing is wiped."""
    path = own / "root" / f"overlay-{name}" / f"{name}.json"
    with open_runtime(own) as rt:
        rt.containers.create(IMAGE, ["true"], name="kept", network="none")
    good = path.read_bytes()
    path.write_bytes(content)
    with open_runtime(own) as rt:
        if content:
            with pytest.raises(errors.Corrupt, match=str(path)) as caught:
                rt.containers.create(IMAGE, ["true"], network="none")
            assert caught.value.exit_code == 125
            unreadable = [finding for finding in rt.check(quick=True, repair=True) if finding.area == "storage"]
            assert [(str(path) in finding.text, finding.repaired) for finding in unreadable] == [(True, False)]
            assert path.read_bytes() == content
        else:
            # An empty file is what a crash of the file system leaves; the storage library takes it for no records.
            with pytest.raises(errors.WherryError):
                rt.containers.create(IMAGE, ["true"], name="kept", network="none", pull="never")
    path.write_bytes(good)
    with open_runtime(own) as rt:
        at_rest(rt)     # of what was tried meanwhile
        works(rt)
        rt.containers.get("kept").remove()
        works(rt)


def test_damaged_database(own: Path) -> None:
    database = own / "root/wherry/state.db"
    with open_runtime(own) as rt:
        rt.containers.create(IMAGE, ["true"], name="kept", network="none")
    good = {path.name: path.read_bytes() for path in database.parent.glob("state.db*")}
    for path in database.parent.glob("state.db*"):
        path.unlink()
    database.write_bytes(b"this is no database" * 1000)
    with open_runtime(own) as rt:
        with pytest.raises(errors.Corrupt, match=str(database)) as caught:
            rt.containers.list(all=True)
        assert caught.value.exit_code == 125
        with pytest.raises(errors.Corrupt):
            rt.containers.create(IMAGE, ["true"])
    assert database.read_bytes() == b"this is no database" * 1000
    for name, content in good.items():
        (database.parent / name).write_bytes(content)
    with open_runtime(own) as rt:
        rt.containers.get("kept").remove()
        works(rt)


def test_lost_storage_of_a_container(own: Path) -> None:
    with open_runtime(own) as rt:
        container = rt.containers.create(IMAGE, ["true"], name="lost", network="none")
        rt.store.delete_container(container.id)
        assert any("has lost its storage" in finding.text for finding in rt.check(quick=True))
        with pytest.raises(errors.NotFound):
            container.start()
        assert container.status == "created"
        container.inspect()
        container.remove()
        works(rt)


# -- somebody else's database ------------------------------------------------------------------------------------------

def test_database_made_for_other_paths(own: Path) -> None:
    with open_runtime(own) as rt:
        rt.containers.create(IMAGE, ["true"], name="kept", network="none")
    with Runtime(root=f"{own}/root", runroot=f"{own}/other", storage_driver="overlay") as rt:
        with pytest.raises(errors.ConfigurationMismatch) as caught:
            rt.containers.list(all=True)
        assert str(caught.value) == (
            f'database run root "{own}/run" does not match our run root "{own}/other": database configuration mismatch'
        )
        assert caught.value.exit_code == 125
        with pytest.raises(errors.ConfigurationMismatch):
            rt.containers.create(IMAGE, ["true"])
        assert len(rt.store.containers()) == 1
    with open_runtime(own) as rt:
        rt.containers.get("kept").remove()
        works(rt)


def test_database_of_a_newer_wherry(own: Path) -> None:
    with open_runtime(own) as rt:
        rt.containers.create(IMAGE, ["true"], name="kept", network="none")
    pragma = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute(f'PRAGMA user_version={sys.argv[2]}')"
    database = f"{own}/root/wherry/state.db"
    subprocess.run([sys.executable, "-c", pragma, database, "99"], check=True)
    with open_runtime(own) as rt:
        with pytest.raises(errors.ConfigurationMismatch, match="schema version 99 is newer than version") as caught:
            rt.containers.list(all=True)
        assert caught.value.exit_code == 125
        with pytest.raises(errors.ConfigurationMismatch):
            rt.containers.run(IMAGE, ["true"])
    from wherry.state.database import VERSION

    subprocess.run([sys.executable, "-c", pragma, database, str(VERSION)], check=True)
    with open_runtime(own) as rt:
        rt.containers.get("kept").remove()
        works(rt)


# -- locks -------------------------------------------------------------------------------------------------------------

#: Holds a lock of the store the way other engines do (a classic record lock) until its input ends.
HOLDER = """
import fcntl, sys
with open(sys.argv[1], "r+") as file:
    fcntl.lockf(file, fcntl.LOCK_EX)
    print("locked", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("lock", ["overlay-layers/layers.lock", "overlay-containers/containers.lock"])
def test_store_locked_by_another_process(own: Path, lock: str) -> None:
    with open_runtime(own) as rt:
        works(rt)
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLDER, own / "root" / lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"locked\n"
        waiting = threading.Thread(target=works, args=(rt,))
        waiting.start()
        time.sleep(0.3)
        assert waiting.is_alive()       # it waits
        holder.stdin.close()
        waiting.join(60)
        assert not waiting.is_alive()
        assert holder.wait(10) == 0
        holder.stdout.close()
        works(rt)


def test_container_locked_by_another_process(rt: Runtime, base: Path) -> None:
    with rt.containers.create(IMAGE, ["true"], network="none") as container, open_runtime(base) as other:
        release = threading.Event()
        held = threading.Event()

        def hold() -> None:
            with other.lock(container.id):
                held.set()
                release.wait(60)

        holder = threading.Thread(target=hold)
        holder.start()
        assert held.wait(10)
        try:
            with pytest.raises(errors.TimedOut, match="timed out waiting for lock"), rt.lock(container.id, timeout=0.2):
                pass
            assert rt.containers.list(all=True)[0].state == "created"       # looking needs no lock
            starting = threading.Thread(target=container.start)
            starting.start()
            time.sleep(0.2)
            assert starting.is_alive()
        finally:
            release.set()
        holder.join(10)
        starting.join(30)
        until(lambda: container.status == "exited")


# -- no room, no way ---------------------------------------------------------------------------------------------------

def remount(base: Path, how: str) -> None:
    """It is busy as long as an exit command has the database open."""
    until(lambda: subprocess.run(["mount", "-o", f"remount,{how}", base / "root"], check=False).returncode == 0)


def test_read_only_disk(small: Path, layout: Path) -> None:
    with open_runtime(small) as rt:
        works(rt)
        idle = rt.containers.create(IMAGE, ["true"], name="idle", network="none")
    remount(small, "ro")
    with open_runtime(small) as rt:
        before = snapshot(small)
        verbs: list[Callable[[], object]] = [
            lambda: rt.containers.create(IMAGE, ["true"], network="none"),
            lambda: rt.containers.run(IMAGE, ["true"], network="none", remove=True),
            lambda: rt.containers.get("idle").start(),
            lambda: rt.containers.get("idle").remove(),
            lambda: rt.images.load(str(layout)),
            lambda: rt.images.remove(IMAGE, force=True),
        ]
        for verb in verbs:
            with pytest.raises(errors.ReadOnly) as caught:
                verb()
            assert caught.value.exit_code == 125
        assert snapshot(small) == before
    remount(small, "rw")
    with open_runtime(small) as rt:
        assert rt.containers.get("idle").id == idle.id
        rt.containers.get("idle").remove()
        works(rt)


def snapshot(base: Path) -> list[str]:
    return sorted(str(path) for path in (base / "root").rglob("*") if "/merged/" not in str(path))


def fill(base: Path, leave: int) -> Path:
    """Take all room but *leave* bytes."""
    blob = base / "root/blob"
    with open(blob, "wb") as file:
        free = os.statvfs(blob).f_bavail * os.statvfs(blob).f_bsize
        file.write(bytes(max(0, free - leave)))
    return blob


@pytest.mark.parametrize("leave", [0, 4096, 16384, 32768, 65536, 131072])
def test_full_disk(small: Path, leave: int) -> None:
    """Whatever does not fit fails as such, leaves nothing, and works once there is room."""
    with open_runtime(small) as rt:
        works(rt)
        rt.containers.create(IMAGE, ["sleep", "1000"], name="idle", network="none")
        layers = len(rt.store.layers())
        blob = fill(small, leave)
        failures = 0
        for verb in (
            lambda: rt.containers.create(IMAGE, ["true"], name="another", network="none", volumes=["/data"]),
            lambda: rt.containers.run(IMAGE, ["true"], network="none", remove=True),
            lambda: rt.containers.get("idle").start(),
        ):
            try:
                verb()
            except errors.NoSpace as error:
                failures += 1
                assert error.exit_code == 125
        assert failures or leave >= 65536
        blob.unlink()
        at_rest(rt)
        if rt.containers.exists("another"):
            rt.containers.get("another").remove(volumes=True)
        assert len(rt.store.layers()) == layers
        rt.containers.get("idle").start()
        assert rt.containers.get("idle").status == "running"
        rt.containers.get("idle").remove(force=True, timeout=0)
        works(rt)
        assert_nothing_leaked(rt, layers - 1)


def test_full_disk_while_a_container_runs(small: Path) -> None:
    """It fills the disk itself; it can be stopped and removed all the same."""
    with open_runtime(small) as rt:
        container = rt.containers.start_detached(
            IMAGE, ["sh", "-c", "cat /dev/zero > /big; sleep 1000"], name="greedy", network="none"
        )
        until(lambda: os.statvfs(small / "root").f_bavail == 0)
        try:
            container.stop(timeout=0)
        except errors.NoSpace:
            pass
        container.remove(force=True, timeout=0)
        at_rest(rt)
        works(rt)
        assert_nothing_leaked(rt, 1)


@pytest.mark.parametrize("leave", [0, 65536, 524288, 1 << 20])
def test_full_disk_while_loading(small: Path, layout: Path, leave: int) -> None:
    with open_runtime(small) as rt:
        rt.images.remove(IMAGE, force=True)
        blob = fill(small, leave)
        with pytest.raises(errors.NoSpace) as caught:
            rt.images.load(str(layout))
        assert caught.value.exit_code == 125
        assert rt.images.list() == []
        assert rt.store.layers() == []
        blob.unlink()
        assert rt.check(quick=True) == []
        rt.images.load(str(layout))
        works(rt)


def test_full_disk_does_not_keep_from_removing(small: Path) -> None:
    with open_runtime(small) as rt:
        for name in ("one", "two"):
            rt.containers.create(IMAGE, ["true"], name=name, network="none")
        fill(small, 0)
        rt.containers.get("one").remove()
        rt.containers.get("two").remove()
        rt.images.remove(IMAGE, force=True)
        assert rt.containers.list(all=True) == []
        assert rt.check(quick=True) == []
