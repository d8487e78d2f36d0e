"""Modules on the way of every command stay free of expensive imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import wherry

EXPENSIVE = {
    "asyncio", "collections", "contextlib", "ctypes", "_ctypes", "dataclasses", "datetime", "enum", "functools",
    "hashlib", "inspect", "json", "logging", "pathlib", "re", "shutil", "signal", "socket", "sqlite3", "ssl", "struct",
    "subprocess", "tempfile", "tomllib", "typing",
}


@pytest.mark.parametrize(
    "module", ["files", "locks", "processes", "cgroups", "mounts", "namespaces", "terminal", "limits", "capabilities",
               "identity", "features", "overlay_probes", "libc"]
)
def test_importing_sys_modules_is_cheap(module: str) -> None:
    source = Path(wherry.__file__).parent.parent
    code = f"import sys; sys.path.insert(0, {str(source)!r}); import wherry.sys.{module}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    assert not EXPENSIVE & set(loaded.stdout.split())
