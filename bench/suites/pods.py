"""Pods and volumes."""

from __future__ import annotations

import time

from engines import Engine
from workloads import IMAGE, Sample, Workload, timed


def pod_steps(tag: str) -> list[list[str]]:
    """A pod of three, created and started."""
    members = [["create", "--pod", f"p{tag}", "--name", f"p{tag}-{number}", IMAGE, "sleep", "1000"]
               for number in range(3)]
    return [["pod", "create", "--name", f"p{tag}"], *members, ["pod", "start", f"p{tag}"]]


def measure_steps(engine: Engine, tag: str) -> Sample:
    samples = [timed(engine, words) for words in pod_steps(tag)]
    return Sample(
        sum(sample.wall for sample in samples), max(sample.memory for sample in samples),
        sum(sample.cpu for sample in samples),
    )


def make_pod(engine: Engine, tag: str) -> None:
    for words in pod_steps(tag):
        engine.run(*words)


def measure_removal(engine: Engine, tag: str) -> Sample:
    """Podman 4 sometimes loses a race with its own monitors for the pod's control group: that took its time as well."""
    return timed(engine, ["pod", "rm", "-f", "-t", "0", f"p{tag}"], may_fail=engine.name != "wherry")


def remove_pod(engine: Engine, tag: str) -> None:
    for _attempt in range(20):
        if not engine.run("pod", "rm", "-f", "-i", "-t", "0", f"p{tag}", check=False).returncode:
            return
        time.sleep(0.2)
    raise SystemExit(f"{engine.name} cannot remove pod p{tag}")


def make_volume(engine: Engine, tag: str) -> None:
    engine.run("volume", "create", f"v{tag}")


def remove_volume(engine: Engine, tag: str) -> None:
    engine.run("volume", "rm", f"v{tag}")


WORKLOADS = [
    Workload("pod of three, created and started", measure=measure_steps, restore=remove_pod, target=0.7),
    Workload(
        "pod rm -f -t0, pod of three", prepare=make_pod, measure=measure_removal, restore=remove_pod, target=0.25
    ),
    Workload("volume create", lambda tag: ["volume", "create", f"v{tag}"], restore=remove_volume, target=1.0),
    Workload("volume ls", lambda tag: ["volume", "ls"], prepare=make_volume, restore=remove_volume, target=1.0),
    Workload("volume rm", lambda tag: ["volume", "rm", f"v{tag}"], prepare=make_volume, target=1.0),
]
