"""Images."""

from __future__ import annotations

from workloads import Workload

WORKLOADS = [
    Workload("images", lambda tag: ["images"], target=1.0),
]
