"""Mounts, namespaces and cgroups for real; needs root. Every test checks that it leaves nothing behind."""

from __future__ import annotations

import errno
import gc
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from wherry.model.mount import IDMap
from wherry.sys import cgroups, files, libc, mounts, namespaces, overlay_probes, processes

pytestmark = [pytest.mark.system, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

MAPS = [IDMap(container_id=0, host_id=100000, size=65536)]


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Path]:
    """A directory after whose test no mount, namespace or descriptor is left."""
    gc.collect()        # what earlier tests left to it is not to be counted
    descriptors = len(os.listdir("/proc/self/fd"))
    threads = threading.active_count()
    yield tmp_path
    left = [entry.target for entry in mounts.mount_table() if entry.target.startswith(str(tmp_path))]
    for target in reversed(left):
        mounts.detach(target)
    assert left == []
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert threading.active_count() == threads


def tmpfs(path: Path, *names: str) -> Path:
    path.mkdir(exist_ok=True)
    mounts.mount("tmpfs", str(path), "tmpfs", libc.MS_NODEV, "size=1m,mode=755")
    for name in names:
        (path / name).mkdir()
    return path


def test_mount_and_unmount(ground: Path) -> None:
    where = tmpfs(ground / "with space")
    assert mounts.is_mount_point(str(where))
    entry = mounts.mount_table()[-1]
    assert (entry.target, entry.fstype, entry.source) == (str(where), "tmpfs", "tmpfs")
    assert "nodev" in entry.options
    mounts.unmount(str(where))
    with pytest.raises(OSError) as caught:
        mounts.unmount(str(where))
    assert (caught.value.errno, caught.value.filename) == (errno.EINVAL, str(where))


def test_a_failed_mount_names_the_target(ground: Path) -> None:
    with pytest.raises(OSError) as caught:
        mounts.mount("none", str(ground), "no-such-filesystem")
    assert (caught.value.errno, caught.value.filename) == (errno.ENODEV, str(ground))


def test_unmount_does_not_follow_a_link(ground: Path) -> None:
    where = tmpfs(ground / "t")
    (ground / "link").symlink_to(where)
    with pytest.raises(OSError):
        mounts.unmount(str(ground / "link"))
    assert not mounts.detach(str(ground / "link"))
    assert mounts.detach(str(where))


def test_detach_takes_the_whole_stack_and_what_is_missing(ground: Path) -> None:
    where = tmpfs(ground / "t")
    tmpfs(where)
    assert mounts.detach(str(where))
    assert not mounts.is_mount_point(str(where))
    assert not mounts.detach(str(where))
    assert not mounts.detach(str(ground / "missing" / "too"))


def test_bind_within_one_file_system_is_a_mount_point(ground: Path) -> None:
    (ground / "a").mkdir()
    (ground / "a" / "f").write_text("x")
    (ground / "b").mkdir()
    mounts.bind(str(ground / "a"), str(ground / "b"))
    assert (ground / "b" / "f").read_text() == "x"
    assert mounts.is_mount_point(str(ground / "b"))
    assert not mounts.is_mount_point(str(ground / "a"))
    mounts.unmount(str(ground / "b"))


@pytest.mark.parametrize("recursive", [False, True])
def test_read_only_bind(ground: Path, recursive: bool) -> None:
    source = tmpfs(ground / "a", "sub")
    tmpfs(source / "sub")
    (ground / "b").mkdir()
    mounts.bind(str(source), str(ground / "b"), recursive=recursive, read_only=True)
    with pytest.raises(OSError) as caught:
        (ground / "b" / "f").write_text("")
    assert caught.value.errno == errno.EROFS
    assert os.statvfs(ground / "b").f_flag & libc.MS_NODEV          # the remount kept what was there
    if recursive:
        with pytest.raises(OSError) as below:
            (ground / "b" / "sub" / "f").write_text("")
        assert below.value.errno == errno.EROFS
    (source / "f").write_text("the source stays writable")
    mounts.detach(str(ground / "b"))
    mounts.detach(str(source))


def test_propagation(ground: Path) -> None:
    where = str(tmpfs(ground / "t"))

    def propagation() -> str:
        return next(entry.propagation for entry in mounts.mount_table() if entry.target == where)

    mounts.make_shared(where)
    assert propagation().startswith("shared:")
    mounts.make_private(where)
    assert propagation() == ""
    mounts.unmount(where)


def test_mount_with_relative_layers(ground: Path) -> None:
    for name in ("a", "b", "upper", "work", "merged"):
        (ground / name).mkdir()
    (ground / "a" / "from-a").write_text("")
    (ground / "b" / "from-b").write_text("")
    here = os.getcwd()
    mounts.mount_from_child(str(ground), "overlay", "merged", "overlay", 0, "lowerdir=a:b,upperdir=upper,workdir=work")
    assert sorted(os.listdir(ground / "merged")) == ["from-a", "from-b"]
    assert os.getcwd() == here
    mounts.unmount(str(ground / "merged"))
    with pytest.raises(OSError) as caught:
        mounts.mount_from_child(str(ground), "overlay", "merged", "overlay", 0, "lowerdir=missing:b")
    assert caught.value.errno == errno.ENOENT


