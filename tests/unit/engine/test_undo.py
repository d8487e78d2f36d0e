"""Undo: reversed, whole, and silent after commit."""

from __future__ import annotations

import pytest

from wherry.engine.undo import Undo


def test_steps_run_in_reverse_when_the_block_fails() -> None:
    done: list[str] = []
    with pytest.raises(ValueError, match="boom"), Undo() as undo:
        undo.push("first", done.append, "first")
        undo.push("second", done.append, "second")
        raise ValueError("boom")
    assert done == ["second", "first"]


def test_nothing_runs_after_commit() -> None:
    done: list[str] = []
    with Undo() as undo:
        undo.push("first", done.append, "first")
        undo.commit()
    assert done == []


def test_a_step_that_fails_does_not_stop_the_others(capfd: pytest.CaptureFixture[str]) -> None:
    done: list[str] = []

    def fails() -> None:
        raise OSError("disk gone")

    with pytest.raises(KeyError), Undo() as undo:
        undo.push("first", done.append, "first")
        undo.push("second", fails)
        raise KeyError("original")
    assert done == ["first"]
    assert "undoing second: disk gone" in capfd.readouterr().err
