"""Reading files of a container's root (CVE-2021-4024 class: links that lead out)."""

from __future__ import annotations

import os
from pathlib import Path

from wherry.engine.rootfs_files import is_directory, read_text


def test_plain_file(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\n")
    assert read_text(str(tmp_path), "/etc/passwd").startswith("root:")


def test_links_stay_inside(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (tmp_path / "secret").write_text("host")
    (root / "real").write_text("inside")
    os.symlink("../../../../secret", root / "etc/passwd")
    os.symlink("/real", root / "etc/group")
    assert read_text(str(root), "etc/passwd") == ""
    assert read_text(str(root), "etc/group") == "inside"


def test_absolute_directory_link_is_taken_from_the_root(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "usr/etc").mkdir(parents=True)
    (root / "usr/etc/passwd").write_text("x")
    os.symlink("/usr/etc", root / "etc")
    assert read_text(str(root), "etc/passwd") == "x"
    assert is_directory(str(root), "/etc")


def test_what_is_no_file_reads_as_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "dir").mkdir()
    assert read_text(str(tmp_path), "fifo") == ""
    assert read_text(str(tmp_path), "dir") == ""
    assert read_text(str(tmp_path), "missing") == ""
    assert not is_directory(str(tmp_path), "fifo")
