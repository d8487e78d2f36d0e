"""Limits of volumes on a file system that counts, where this kernel can have one."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.system.fixtures.engine import IMAGE

from wherry.engine.runtime import Runtime
from wherry.errors import InvalidArgument
from wherry.sys import quotas

pytestmark = pytest.mark.system


@pytest.fixture
def counting(tmp_path: Path) -> Iterator[Path]:
    """A directory on a file system mounted with project quotas."""
    if not shutil.which("mkfs.ext4"):
        pytest.skip("needs mkfs.ext4")
    image, place = tmp_path / "disk", tmp_path / "mounted"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(64 << 20)
    made = subprocess.run(
        ["mkfs.ext4", "-q", "-O", "quota,project", "-E", "quotatype=prjquota", image], capture_output=True, text=True
    )
    if made.returncode:
        pytest.skip(f"mkfs.ext4 makes no file system with project quotas: {made.stderr.strip()}")
    mounted = subprocess.run(["mount", "-o", "loop,prjquota", image, place], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip("this kernel mounts no ext4 with project quotas (CONFIG_QUOTA)")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def test_size_and_inodes_are_kept(rt: Runtime, counting: Path) -> None:
    options = rt.settings.options.replace(volumepath=str(counting), root=f"{counting}/root", runroot=f"{counting}/run")
    with Runtime(options) as own, own.volumes.create("small", options={"o": "size=4m,inodes=20"}) as volume:
        place = Path(volume.mount_point)
        project = quotas.project_of(str(place))
        assert project
        (place / "fits").write_bytes(bytes(1 << 20))
        with pytest.raises(OSError, match="quota exceeded"):
            (place / "big").write_bytes(bytes(8 << 20))
        with pytest.raises(OSError, match="quota exceeded"):
            for number in range(40):
                (place / str(number)).touch()
        with own.volumes.create("other", options={"o": "size=4m"}) as other:
            assert quotas.project_of(other.mount_point) not in (0, project)
            Path(other.mount_point, "fits").write_bytes(bytes(3 << 20))
        with own.volumes.create("free", options={"o": "size=4m,noquota"}) as free:
            assert quotas.project_of(free.mount_point) == 0


@pytest.mark.parametrize("options", ["size=10m", "inodes=5"])
def test_a_file_system_that_does_not_count(rt: Runtime, options: str) -> None:
    if quotas.limit_directory(rt.paths.state_dir, 0x7FFFFFFF, 1 << 40, 0):
        pytest.skip("this file system has project quotas")
    with pytest.raises(InvalidArgument, match="not supported. Filesystem does not support Project Quota"):
        rt.volumes.create("limited", options={"o": options})
    assert rt.volumes.list() == []
    assert not Path(rt.paths.volumes, "limited").exists()


def test_limits_of_a_tmpfs_are_its_own(rt: Runtime) -> None:
    options = {"type": "tmpfs", "device": "tmpfs", "o": "size=1m,inodes=50"}
    with rt.volumes.create("ram", options=options):
        script = "df -h /d | tail -1; df -i /d | tail -1"
        result = rt.containers.run(IMAGE, ["sh", "-c", script], remove=True, network="none", volumes=["ram:/d"])
        size, inodes = result.stdout.splitlines()
        assert (size.split()[1], inodes.split()[1]) == ("1.0M", "50")


def test_what_is_mounted_cannot_be_limited(rt: Runtime, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="something else is mounted on"):
        rt.volumes.create("bound", options={"type": "none", "device": str(tmp_path), "o": "bind,size=1m"})
