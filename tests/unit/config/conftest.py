"""Fixtures: a machine of its own for every test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from config_machine import Machine


@pytest.fixture
def new_machine(tmp_path: Path) -> Callable[[], Machine]:
    """For property tests: a fresh machine each time."""
    count = 0

    def make() -> Machine:
        nonlocal count
        count += 1
        root = tmp_path / f"machine{count}"
        root.mkdir()
        return Machine(root)

    return make


@pytest.fixture
def machine(new_machine: Callable[[], Machine]) -> Machine:
    return new_machine()
