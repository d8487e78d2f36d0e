"""What the tests here name; the fixtures are those of all system tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
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