def test_idmapped_mount_shifts_owners(ground: Path) -> None:
    tree, target = tmpfs(ground / "tree"), ground / "target"
    target.mkdir()
    (tree / "f").write_text("")
    os.chown(tree / "f", 1000, 5)
    mounts.mount_idmapped(str(tree), str(target), MAPS, MAPS)
    shifted = (target / "f").stat()
    assert (shifted.st_uid, shifted.st_gid) == (101000, 100005)
    assert (tree / "f").stat().st_uid == 1000
    mounts.unmount(str(target))
    mounts.unmount(str(tree))


def test_a_user_namespace_descriptor_serves_several_mounts(ground: Path) -> None:
    fd = namespaces.open_user_namespace(MAPS, MAPS)
    try:
        for name in ("a", "b"):
            tree = tmpfs(ground / name)
            target = ground / f"{name}-mapped"
            target.mkdir()
            mounts.mount_idmapped(str(tree), str(target), (), (), userns_fd=fd)
            assert target.stat().st_uid == 100000
            mounts.unmount(str(target))
            mounts.unmount(str(tree))
    finally:
        os.close(fd)


def test_bad_id_maps_leave_no_process_or_descriptor(ground: Path) -> None:
    def children() -> set[str]:
        return {pid for path in Path("/proc/self/task").glob("*/children") for pid in path.read_text().split()}

    before = children()
    with pytest.raises(OSError):
        namespaces.open_user_namespace([IDMap(container_id=0, host_id=0, size=0)], MAPS)
    assert children() <= before


def test_remove_tree_does_not_enter_mounts(ground: Path) -> None:
    tree = ground / "tree"
    (tree / "sub" / "mnt").mkdir(parents=True)
    precious = ground / "precious"
    precious.mkdir()
    (precious / "data").write_text("kept")
    mounts.bind(str(precious), str(tree / "sub" / "mnt"))       # same file system: st_dev does not tell
    with pytest.raises(OSError) as caught:
        files.remove_tree(str(tree))
    assert (caught.value.errno, caught.value.filename) == (errno.EBUSY, str(tree / "sub" / "mnt"))
    assert (precious / "data").read_text() == "kept"
    with pytest.raises(OSError):
        files.remove_tree(str(tree / "sub" / "mnt"))
    assert (precious / "data").read_text() == "kept"
    mounts.unmount(str(tree / "sub" / "mnt"))
    files.remove_tree(str(tree))
    assert not tree.exists()


def test_remove_tree_waits_for_a_mount_that_is_going_away(ground: Path) -> None:
    tree = ground / "tree"
    where = tree / "mnt"
    where.mkdir(parents=True)
    tmpfs(where)

    def later() -> None:
        time.sleep(0.05)
        mounts.detach(str(where))

    helper = threading.Thread(target=later)
    helper.start()
    files.remove_tree(str(tree))
    helper.join()
    assert not tree.exists()


def test_network_namespace_with_loopback_up(ground: Path) -> None:
    ours = namespaces.namespace_id("/proc/self/ns/net")
    path = str(ground / "netns" / "one")
    namespaces.create_netns(path)
    assert namespaces.namespace_id("/proc/self/ns/net") == ours
    assert namespaces.namespace_id(path) != ours
    done = namespaces.run_in_netns(path, ["ip", "-o", "link"])
    assert len(done.stdout.splitlines()) == 1 and b"LOOPBACK,UP" in done.stdout
    inside = namespaces.call_in_netns(path, lambda: namespaces.namespace_id("/proc/thread-self/ns/net"))
    assert inside == namespaces.namespace_id(path)
    namespaces.remove_netns(path)
    namespaces.remove_netns(path)
    assert not os.path.exists(path)
    mounts.unmount(str(ground / "netns"))


