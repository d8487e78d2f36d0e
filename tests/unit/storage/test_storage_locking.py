"""The locks of a store are taken in one order."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.helpers.stores import store_at

from wherry.errors import InternalError, WherryError
from wherry.storage.locking import EXCLUSIVE, SHARED
from wherry.storage.records import LayerRecord


def test_all_locks_at_once(tmp_path: Path) -> None:
    parts = store_at(tmp_path)._parts
    with parts.locks.hold(storage=True, layers=EXCLUSIVE, images=EXCLUSIVE, containers=EXCLUSIVE):
        for lock in (parts.homes[0].layers.lock, parts.homes[0].images.lock):
            assert lock.is_held(exclusive=True)
        with parts.locks.counting():
            pass
    assert not parts.homes[0].layers.lock.is_held()


def test_an_earlier_lock_may_not_follow_a_later_one(tmp_path: Path) -> None:
    locks = store_at(tmp_path)._parts.locks
    with locks.hold(layers=SHARED):
        with locks.hold(layers=SHARED, images=EXCLUSIVE):
            pass
        with pytest.raises(InternalError, match=r"storage\.lock"):
            locks.hold(storage=True)
    with locks.hold(containers=SHARED), pytest.raises(InternalError, match=r"layers\.lock"):
        locks.hold(layers=SHARED, containers=SHARED)
    with locks.hold(storage=True), pytest.raises(InternalError, match=r"userns\.lock"):
        locks.choosing_ids()


def test_mount_counts_need_the_layers(tmp_path: Path) -> None:
    locks = store_at(tmp_path)._parts.locks
    with pytest.raises(InternalError):
        locks.counting()


def test_an_error_inside_forgets_what_was_not_saved_and_releases(tmp_path: Path) -> None:
    parts = store_at(tmp_path)._parts
    table = parts.homes[0].layers
    with pytest.raises(RuntimeError), parts.locks.hold(layers=EXCLUSIVE, containers=SHARED):
        table.put(LayerRecord(id="a" * 64))
        raise RuntimeError
    assert not table.lock.is_held()
    with parts.locks.hold(layers=SHARED):
        assert len(table) == 0


def test_nothing_stays_locked_when_one_lock_cannot_be_had(tmp_path: Path) -> None:
    parts = store_at(tmp_path)._parts
    (tmp_path / "g" / "overlay-containers").mkdir(parents=True)
    (tmp_path / "g" / "overlay-containers" / "containers.lock").mkdir()
    with pytest.raises(WherryError, match="locking the store"), parts.locks.hold(layers=EXCLUSIVE, containers=SHARED):
        pass
    assert not parts.homes[0].layers.lock.is_held()
