"""Parsers of kernel tables: mounts, cgroups, capabilities; limits and features."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.sys import capabilities, cgroups, features, identity, libc, limits, mounts

MOUNTINFO = rb"""36 35 98:0 /mnt1 /mnt\0402 rw,noatime master:1 shared:7 - ext3 /dev/ro\134ot rw,errors=continue
25 1 0:21 / /proc rw - proc proc rw
26 1 0:22 / /empty rw -  rw
"""

HYBRID = b"""31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
33 31 0:30 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory,release_agent=/x
34 31 0:31 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
35 31 0:29 / /elsewhere rw - cgroup cgroup rw,cpu,cpuacct
"""


def test_mount_table_fields() -> None:
    first, second, _ = mounts.parse_mount_table(MOUNTINFO)
    assert first == mounts.MountEntry(
        id=36, parent=35, device="98:0", root="/mnt1", target="/mnt 2", options="rw,noatime",
        propagation="master:1 shared:7", fstype="ext3", source="/dev/ro\\ot", super_options="rw,errors=continue",
    )
    assert second.propagation == ""


@given(st.binary(max_size=50).filter(lambda raw: b"\0" not in raw))
def test_unescape_undoes_the_kernels_escaping(raw: bytes) -> None:
    escaped = b"".join(b"\\%03o" % byte if byte in b" \t\n\\" else bytes((byte,)) for byte in raw)
    assert os.fsencode(mounts.unescape(escaped)) == raw


def test_our_own_mount_table_has_a_root() -> None:
    assert "/" in [entry.target for entry in mounts.mount_table()]


def test_mount_points_are_recognised(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/proc")
    assert mounts.is_mount_point("/")
    assert mounts.is_mount_point("/proc")
    assert mounts.is_mount_point("/proc/")
    assert not mounts.is_mount_point("/proc/self")
    assert not mounts.is_mount_point(str(tmp_path))
    assert not mounts.is_mount_point(str(tmp_path / "link"))
    assert not mounts.is_mount_point(str(tmp_path / "missing"))
    assert not mounts.is_mount_point(".")


def test_layout_with_version_one_controllers_only() -> None:
    found = cgroups.parse_layout(HYBRID)
    assert found.mode == cgroups.V1
    assert found.controllers == {
        "cpu": "/sys/fs/cgroup/cpu,cpuacct", "cpuacct": "/sys/fs/cgroup/cpu,cpuacct", "memory": "/sys/fs/cgroup/memory",
        "name=systemd": "/sys/fs/cgroup/systemd",
    }
    assert found.hierarchies() == ["/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/systemd"]


def test_a_hierarchy_mounted_from_below_its_root() -> None:
    found = cgroups.parse_layout(HYBRID)
    memory = "/sys/fs/cgroup/memory"
    assert found.directory(memory, "/docker/abc/child") == memory + "/child"
    assert found.directory(memory, "/docker/abc") == memory
    assert found.directory(memory, "/docker/abcd") == memory + "/docker/abcd"
    assert found.directory("/sys/fs/cgroup/systemd", "/a/b") == "/sys/fs/cgroup/systemd/a/b"


def test_layout_with_a_unified_tree(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("hugetlb misc\n")
    unified = b"41 31 0:38 / " + os.fsencode(tmp_path) + b" rw shared:3 - cgroup2 cgroup2 rw,nsdelegate\n"
    beside = cgroups.parse_layout(HYBRID + unified)
    assert beside.mode == cgroups.HYBRID
    assert beside.unified == str(tmp_path)
    assert beside.unified_controllers == ("hugetlb", "misc")
    assert beside.hierarchies()[-1] == str(tmp_path)
    assert cgroups.parse_layout(unified).mode == cgroups.V2
    assert cgroups.parse_layout(b"") == cgroups.Layout(mode=cgroups.NONE)


def test_controllers_are_handed_down_on_v2_only(tmp_path: Path) -> None:
    """On a hybrid host a controller in use in the unified tree could not be mounted as v1 any more."""
    (tmp_path / "cgroup.controllers").write_text("cpu memory\n")
    control = tmp_path / "cgroup.subtree_control"
    control.write_text("cpu\n")
    hybrid = cgroups.Layout(mode=cgroups.HYBRID, unified=str(tmp_path))
    cgroups.create("/group", hybrid)
    assert control.read_text() == "cpu\n"
    cgroups.remove("/group", hybrid)
    cgroups.create("/group", cgroups.Layout(mode=cgroups.V2, unified=str(tmp_path)))
    assert control.read_text() == "+memory"
    assert (tmp_path / "group").is_dir()


def test_own_cgroup_path_is_absolute_where_there_is_a_hierarchy() -> None:
    assert cgroups.own_path("no-such-controller") == ""
    found = [cgroups.own_path(name) for name in ("", *cgroups.layout().controllers)]
    assert all(path.startswith("/") for path in found if path)


def test_the_root_cgroup_is_never_removed() -> None:
    with pytest.raises(OSError, match="root cgroup"):
        cgroups.remove("/")


def test_capability_names_are_in_bit_order() -> None:
    assert capabilities.ALL[0] == "CAP_CHOWN"
    assert capabilities.ALL[21] == "CAP_SYS_ADMIN"
    assert capabilities.ALL[40] == "CAP_CHECKPOINT_RESTORE"
    assert capabilities.names(1 << 21 | 1 | 1 << 63) == {"CAP_CHOWN", "CAP_SYS_ADMIN"}
    assert capabilities.names(0) == frozenset()


def test_our_capabilities() -> None:
    assert capabilities.effective() <= set(capabilities.ALL)
    assert capabilities.bounding() <= set(capabilities.ALL)
    assert capabilities.last_cap() >= 37


def test_limits_are_clamped_to_what_a_child_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "rlimit", lambda name: (1024, 4096))
    monkeypatch.setattr(limits, "can_raise", lambda: False)
    assert limits.clamp("nofile", 10, 20) == (10, 20)
    assert limits.clamp("nofile", 8192, 1048576) == (4096, 4096)
    assert limits.clamp("nofile", -1, -1) == (4096, 4096)
    monkeypatch.setattr(limits, "rlimit", lambda name: (1024, limits.UNLIMITED))
    assert limits.clamp("nofile", -1, -1) == (-1, -1)
    assert limits.clamp("nofile", 5, 1048576) == (5, 1048576)
    monkeypatch.setattr(limits, "can_raise", lambda: True)
    monkeypatch.setattr(limits, "rlimit", lambda name: (1, 1))
    assert limits.clamp("nofile", 5, -1) == (5, -1)


def test_every_limit_can_be_read() -> None:
    import resource

    for name in limits.RLIMITS:
        soft, hard = limits.rlimit(name)
        assert soft >= -1 and hard >= -1
    assert limits.RLIMITS["nofile"] == resource.RLIMIT_NOFILE
    assert limits.rlimit("nofile") == resource.getrlimit(resource.RLIMIT_NOFILE)
    with pytest.raises(KeyError):
        limits.rlimit("nonsense")


@pytest.mark.parametrize(
    ("release", "version"),
    [("6.1.0-18-amd64", (6, 1)), ("5.15", (5, 15)), ("6.18-rc3+", (6, 18)), ("4.18.0-513.el8", (4, 18)), ("7", (7, 0))],
)
def test_kernel_version(release: str, version: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "kernel_release", lambda: release)
    assert features.kernel_version() == version


def test_kernel_features() -> None:
    assert features.has_filesystem("proc")
    assert not features.has_filesystem("no-such-filesystem")
    assert features.kernel_version() >= (3, 10)
    for answer in (features.seccomp_enabled(), features.apparmor_enabled(), features.selinux_enabled()):
        assert answer in (True, False)
    if not features.selinux_enabled():
        assert not features.selinux_enforcing()


def test_prctl() -> None:
    assert libc.prctl(libc.PR_CAPBSET_READ, 0) in (0, 1)
    with pytest.raises(OSError, match="Invalid argument"):
        libc.prctl(libc.PR_CAPBSET_READ, 4000)


def test_identity() -> None:
    assert identity.is_root() == (os.geteuid() == 0)
    assert identity.effective_uid() == os.geteuid()
    assert identity.in_user_namespace() == (
        Path("/proc/self/uid_map").read_text().split() != ["0", "0", "4294967295"]
    )
