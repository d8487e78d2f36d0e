"""All workloads, in the order in which they are measured."""

from __future__ import annotations

from workloads import Workload

from suites import containers, images, networks, pods, short


def all_workloads() -> list[Workload]:
    """Of every suite; those that want other containers on the store come last, the fewest first."""
    found = [workload for suite in (short, images, networks, pods, containers) for workload in suite.WORKLOADS]
    return sorted(found, key=lambda workload: workload.present)
