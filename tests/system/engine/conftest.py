"""A private engine with one image, checked for leaks after every test."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.helpers.leaks import assert_nothing_leaked, mounts_below

from wherry.engine.runtime import Runtime

REPOSITORY = Path(__file__).resolve().parents[3]
IMAGE = "localhost/test/busybox:latest"


@pytest.fixture(scope="session")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An OCI layout with a busybox image."""
    directory = tmp_path_factory.mktemp("layout")
    subprocess.run([sys.executable, REPOSITORY / "scripts/busybox_image.py", directory, "--tag", IMAGE], check=True)
    return directory


@pytest.fixture(scope="session")
def base(layout: Path) -> Iterator[Path]:
    """Store and run directory of the session, with the image loaded."""
    directory = Path("/var/tmp") / f"wherry-test-{os.getpid()}"
    directory.mkdir()
    try:
        with open_runtime(directory) as runtime:
            runtime.images.load(str(layout))
        yield directory
    finally:
        for point in sorted(mounts_below(str(directory)), key=len, reverse=True):
            subprocess.run(["umount", "-l", point], check=False)
        shutil.rmtree(directory)


def open_runtime(base: Path, **options: str) -> Runtime:
    return Runtime(
        root=f"{base}/root", runroot=f"{base}/run", network_config_dir=f"{base}/networks", storage_driver="overlay",
        **options,
    )


@pytest.fixture
def rt(base: Path) -> Iterator[Runtime]:
    """The engine; after the test nothing may be left."""
    with open_runtime(base) as runtime:
        layers = len(runtime.store.layers())
        try:
            yield runtime
        except BaseException:
            sweep(runtime)
            raise
        try:
            assert_nothing_leaked(runtime, layers)
        except AssertionError:
            sweep(runtime)
            raise


def sweep(runtime: Runtime) -> None:
    """After a failed test: remove what it left, so that the next one starts clean."""
    for summary in runtime.containers.list(all=True):
        runtime.containers.get(summary.id).remove(force=True, timeout=0)
    runtime.check(quick=True, repair=True)
