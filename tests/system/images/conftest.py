"""A runtime of its own per test, and Debian's docker-registry on loopback."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.images import MadeImage, busybox_image, write_docker_archive
from tests.helpers.podman import Tools, missing_tools

from wherry import Runtime

NAME = "localhost/busybox:1"


def _real_registry() -> Any:
    path = Path(__file__).parents[1] / "registry" / "real_registry.py"
    spec = importlib.util.spec_from_file_location("images_real_registry", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session", autouse=True)
def programs() -> None:
    if missing_tools() or not shutil.which("docker-registry"):
        pytest.skip("needs podman, buildah, skopeo and docker-registry")


@pytest.fixture
def tools() -> Iterator[Tools]:
    """Real tools on the store the runtime uses; Podman wants a short path."""
    found = Tools(tempfile.mkdtemp(prefix="img-", dir="/tmp"))
    yield found
    found.clean_up()


@pytest.fixture
def other() -> Iterator[Tools]:
    """Real tools on a store of theirs."""
    found = Tools(tempfile.mkdtemp(prefix="img-", dir="/tmp"))
    yield found
    found.clean_up()


@pytest.fixture
def runtime(tools: Tools) -> Iterator[Runtime]:
    with Runtime(root=tools.graph_root, runroot=tools.run_root, storage_driver="overlay") as made:
        yield made


@pytest.fixture(scope="session")
def made() -> MadeImage:
    return busybox_image()


@pytest.fixture
def loaded(runtime: Runtime, made: MadeImage, tmp_path: Path) -> str:
    """The name of an image in the store."""
    archive = write_docker_archive(str(tmp_path / "busybox.tar"), [(made, [NAME])])
    runtime.images.load(archive)
    return NAME


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Any]:
    base = tmp_path / "registry"
    base.mkdir()
    with _real_registry().RealRegistry(base) as server:
        yield server


@pytest.fixture
def locked_registry(tmp_path: Path) -> Iterator[Any]:
    """One that wants user ``me`` with the password ``secret``."""
    base = tmp_path / "locked"
    base.mkdir()
    with _real_registry().RealRegistry(base, password=True) as server:
        yield server
