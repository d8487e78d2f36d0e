"""Both implementations of State keep its contract."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from wherry.state.memory import MemoryState
from wherry.state.sqlite import SqliteState
from wherry.testing.state_contract import StateContract


class TestMemoryState(StateContract):
    @pytest.fixture
    def state(self) -> MemoryState:
        return MemoryState(identity={"graph root": "/g"})


class TestSqliteState(StateContract):
    @pytest.fixture
    def state(self, tmp_path: Path) -> Iterator[SqliteState]:
        state = SqliteState(str(tmp_path / "engine" / "state.db"), identity={"graph root": "/g"})
        yield state
        state.close()
