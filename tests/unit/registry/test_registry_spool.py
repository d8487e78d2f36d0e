"""The spool directory: private, removed, and swept up after a killed process."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from wherry.errors import NoSpace, NotFound
from wherry.registry import spool
from wherry.registry.spool import Spool, write_all


def test_private_and_removed(tmp_path: Path) -> None:
    made = Spool(str(tmp_path))
    assert os.stat(made.path).st_mode & 0o777 == 0o700
    fd = made.create()
    write_all(fd, b"hello", 0)
    write_all(fd, b"J", 0)
    assert os.pread(fd, 10, 0) == b"Jello"
    assert os.fstat(fd).st_mode & 0o777 == 0o600
    made.close()
    made.close()
    assert os.listdir(tmp_path) == []
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_two_at_once(tmp_path: Path) -> None:
    first, second = Spool(str(tmp_path)), Spool(str(tmp_path))
    assert first.path != second.path
    assert os.path.isdir(first.path)
    first.close()
    second.close()


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path) -> None:
    code = (
        "import sys, time; from wherry.registry.spool import Spool, write_all\n"
        f"s = Spool({str(tmp_path)!r}); write_all(s.create(), b'x' * 1000, 0)\n"
        "print(s.path, flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    path = process.stdout.readline().strip()
    beside = Spool(str(tmp_path))
    assert os.path.isdir(path)      # its owner lives
    beside.close()
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert os.listdir(path) == ["1"]
    Spool(str(tmp_path)).close()
    assert os.listdir(tmp_path) == []


def test_what_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "else").mkdir()
    (tmp_path / f"{spool._PREFIX}file").write_text("not a directory")
    (tmp_path / f"{spool._PREFIX}link").symlink_to(tmp_path / "else")
    (tmp_path / f"{spool._PREFIX}open").mkdir(mode=0o755)
    before = sorted(os.listdir(tmp_path))
    Spool(str(tmp_path)).close()
    assert sorted(os.listdir(tmp_path)) == before


def test_directory_taken_away_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = fcntl.flock
    removed: list[str] = []

    def remove_first(fd: int, how: int) -> None:
        if not removed:
            removed.append(os.readlink(f"/proc/self/fd/{fd}"))
            os.rmdir(removed[0])
        real(fd, how)

    monkeypatch.setattr(spool.fcntl, "flock", remove_first)
    made = Spool(str(tmp_path))
    assert made.path not in removed
    assert os.listdir(tmp_path) == [os.path.basename(made.path)]
    made.close()


def test_no_parent(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="creating temporary directory"):
        Spool(str(tmp_path / "none"))


def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    made = Spool(str(tmp_path))
    fd = made.create()
    monkeypatch.setattr(spool.os, "pwrite", full)
    with pytest.raises(NoSpace, match="no space left on device"):
        write_all(fd, b"x", 0)
    monkeypatch.undo()
    made.close()


def test_short_writes_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.pwrite
    monkeypatch.setattr(spool.os, "pwrite", lambda fd, data, offset: real(fd, bytes(data)[:3], offset))
    made = Spool(str(tmp_path))
    fd = made.create()
    write_all(fd, b"0123456789", 2)
    assert os.pread(fd, 20, 0) == b"\0\x000123456789"
    made.close()
