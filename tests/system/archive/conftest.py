"""Fixtures of the archive package's system tests."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from podman_layers import PodmanStore


@pytest.fixture
def podman_store() -> Iterator[PodmanStore]:
    base = Path(tempfile.mkdtemp(prefix="archive-", dir="/tmp"))    # podman takes 50 characters of run root at most
    store = PodmanStore(base)
    yield store
    store.close()
    shutil.rmtree(base)
