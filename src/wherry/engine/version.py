"""What ``wherry version`` tells."""

from __future__ import annotations

import os
import sys

import wherry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: The version of Podman's libpod API whose shapes wherry's output follows.
API_VERSION = "5.8.2"

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "i686": "386", "armv7l": "arm"}


def version() -> dict[str, Any]:
    """The JSON tree of ``podman version``: one ``Client`` block. "GoVersion" is filled with the Python that runs us."""
    machine = os.uname().machine
    python = ".".join(str(part) for part in sys.version_info[:3])
    return {
        "Client": {
            "APIVersion": API_VERSION,
            "Version": wherry.__version__,
            "GoVersion": f"python{python}",
            "GitCommit": "",
            "BuiltTime": "Thu Jan  1 00:00:00 1970",
            "Built": 0,
            "OsArch": f"linux/{_MACHINES.get(machine, machine)}",
            "Os": "linux",
        }
    }
