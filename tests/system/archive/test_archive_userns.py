"""Extraction inside a user namespace, as rootless engines do it."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from tests.helpers.images import directory, regular, tar_of, whiteout

pytestmark = pytest.mark.system

SCRIPT = """
import io, json, sys
from wherry.archive.extract import ExtractOptions, apply
from wherry.errors import WherryError
tar, root, options = sys.argv[1:]
with open(tar, "rb") as file:
    try:
        apply(file, root, ExtractOptions(userxattr=True, in_userns=True, **json.loads(options)))
    except WherryError as error:
        print(f"{error.kind}: {error}")
"""


def extract(tmp_path: Path, tar: bytes, **options: object) -> tuple[Path, str]:
    """Apply *tar* where only root of a new user namespace is mapped; the directory and the error."""
    (tmp_path / "layer.tar").write_bytes(tar)
    root = tmp_path / "root"
    root.mkdir(exist_ok=True)
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", sys.executable, "-c", SCRIPT, str(tmp_path / "layer.tar"), str(root),
         json.dumps(options)],
        capture_output=True, text=True, check=True,
    )
    return root, done.stdout.strip()


def device(name: str) -> object:
    info = regular(name, devmajor=1, devminor=3)
    info.type = b"3"
    return info


def test_what_a_user_namespace_does_not_allow_is_left_out(tmp_path: Path) -> None:
    tar = tar_of([
        directory("d", pax_headers={"SCHILY.xattr.trusted.x": "1", "SCHILY.xattr.user.y": "2"}), device("d/null"),
        regular("d/.wh..wh..opq"), whiteout("d/gone"), (regular("d/f", 0o4755), b"x"),
    ])      # type: ignore[list-item]
    root, error = extract(tmp_path, tar)
    assert error == ""
    assert sorted(os.listdir(root / "d")) == ["f", "gone"]
    assert stat.S_ISCHR((root / "d/gone").lstat().st_mode)
    assert sorted(os.listxattr(root / "d")) == ["user.overlay.opaque", "user.y"]
    assert (root / "d/f").stat().st_mode & 0o7777 == 0o4755


def test_an_owner_that_is_not_mapped(tmp_path: Path) -> None:
    tar = tar_of([(regular("f", uid=1000, gid=5), b"x")])
    root, error = extract(tmp_path, tar)
    assert error.startswith("permission: potentially insufficient UIDs or GIDs available in user namespace")
    assert "(requested 1000:5 for f)" in error
    root, error = extract(tmp_path, tar, ignore_chown_errors=True)
    assert error == ""
    assert (root / "f").read_bytes() == b"x"
