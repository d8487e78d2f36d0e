"""wherry and Podman, each on a store of its own, given the same words."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest
from tests.helpers.leaks import mounts_below, processes_of
from tests.helpers.podman import CONTAINERS_CONF, missing_tools
from tests.system.engine.recovering import until

REPOSITORY = Path(__file__).resolve().parents[3]
IMAGE = "localhost/test/busybox:latest"
LAUNCHER = ["/usr/bin/python3", "-ISXutf8", str(REPOSITORY / "src/wherry/cli/launcher.py")]

#: Podman 4 and 5 differ in what they give by default.
CAPABILITIES = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "NET_BIND_SERVICE", "SETGID", "SETPCAP", "SETUID"]

Run = Callable[..., tuple[int, str]]
T = TypeVar("T")


@pytest.fixture(scope="package")
def engines() -> Iterator[dict[str, Run]]:
    """wherry and Podman, each on a store of its own with a container of user 1000 called box."""
    if os.geteuid() != 0 or missing_tools():
        pytest.skip("needs root and podman")
    base = Path("/var/tmp") / f"wherry-cp-{os.getpid()}"
    base.mkdir()
    (base / "containers.conf").write_text(CONTAINERS_CONF + f"default_capabilities = {CAPABILITIES}\n")
    subprocess.run(
        [sys.executable, REPOSITORY / "scripts/busybox_image.py", base / "layout", "--tag", IMAGE], check=True
    )
    programs = {
        "wherry": [*LAUNCHER, "--storage-driver", "overlay", "--runtime", "runc"],
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
        until(lambda: not processes_of(str(base)))      # Podman's clean-up goes on in the background
        for point in sorted(mounts_below(str(base)), key=len, reverse=True):
            subprocess.run(["umount", "-l", point], check=False)
        shutil.rmtree(base)


def both(engines: dict[str, Run], work: Callable[[Run], T]) -> list[T]:
    """What *work* gives with wherry and with Podman, done at the same time."""
    with ThreadPoolExecutor(2) as pool:
        return [job.result() for job in [pool.submit(work, engines[name]) for name in ("wherry", "podman")]]
