"""A registry for the session, an engine of its own for every test, checked for leaks."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.leaks import assert_nothing_leaked
from tests.system.engine.conftest import unmount
from tests.system.fixtures.engine import open_runtime
from tests.system.update.world import World

from wherry.engine.runtime import Runtime


def _real_registry() -> Any:
    path = Path(__file__).parents[1] / "registry" / "real_registry.py"
    spec = importlib.util.spec_from_file_location("update_real_registry", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    if not shutil.which("docker-registry"):
        pytest.skip("needs docker-registry")
    with _real_registry().RealRegistry(tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture
def locked_registry(tmp_path: Path) -> Iterator[Any]:
    """One that wants user ``me`` with the password ``secret``."""
    base = tmp_path / "locked"
    base.mkdir()
    with _real_registry().RealRegistry(base, password=True) as server:
        yield server


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """The containers.conf of the test's engine; to be written before ``world`` is asked for."""
    return tmp_path / "containers.conf"


@pytest.fixture
def world(registry: Any, conf: Path) -> Iterator[World]:
    directory = Path("/var/tmp") / f"wherry-update-{os.getpid()}"
    (directory / "root").mkdir(parents=True)
    conf.touch()
    try:
        with open_runtime(directory, config=str(conf)) as rt:
            yield World(rt, directory, registry.host)
            clear(rt)
            assert_nothing_leaked(rt, 0)
    finally:
        unmount(directory)
        shutil.rmtree(directory)


def clear(rt: Runtime) -> None:
    """Remove what a test leaves on purpose."""
    for pod in rt.pods.list():
        pod.remove(force=True)
    for summary in rt.containers.list(all=True):
        rt.containers.get(summary.id).remove(force=True, volumes=True, timeout=0)
    for volume in rt.volumes.list():
        volume.remove(force=True)
    for image in rt.images.list(all=True):
        image.remove(force=True)
