"""Commands that are mostly start-up."""

from __future__ import annotations

from workloads import Workload

WORKLOADS = [
    Workload("version", lambda tag: ["version"], target=1.2),
]
