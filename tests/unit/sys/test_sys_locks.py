"""Storage locks and ranked locks, between threads and between processes."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from wherry.errors import InternalError, TimedOut
from wherry.model import ranks
from wherry.sys.locks import FileLock, RankedLock

POSIX_TRY = """
import fcntl, sys
f = open(sys.argv[1], "r+b")
try:
    fcntl.lockf(f, (fcntl.LOCK_EX if sys.argv[2] == "x" else fcntl.LOCK_SH) | fcntl.LOCK_NB)
except OSError:
    print("blocked")
else:
    print("free")
"""


def classic_lock(path: str, kind: str) -> str:
    """Try a classic record lock in another process, as containers/storage does."""
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", POSIX_TRY, path, kind], capture_output=True, text=True, check=True
    ).stdout.strip()


def in_other_thread(work: object) -> object:
    result: list[object] = []
    thread = threading.Thread(target=lambda: result.append(work()))  # type: ignore[operator]
    thread.start()
    thread.join()
    return result[0]


def can_take(lock: FileLock, exclusive: bool) -> bool:
    try:
        lock.acquire(exclusive, timeout=0)
    except TimedOut:
        return False
    lock.release()
    return True


def test_file_lock_creates_file_and_directory_and_keeps_them(tmp_path: Path) -> None:
    path = tmp_path / "new" / "layers.lock"
    lock = FileLock(str(path))
    with lock.exclusive() as fd:
        os.pwrite(fd, b"token", 0)
    assert path.read_bytes() == b"token"
    assert path.stat().st_mode & 0o777 == 0o644
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_file_lock_blocks_other_tools_and_only_while_held(tmp_path: Path) -> None:
    path = str(tmp_path / "l")
    lock = FileLock(path)
    with lock.exclusive():
        assert classic_lock(path, "s") == "blocked"
    with lock.shared():
        assert classic_lock(path, "s") == "free"
        assert classic_lock(path, "x") == "blocked"
    assert classic_lock(path, "x") == "free"


def test_file_lock_waits_for_other_tools(tmp_path: Path) -> None:
    path = tmp_path / "l"
    path.write_bytes(b"")
    lock = FileLock(str(path))
    holder = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c",
         "import fcntl,sys; f=open(sys.argv[1],'r+b'); fcntl.lockf(f, fcntl.LOCK_EX); print('held', flush=True);"
         "sys.stdin.read()", str(path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )
    assert holder.stdout and holder.stdin
    holder.stdout.readline()
    with pytest.raises(TimedOut):
        lock.acquire(timeout=0.01)
    assert not lock.is_held()
    holder.stdin.close()
    with lock.exclusive():
        assert lock.is_held(exclusive=True)
    holder.wait()
    holder.stdout.close()


def test_file_lock_survives_closing_another_descriptor_of_the_file(tmp_path: Path) -> None:
    """What classic record locks get wrong: any close in the process would drop them."""
    path = str(tmp_path / "l")
    with FileLock(path).exclusive():
        with open(path, "rb"):
            pass
        assert classic_lock(path, "s") == "blocked"


def test_file_lock_excludes_threads(tmp_path: Path) -> None:
    lock = FileLock(str(tmp_path / "l"))
    with lock.exclusive():
        assert in_other_thread(lambda: can_take(lock, False)) is False
    with lock.shared():
        assert in_other_thread(lambda: can_take(lock, False)) is True
        assert in_other_thread(lambda: can_take(lock, True)) is False


def test_file_lock_recursion_is_counted_over_all_objects_of_a_thread(tmp_path: Path) -> None:
    path = str(tmp_path / "l")
    first, second = FileLock(path), FileLock(path)
    with first.exclusive() as outer:
        with second.shared() as inner:
            assert inner == outer
        assert classic_lock(path, "s") == "blocked"
        assert second.is_held(exclusive=True)
    assert not first.is_held()
    assert classic_lock(path, "x") == "free"
    with pytest.raises(OSError):
        os.fstat(outer)


def test_file_lock_is_not_upgraded(tmp_path: Path) -> None:
    lock = FileLock(str(tmp_path / "l"))
    with lock.shared():
        with pytest.raises(InternalError, match="held shared"):
            lock.acquire()
        assert lock.is_held() and not lock.is_held(exclusive=True)


def test_read_only_file_lock_is_shared_only(tmp_path: Path) -> None:
    path = tmp_path / "l"
    lock = FileLock(str(path), read_only=True)
    with lock.shared() as fd:
        assert fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
        assert classic_lock(str(path), "x") == "blocked"
    with pytest.raises(InternalError, match="read-only"):
        lock.acquire()


def test_file_lock_is_released_even_if_a_child_still_shares_the_descriptor(tmp_path: Path) -> None:
    path = str(tmp_path / "l")
    lock = FileLock(path)
    shared = os.dup(lock.acquire())
    lock.release()
    try:
        assert classic_lock(path, "x") == "free"
    finally:
        os.close(shared)


def test_failed_acquisition_leaves_no_descriptor(tmp_path: Path) -> None:
    lock = FileLock(str(tmp_path / "l"))
    with lock.exclusive():
        before = len(os.listdir("/proc/self/fd"))
        assert in_other_thread(lambda: can_take(lock, True)) is False
        assert len(os.listdir("/proc/self/fd")) == before


def ranked(tmp_path: Path, rank: int, key: str) -> RankedLock:
    return RankedLock(str(tmp_path / f"{rank}-{key}"), rank, key)


def test_ranked_locks_are_taken_upwards_only(tmp_path: Path) -> None:
    pod = ranked(tmp_path, ranks.POD, "p")
    container = ranked(tmp_path, ranks.CONTAINER, "c")
    volume = ranked(tmp_path, ranks.VOLUME, "v")
    with pod, container, volume:
        pass
    with volume, pytest.raises(InternalError, match=r"container c taken while holding volume v"):
        container.acquire()
    with pod, volume, pytest.raises(InternalError):
        container.acquire()
    assert not container.is_held()


def test_locks_of_one_rank_are_taken_in_the_order_of_their_keys(tmp_path: Path) -> None:
    first, second = ranked(tmp_path, ranks.CONTAINER, "a"), ranked(tmp_path, ranks.CONTAINER, "b")
    with first, second:
        pass
    with second, pytest.raises(InternalError, match="container a taken while holding container b"):
        first.acquire()


def test_order_is_kept_per_thread(tmp_path: Path) -> None:
    low, high = ranked(tmp_path, ranks.POD, "p"), ranked(tmp_path, ranks.VOLUME, "v")

    def take_low() -> bool:
        with low:
            return low.is_held()

    with high:
        assert in_other_thread(take_low) is True


def test_ranked_lock_is_reentrant_and_removes_its_file_last(tmp_path: Path) -> None:
    lock, same = ranked(tmp_path, ranks.CONTAINER, "c"), ranked(tmp_path, ranks.CONTAINER, "c")
    path = Path(lock.path)
    lock.acquire()
    same.acquire()
    same.release(remove=True)
    assert path.exists() and lock.is_held()
    lock.release()
    assert not path.exists() and not lock.is_held()


def test_ranked_lock_excludes_threads_and_times_out(tmp_path: Path) -> None:
    lock = ranked(tmp_path, ranks.CONTAINER, "c")

    def try_it() -> str:
        try:
            lock.acquire(timeout=0.01)
        except TimedOut as error:
            return str(error)
        lock.release()
        return "taken"

    with lock:
        assert "timed out" in str(in_other_thread(try_it))
    assert in_other_thread(try_it) == "taken"


def test_a_waiter_never_ends_up_with_a_removed_file(tmp_path: Path) -> None:
    """The open-lock-stat dance: the last holder unlinks while others wait on the old inode."""
    lock = ranked(tmp_path, ranks.CONTAINER, "c")
    inside: list[int] = []
    overlaps: list[int] = []

    def work() -> None:
        mine = RankedLock(lock.path, lock.rank, lock.key)
        for _ in range(50):
            mine.acquire()
            inside.append(1)
            overlaps.append(len(inside))
            inside.pop()
            mine.release(remove=True)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert overlaps == [1] * 200
    assert not os.path.exists(lock.path)


def test_ranked_lock_does_not_follow_a_link(tmp_path: Path) -> None:
    (tmp_path / "3-c").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError):
        ranked(tmp_path, ranks.CONTAINER, "c").acquire()
    assert not (tmp_path / "elsewhere").exists()


def test_the_lock_structure_matches_this_platform() -> None:
    assert struct.calcsize("hhqqi4x") == struct.calcsize("hhqqi0q")
