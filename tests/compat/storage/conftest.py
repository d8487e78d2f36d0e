"""A store under /tmp that wherry and the real tools share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.helpers.images import MadeImage, busybox_image, write_docker_archive
from tests.helpers.podman import Tools, missing_tools
from tests.helpers.stores import store_at

from wherry.storage.store import Store

NAME = "localhost/busybox:1"


@pytest.fixture(scope="session", autouse=True)
def real_tools() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    if missing_tools():
        pytest.skip(f"needs {', '.join(missing_tools())}")


@pytest.fixture
def base() -> Iterator[str]:
    """An empty directory; whatever is mounted below it is unmounted afterwards."""
    directory = f"/tmp/storage-{os.urandom(6).hex()}"       # also good as part of an image's name
    os.mkdir(directory, 0o700)
    try:
        yield directory
    finally:
        Tools(directory).clean_up()


@pytest.fixture
def tools(base: str) -> Tools:
    return Tools(base)


@pytest.fixture
def store(base: str) -> Store:
    return store_at(base)


@pytest.fixture(scope="session")
def made() -> MadeImage:
    return busybox_image()


@pytest.fixture(scope="session")
def archive(made: MadeImage, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A docker archive of the image, named :data:`NAME`."""
    path: Path = tmp_path_factory.mktemp("archive") / "busybox.tar"
    return write_docker_archive(str(path), [(made, [NAME])])


def mounts_below(directory: str) -> list[str]:
    """Mount points below *directory*."""
    with open("/proc/self/mountinfo", encoding="utf-8") as table:
        return [point for line in table if (point := line.split()[4]).startswith(directory + "/")]
