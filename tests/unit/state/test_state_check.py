"""check(): damage is found and named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from wherry.model.mount import NamedVolume
from wherry.model.network import NetworkOptions
from wherry.model.volume import VolumeConfig, VolumeState
from wherry.state.sqlite import SqliteState
from wherry.testing.state_builders import add, full

ID = full("c1")


@pytest.fixture
def state(tmp_path: Path) -> Iterator[SqliteState]:
    state = SqliteState(str(tmp_path / "state.db"), identity={})
    state.add_volume(VolumeConfig(name="data"), VolumeState())
    add(state, named_volumes=[NamedVolume(name="data")], networks={"n": NetworkOptions()})
    yield state
    state.close()


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (f"UPDATE containers SET pid=5 WHERE id='{ID}'", f"container {ID}: column pid is 5 and should be 0"),
        ("DELETE FROM volume_uses", f"container {ID}: volume_uses does not agree with its configuration"),
        (
            f"INSERT INTO network_uses VALUES ('{ID}', 'other')",
            f"container {ID}: network_uses does not agree with its configuration",
        ),
        ("DELETE FROM configs", f"container {ID} has no configuration"),
        ("UPDATE configs SET config='{'", f"container {ID} cannot be decoded"),
        ("UPDATE containers SET state='[]'", f"container {ID} cannot be decoded"),
        ("INSERT INTO configs VALUES (99, '{}')", "row 99 of configs refers to a missing row of containers"),
        ("DELETE FROM volumes", "volume_uses refers to a missing row of volumes"),
    ],
)
def test_damage(state: SqliteState, damage: str, found: str) -> None:
    state._rows("PRAGMA foreign_keys=OFF")
    with state.transaction():
        state._change(damage)
    assert any(found in text for text in state.check()), state.check()


def test_a_damaged_file(state: SqliteState) -> None:
    state.close(fast=False)
    with open(state.path, "r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 8192)
    assert any("malformed" in text or "database:" in text for text in state.check())
