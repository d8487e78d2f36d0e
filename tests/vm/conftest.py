"""One virtual machine for all tests of the session, with wherry of this checkout in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.vm import guest, payload
from tests.vm.machine import Machine


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/vm/" in item.path.as_posix():
            item.add_marker(pytest.mark.vm)


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """The machine, booted, with the image ``localhost/test/busybox:latest`` (payload.IMAGE) in root's store."""
    if reason := guest.missing():
        pytest.skip(reason)
    directory = tmp_path_factory.mktemp("vm")
    built = guest.guest()
    disk = payload.make(built, directory)
    with Machine(built, disk, directory) as started:
        started.run(payload.load("wherry"))
        yield started
