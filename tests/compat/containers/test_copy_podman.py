"""cp side by side with Podman: the same words give the same files, owners, messages and exit codes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.helpers.podman import CONTAINERS_CONF, missing_tools

pytestmark = [
    pytest.mark.compat,
    pytest.mark.skipif(os.geteuid() != 0 or bool(missing_tools()), reason="needs root and podman"),
]
REPOSITORY = Path(__file__).resolve().parents[3]
IMAGE = "localhost/test/busybox:latest"
LAUNCHER = ["/usr/bin/python3", "-ISXutf8", str(REPOSITORY / "src/wherry/cli/launcher.py")]

Run = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def engines() -> Iterator[dict[str, Run]]:
    """wherry and Podman, each on a store of its own with a container of user 1000 called box."""
    base = Path("/var/tmp") / f"wherry-cp-{os.getpid()}"
    base.mkdir()
    (base / "containers.conf").write_text(CONTAINERS_CONF)
    subprocess.run(
        [sys.executable, REPOSITORY / "scripts/busybox_image.py", base / "layout", "--tag", IMAGE], check=True
    )
    programs = {
        "wherry": [*LAUNCHER, "--storage-driver", "overlay"],
        "podman": ["podman", "--runtime", "runc", "--cgroup-manager", "cgroupfs", "--tmpdir", f"{base}/tmp"],
    }

    def runner(name: str) -> Run:
        words = [*programs[name], "--root", f"{base}/{name}", "--runroot", f"{base}/{name}-run"]
        environment = {**os.environ, "CONTAINERS_CONF": str(base / "containers.conf"), "TMPDIR": "/var/tmp"}

        def run(*args: str, cwd: Path | None = None) -> tuple[int, str]:
            done = subprocess.run(
                [*words, *args], env=environment, cwd=cwd, capture_output=True, text=True, timeout=60
            )
            return done.returncode, done.stdout + done.stderr

        return run

    found = {name: runner(name) for name in programs}
    try:
        for run in found.values():
            _code, said = run("load", "-q", "-i", str(base / "layout"))
            loaded = next(line for line in said.splitlines() if line.startswith("Loaded image"))
            run("tag", loaded.partition(": ")[2], IMAGE)
            code, said = run("run", "-d", "--name", "box", "--network", "none", "--user", "1000:1000", IMAGE, "sleep",
                             "1000")
            assert code == 0, said
        yield found
    finally:
        for run in found.values():
            run("rm", "-f", "-t", "0", "box")
        with open("/proc/self/mountinfo", encoding="utf-8") as table:
            points = [line.split()[4] for line in table]
        for point in reversed(points):
            if point.startswith(f"{base}/"):
                subprocess.run(["umount", "-l", point], check=False)
        shutil.rmtree(base)


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
