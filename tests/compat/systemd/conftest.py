"""The pair of Podman and wherry of the command line's tests."""

from __future__ import annotations

from tests.compat.cli.conftest import pair, real_podman

__all__ = ["pair", "real_podman"]