def test_the_directory_of_namespaces_is_one_private_mount(ground: Path) -> None:
    directory = ground / "netns"
    mounts.bind(str(ground), str(ground))
    mounts.make_shared(str(ground))
    threads = [
        threading.Thread(target=namespaces.create_netns, args=(str(directory / str(number)),)) for number in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    table = mounts.mount_table()
    own = [entry for entry in table if entry.target == str(directory)]
    assert len(own) == 1 and own[0].propagation == ""
    kept = [entry for entry in table if entry.target.startswith(str(directory) + "/")]
    assert len(kept) == 6 and {entry.fstype for entry in kept} == {"nsfs"}
    for number in range(6):
        namespaces.remove_netns(str(directory / str(number)))
    mounts.unmount(str(directory))
    mounts.unmount(str(ground))


def test_a_namespace_file_that_exists_is_not_taken_over(ground: Path) -> None:
    path = str(ground / "netns" / "one")
    namespaces.create_netns(path)
    before = namespaces.namespace_id(path)
    with pytest.raises(FileExistsError):
        namespaces.create_netns(path)
    assert namespaces.namespace_id(path) == before
    namespaces.remove_netns(path)
    mounts.unmount(str(ground / "netns"))


def test_nothing_stays_when_a_namespace_cannot_be_made(ground: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> None:
        raise OSError(errno.EPERM, "refused")

    monkeypatch.setattr(namespaces, "loopback_up", refused)
    path = ground / "netns" / "one"
    with pytest.raises(OSError, match="refused"):
        namespaces.create_netns(str(path))
    assert not path.exists()
    mounts.unmount(str(path.parent))


def test_errors_inside_a_namespace_come_out(ground: Path) -> None:
    with pytest.raises(FileNotFoundError):
        namespaces.run_in_netns(str(ground / "missing"), ["true"])
    (ground / "file").write_text("")
    with pytest.raises(OSError) as caught:
        namespaces.run_in_netns(str(ground / "file"), ["true"])
    assert caught.value.filename == str(ground / "file")


@pytest.fixture
def group() -> Iterator[str]:
    """A cgroup path of our own, gone afterwards in every hierarchy."""
    path = f"/wherry-test-{os.getpid()}"
    yield path
    cgroups.remove(path)
    where = cgroups.layout()
    assert [p for p in where.hierarchies() if os.path.exists(where.directory(p, path))] == []


def test_cgroups_are_made_filled_and_removed(group: str) -> None:
    cgroups.create(group + "/pod/a")
    cgroups.create(group + "/pod/a")
    where = cgroups.layout()
    assert where.mode != cgroups.NONE
    for point in where.hierarchies():
        assert os.path.isdir(where.directory(point, group + "/pod/a"))
    child = subprocess.Popen(["sleep", "100"])
    try:
        cgroups.move(group + "/pod/a", child.pid)       # needs a filled-in cpuset on v1
        assert cgroups.processes(group) == [child.pid]
        assert {cgroups.path_of(child.pid, name) for name in where.controllers} <= {group + "/pod/a"}
        child.kill()
        processes.wait_gone(child.pid)
    finally:
        child.kill()
        child.wait()
    assert cgroups.processes(group) == []
    cgroups.remove(group + "/pod")
    cgroups.remove(group + "/pod")
    assert cgroups.processes(group + "/pod") == []


def test_a_cgroup_with_processes_is_not_removed(group: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "_BUSY_ROUNDS", 2)
    cgroups.create(group + "/a")
    child = subprocess.Popen(["sleep", "100"])
    try:
        cgroups.move(group + "/a", child.pid)
        with pytest.raises(OSError) as caught:
            cgroups.remove(group)
        assert caught.value.errno == errno.EBUSY
    finally:
        child.kill()
        child.wait()


def test_overlay_probes_agree_with_each_other_and_clean_up(ground: Path) -> None:
    where = str(ground)
    assert overlay_probes.overlay(where)
    assert overlay_probes.volatile(where) in (True, False)
    assert overlay_probes.idmapped_lower(where) in (True, False)
    assert overlay_probes.metacopy(where, "metacopy=on")
    assert not overlay_probes.metacopy(where, "metacopy=off")
    assert not overlay_probes.native_diff(where, "redirect_dir=on")
    assert overlay_probes.native_diff(where, "redirect_dir=off")
    assert not overlay_probes.metacopy(where, "no-such-option")
    assert os.listdir(ground) == []


def test_pivot_root(ground: Path) -> None:
    (ground / "new").mkdir()
    libc.load()
    pid = os.fork()
    if pid == 0:
        try:
            libc.unshare(libc.CLONE_NEWNS)
            mounts.make_private("/", recursive=True)
            tmpfs(ground / "new", "old")
            libc.pivot_root(str(ground / "new"), str(ground / "new" / "old"))
            os.chdir("/")
            os._exit(0 if os.listdir("/") == ["old"] and os.path.isdir("/old/usr") else 2)
        finally:
            os._exit(3)
    assert processes.wait(pid) == 0


def test_paths_are_opened_below_a_directory_only(ground: Path) -> None:
    (ground / "root").mkdir()
    (ground / "root" / "passwd").write_text("inside")
    (ground / "root" / "link").symlink_to("/passwd")
    (ground / "root" / "escape").symlink_to("../../../../passwd")
    directory = os.open(ground / "root", os.O_PATH)
    try:
        for name in ("passwd", "link", "escape", "../passwd"):
            fd = libc.openat2(directory, name, os.O_RDONLY, resolve=libc.RESOLVE_IN_ROOT)
            assert os.read(fd, 100) == b"inside"
            assert not os.get_inheritable(fd)
            os.close(fd)
        with pytest.raises(OSError) as caught:
            libc.openat2(directory, "../passwd", os.O_RDONLY, resolve=libc.RESOLVE_BENEATH)
        assert caught.value.errno == errno.EXDEV
    finally:
        os.close(directory)
