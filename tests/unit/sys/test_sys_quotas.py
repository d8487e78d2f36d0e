"""What the kernel is given: sizes and places of the fields, from its headers; what it is not able to do."""

from __future__ import annotations

import errno
import struct
from pathlib import Path

import pytest

from wherry.sys import libc, quotas


def test_a_limit_as_the_kernel_reads_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """``struct fs_disk_quota`` (dqblk_xfs.h): version, flags, mask, id, then hard and soft limits; 112 bytes."""
    seen: list[tuple[int, int, bytes]] = []
    projects: list[int] = []
    monkeypatch.setattr(libc, "quotactl_fd", lambda _fd, command, key, data: seen.append((command, key, data)))
    monkeypatch.setattr(quotas, "_set_project", lambda _fd, project: projects.append(project))
    assert quotas.limit_directory(str(tmp_path), 77, 1000, 5)
    (command, key, data), = seen
    assert (command, key, len(data)) == (0x580402, 77, 112)
    assert struct.unpack("=bbHIQQQQ", data[:40]) == (1, 2, 15, 77, 2, 2, 5, 5)
    assert set(data[40:]) == {0}
    assert projects == [77]


def test_a_file_system_that_cannot_count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_arguments: object) -> None:
        raise OSError(errno.ESRCH, "no quotas")

    monkeypatch.setattr(libc, "quotactl_fd", refuse)
    assert not quotas.limit_directory(str(tmp_path), 77, 1000, 5)
    quotas.forget_project(str(tmp_path), 77)


def test_other_failures_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_arguments: object) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(libc, "quotactl_fd", refuse)
    with pytest.raises(OSError, match="broken"):
        quotas.limit_directory(str(tmp_path), 77, 1000, 5)
    with pytest.raises(OSError, match="broken"):
        quotas.forget_project(str(tmp_path), 77)
