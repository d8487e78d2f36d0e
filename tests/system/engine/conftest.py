"""What the tests here name; the fixtures are those of all system tests."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.helpers.leaks import mounts_below, processes_of
from tests.system.engine.recovering import until
from tests.system.fixtures.engine import IMAGE, open_runtime, sweep
from tests.system.fixtures.hybrid import hugetlb_as_version_1

from wherry.engine.runtime import Runtime
from wherry.oci.choose import refused

__all__ = ["IMAGE", "open_runtime", "sweep"]


@pytest.fixture(scope="session")
def suitable_host(base: Path) -> Iterator[None]:
    """A host crun accepts, if it can be made one."""
    if not refused("crun"):
        yield
        return
    try:
        with hugetlb_as_version_1():
            yield
    except OSError as error:
        pytest.skip(f"crun {refused('crun')}, and hugetlb cannot be mounted: {error}")


@pytest.fixture(params=["crun", "runc"])
def with_runtime(request: pytest.FixtureRequest, base: Path, rt: Runtime, suitable_host: None) -> Iterator[Runtime]:
    """The engine of ``rt``, once with each OCI runtime."""
    if not shutil.which(request.param):
        pytest.skip(f"{request.param} is not installed")
    if refused(request.param):
        pytest.skip(f"{request.param} {refused(request.param)}")
    with open_runtime(base, runtime=request.param) as runtime:
        yield runtime


@pytest.fixture
def own(layout: Path) -> Iterator[Path]:
    """An engine of the test's own with one image, which may come to harm."""
    with private_engine(layout) as directory:
        yield directory


@pytest.fixture
def small(layout: Path) -> Iterator[Path]:
    """The same with its graph root on a file system of 16 MB."""
    with private_engine(layout, "16m") as directory:
        yield directory


@contextmanager
def private_engine(layout: Path, size: str = "") -> Iterator[Path]:
    directory = Path("/var/tmp") / f"wherry-own-{os.getpid()}"
    (directory / "root").mkdir(parents=True)
    if size:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", directory / "root"], check=True)
    try:
        with open_runtime(directory) as runtime:
            runtime.images.load(str(layout))
        yield directory
    finally:
        until(lambda: not processes_of(str(directory)))     # an exit command would make directories anew
        unmount(directory)
        shutil.rmtree(directory)


def unmount(directory: Path) -> None:
    """Unmount everything below *directory*."""
    for point in sorted(mounts_below(str(directory)), key=len, reverse=True):
        subprocess.run(["umount", "-l", point], check=True)
