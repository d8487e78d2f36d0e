"""Atomic replacement, reading and removal of files and trees."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wherry.sys import files


def test_atomic_write_sets_content_and_mode(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    old = os.umask(0o077)
    try:
        files.atomic_write(str(target), b"one", 0o644)
    finally:
        os.umask(old)
    assert target.read_bytes() == b"one"
    assert stat.S_IMODE(target.stat().st_mode) == 0o644
    files.atomic_write(str(target), b"two", sync=False)
    assert target.read_bytes() == b"two"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["a.json"]


def test_atomic_write_leaves_the_old_file_when_it_cannot_replace(tmp_path: Path) -> None:
    target = tmp_path / "directory"
    target.mkdir()
    with pytest.raises(OSError):
        files.atomic_write(str(target), b"x")
    assert os.listdir(tmp_path) == ["directory"]


def test_atomic_write_leaves_nothing_when_the_data_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_fd: int) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    target = tmp_path / "a"
    target.write_bytes(b"old")
    monkeypatch.setattr(os, "fdatasync", full)
    with pytest.raises(OSError, match="no space"):
        files.atomic_write(str(target), b"new")
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


def test_a_long_name_can_still_be_replaced(tmp_path: Path) -> None:
    target = tmp_path / ("n" * 255)
    files.atomic_write(str(target), b"x")
    assert target.read_bytes() == b"x"


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=20_000))
def test_what_is_written_is_read(tmp_path: Path, data: bytes) -> None:
    path = str(tmp_path / "f")
    files.atomic_write(path, data, sync=False)
    assert files.read_bytes(path) == data
    assert files.read_text(path).encode("utf-8", "surrogateescape") == data


def test_files_of_proc_are_read_to_their_end() -> None:
    assert files.read_bytes("/proc/self/mountinfo").endswith(b"\n")
    assert files.read_text("/proc/sys/kernel/ostype") == "Linux\n"


def test_a_missing_file_is_none_or_an_error_naming_it(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    assert files.try_read_text(missing) is None
    (tmp_path / "file").write_text("")
    assert files.try_read_text(str(tmp_path / "file" / "below")) is None
    with pytest.raises(FileNotFoundError) as caught:
        files.read_bytes(missing)
    assert caught.value.filename == missing
    with pytest.raises(IsADirectoryError) as directory:
        files.read_bytes(str(tmp_path))
    assert directory.value.filename == str(tmp_path)


def test_make_dirs_makes_parents_and_accepts_what_exists(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b" / "c"
    files.make_dirs(str(target), 0o750)
    files.make_dirs(str(target) + "/", 0o700)
    assert stat.S_IMODE(target.stat().st_mode) == 0o750
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o750


def test_make_dirs_refuses_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError):
        files.make_dirs(str(tmp_path / "file"))
    with pytest.raises(NotADirectoryError):
        files.make_dirs(str(tmp_path / "file" / "below"))


def test_remove_tree_removes_everything_but_what_links_point_to(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "keep").write_text("kept")
    tree = tmp_path / "tree"
    (tree / "a" / "b").mkdir(parents=True)
    (tree / "a" / "file").write_text("x")
    (tree / "a" / "link").symlink_to(outside)
    (tree / "dangling").symlink_to("nowhere")
    os.mkfifo(tree / "fifo")
    (tree / "dark").mkdir(mode=0o500)
    files.remove_tree(str(tree) + "/")
    assert not tree.exists()
    assert (outside / "keep").read_text() == "kept"


def test_remove_tree_takes_files_links_and_missing_paths(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("file")
    files.remove_tree(str(tmp_path / "link"))
    assert (tmp_path / "file").exists()
    files.remove_tree(str(tmp_path / "file"))
    files.remove_tree(str(tmp_path / "file"))
    files.remove_tree(str(tmp_path / "no" / "such" / "path"))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("path", ["/", "", ".", "/tmp/..", "x/."])
def test_remove_tree_refuses_paths_without_a_name(path: str) -> None:
    with pytest.raises(OSError) as caught:
        files.remove_tree(path)
    assert caught.value.errno == errno.EINVAL


def test_remove_tree_is_not_limited_by_depth_or_descriptors(tmp_path: Path) -> None:
    """Deeper than PATH_MAX, the interpreter's stack and the usual limit of open files."""
    tree = tmp_path / "deep"
    tree.mkdir()
    fd = os.open(tree, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d" * 10, dir_fd=fd)
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
        below = os.open("d" * 10, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    before = len(os.listdir("/proc/self/fd"))
    files.remove_tree(str(tree))
    assert not tree.exists()
    assert len(os.listdir("/proc/self/fd")) == before


def test_remove_tree_names_what_it_could_not_remove(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = tmp_path / "tree"
    (tree / "busy").mkdir(parents=True)
    real = os.rmdir
    waits: list[float] = []

    def rmdir(path: str, *, dir_fd: int | None = None) -> None:
        if path == "busy":
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), path)
        real(path, dir_fd=dir_fd)

    monkeypatch.setattr(os, "rmdir", rmdir)
    monkeypatch.setattr("wherry.sys.files.time.sleep", waits.append)
    with pytest.raises(OSError) as caught:
        files.remove_tree(str(tree))
    assert caught.value.errno == errno.EBUSY
    assert caught.value.filename == str(tree / "busy")
    assert len(waits) >= 5 and sum(waits) < 2


def test_remove_tree_tries_again_when_somebody_adds_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    real = os.rmdir
    added = [str(tree / "late1"), str(tree / "late2")]

    def rmdir(path: str, *, dir_fd: int | None = None) -> None:
        if added:
            Path(added.pop()).write_text("")
        real(path, dir_fd=dir_fd)

    monkeypatch.setattr(os, "rmdir", rmdir)
    files.remove_tree(str(tree))
    assert not tree.exists()
