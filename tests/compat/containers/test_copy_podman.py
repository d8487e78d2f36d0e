"""cp side by side with Podman: the same words give the same files, owners, messages and exit codes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.compat.containers.conftest import Run

pytestmark = pytest.mark.compat


def listing(directory: Path) -> list[tuple[str, str, int, int]]:
    return sorted(
        (str(path.relative_to(directory)), oct(path.lstat().st_mode), path.lstat().st_uid, path.lstat().st_gid)
        for path in directory.rglob("*")
    )


CASES = (
    "source/file box:/tmp/", "source/dir box:/tmp/new", "source/dir box:/tmp/", "source/dirlink box:/tmp/",
    "source/filelink box:/tmp/", "--archive=false source/file box:/tmp/kept", "source/dir/. box:/tmp/new",
    "source/file box:/nodir/x", "source/file box:/tmp/nofile/", "source/nope box:/tmp", "box:/nope .", "nocont:/x .",
    "source/dir box:/etc/passwd", "source/a source/b", "box:/etc/passwd out", "box:/tmp/dir out2", "box:/tmp/dir .",
    "box:/tmp/new/. dot", "box:/etc/passwd no/x", "box:/etc source/file", "box: .",
)


def test_the_same_words_do_the_same(engines: dict[str, Run], tmp_path: Path) -> None:
    seen = {}
    for name, run in engines.items():
        work = tmp_path / name
        (work / "source/dir/sub").mkdir(parents=True)
        (work / "source/file").write_text("hi\n")
        (work / "source/file").chmod(0o4755)
        os.chown(work / "source/file", 7, 8)
        (work / "source/dir/sub/deep").write_text("deep\n")
        (work / "source/dir/link").symlink_to("sub")
        (work / "source/dirlink").symlink_to("dir")
        (work / "source/filelink").symlink_to("file")
        said = [(case, *run("cp", *case.split(), cwd=work)) for case in CASES]
        show = "cd /tmp; find . -exec stat -c '%n %A %u %g' {} + | sort"
        inside = run("exec", "--user", "0", "box", "sh", "-c", show)
        seen[name] = (said, inside, listing(work))
    for ours, theirs in zip(seen["wherry"], seen["podman"], strict=True):
        assert ours == theirs
