"""Containers: one at a time, many at once, many present, logs."""

from __future__ import annotations

import os
import time

from engines import Engine
from workloads import IMAGE, Sample, Workload, remove, run_detached, timed

#: How many ``run --rm`` are going at a time, and how many there are in all.
AT_ONCE, IN_ALL = 16, 48
LINES = 1_000_000


def create(engine: Engine, tag: str) -> None:
    engine.run("create", "--name", f"b{tag}", "--network", "none", IMAGE, "sleep", "1000")


def many_at_once(engine: Engine, _tag: str) -> Sample:
    """*IN_ALL* times ``run --rm`` of a process that ends at once, *AT_ONCE* going at a time: the wall time of all."""
    words = engine.argv("run", "--rm", "--network", "none", IMAGE, "true")
    running: set[int] = set()
    begin = time.perf_counter()
    for _ in range(IN_ALL):
        if len(running) == AT_ONCE:
            running.discard(_reap())
        running.add(_spawn(words, engine))
    while running:
        running.discard(_reap())
    return Sample((time.perf_counter() - begin) * 1000, 0.0)


def _spawn(words: list[str], engine: Engine) -> int:
    null = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1)]
    return os.posix_spawnp(words[0], words, {**os.environ, **engine.environment}, file_actions=null)


def _reap() -> int:
    pid, status = os.wait()
    if status:
        raise SystemExit(f"a command ended with {os.waitstatus_to_exitcode(status)}")
    return pid


def write_lines(engine: Engine, tag: str) -> Sample:
    """Start a container that writes *LINES* lines to its log, and wait for its end."""
    begin = time.perf_counter()
    container = ["--name", f"b{tag}", "--network", "none", "--log-driver", "k8s-file"]
    engine.run("run", "-d", *container, IMAGE, "seq", str(LINES))
    waited = timed(engine, ["wait", f"b{tag}"])
    return Sample((time.perf_counter() - begin) * 1000, waited.memory)


def written(engine: Engine, tag: str) -> None:
    write_lines(engine, tag)


WORKLOADS = [
    Workload(
        "run --rm, network none", lambda tag: ["run", "--rm", "--network", "none", IMAGE, "true"], target=0.55
    ),
    Workload(
        "create",
        lambda tag: ["create", "--name", f"b{tag}", "--network", "none", IMAGE, "sleep", "1000"],
        restore=remove,
        target=0.9,
    ),
    Workload("start", lambda tag: ["start", f"b{tag}"], prepare=create, restore=remove, target=0.7),
    Workload(
        "run -d, network none",
        lambda tag: ["run", "-d", "--name", f"b{tag}", "--network", "none", IMAGE, "sleep", "1000"],
        restore=remove,
        target=0.7,
    ),
    Workload(
        "exec true", lambda tag: ["exec", f"b{tag}", "true"],
        prepare=run_detached, restore=remove, target=0.3, docker=True,
    ),
    Workload("stop", lambda tag: ["stop", f"b{tag}"], prepare=run_detached, restore=remove, target=0.3),
    Workload("rm -f -t0", lambda tag: ["rm", "-f", "-t", "0", f"b{tag}"], prepare=run_detached, target=0.3),
    Workload("ps", lambda tag: ["ps"], prepare=run_detached, restore=remove, target=0.95),
    Workload(f"{IN_ALL} x run --rm, {AT_ONCE} at a time", measure=many_at_once, target=0.5, runs=3),
    Workload("log 1,000,000 lines", measure=write_lines, restore=remove, target=1.0, runs=5),
    Workload(
        "logs of 1,000,000 lines", lambda tag: ["logs", f"b{tag}"], prepare=written, restore=remove, target=0.25, runs=5
    ),
    Workload("ps -a, 100", lambda tag: ["ps", "-a"], target=0.55, present=100),
    Workload("ps -a, 500", lambda tag: ["ps", "-a"], target=0.3, present=500),
    Workload("ps -a --format json, 500", lambda tag: ["ps", "-a", "--format", "json"], target=0.3, present=500),
    Workload("inspect 1 of 500", lambda tag: ["inspect", "fill250"], target=0.9, present=500),
]
