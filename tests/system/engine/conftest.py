"""What the tests here name; the fixtures are those of all system tests."""

from __future__ import annotations

from tests.system.fixtures.engine import IMAGE, open_runtime, sweep

__all__ = ["IMAGE", "open_runtime", "sweep"]
