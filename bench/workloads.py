"""What is measured. Each workload prepares, runs the timed command, and puts things back."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

from engines import Engine

IMAGE = "bench/busybox:latest"


@dataclass
class Sample:
    """One measurement: wall milliseconds and peak memory of the command in MiB."""

    wall: float
    memory: float


@dataclass
class Workload:
    """*prepare* and *restore* are not timed; *words* gives the command line of one run."""

    name: str
    words: Callable[[str], list[str]]
    prepare: Callable[[Engine, str], None] = lambda engine, tag: None
    restore: Callable[[Engine, str], None] = lambda engine, tag: None
    target: float | None = None
    repeat: int = 1


def timed(engine: Engine, words: list[str]) -> Sample:
    """Run one command to its end; its peak memory comes from wait4."""
    null = open(os.devnull, "r+b")
    begin = time.perf_counter()
    process = subprocess.Popen(
        engine.argv(*words), env={**os.environ, **engine.environment}, stdin=null, stdout=null, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    errors = process.stderr.read()
    _pid, status, usage = os.wait4(process.pid, 0)
    wall = (time.perf_counter() - begin) * 1000
    process.returncode = os.waitstatus_to_exitcode(status)
    null.close()
    if process.returncode:
        raise SystemExit(f"{' '.join(engine.argv(*words))}: exit code {process.returncode}: {errors.decode().strip()}")
    return Sample(wall, usage.ru_maxrss / 1024)


def remove(engine: Engine, tag: str) -> None:
    engine.run("rm", "-f", "-t", "0", f"b{tag}", check=False)


def create(engine: Engine, tag: str) -> None:
    engine.run("create", "--name", f"b{tag}", "--network", "none", IMAGE, "sleep", "1000")


def run_detached(engine: Engine, tag: str) -> None:
    # A shell that ends on TERM: process 1 of a PID namespace ignores signals it has no handler for.
    script = "trap 'exit 0' TERM; while :; do sleep 0.02; done"
    engine.run("run", "-d", "--name", f"b{tag}", "--network", "none", IMAGE, "sh", "-c", script)


def detach_words(network: str) -> Callable[[str], list[str]]:
    return lambda tag: ["run", "-d", "--name", f"b{tag}", "--network", network, IMAGE, "sleep", "1000"]


def run_published(engine: Engine, tag: str) -> None:
    script = "trap 'exit 0' TERM; while :; do sleep 0.02; done"
    engine.run("run", "-d", "--name", f"b{tag}", "-p", "127.0.0.1::80", IMAGE, "sh", "-c", script)


WORKLOADS = [
    Workload("version", lambda tag: ["version"], target=1.2),
    Workload("images", lambda tag: ["images"], target=1.0),
    Workload(
        "run --rm, network none", lambda tag: ["run", "--rm", "--network", "none", IMAGE, "true"], target=0.6
    ),
    Workload("run --rm, bridge", lambda tag: ["run", "--rm", IMAGE, "true"], target=0.6),
    Workload(
        "run --rm, bridge, published port",
        lambda tag: ["run", "--rm", "-p", "127.0.0.1::80", IMAGE, "true"],
        target=0.6,
    ),
    Workload(
        "rm -f -t0, bridge, published port",
        lambda tag: ["rm", "-f", "-t", "0", f"b{tag}"],
        prepare=run_published,
        target=0.35,
    ),
    Workload("network ls", lambda tag: ["network", "ls"], target=1.2),
    Workload(
        "create",
        lambda tag: ["create", "--name", f"b{tag}", "--network", "none", IMAGE, "sleep", "1000"],
        restore=remove,
        target=1.0,
    ),
    Workload("start", lambda tag: ["start", f"b{tag}"], prepare=create, restore=remove, target=0.75),
    Workload("run -d, network none", detach_words("none"), restore=remove),
    Workload("exec true", lambda tag: ["exec", f"b{tag}", "true"], prepare=run_detached, restore=remove, target=0.4),
    Workload("stop", lambda tag: ["stop", f"b{tag}"], prepare=run_detached, restore=remove, target=0.4),
    Workload(
        "rm -f -t0", lambda tag: ["rm", "-f", "-t", "0", f"b{tag}"], prepare=run_detached, target=0.4
    ),
    Workload("ps", lambda tag: ["ps"], prepare=run_detached, restore=remove, target=1.1),
]
PS_TARGETS = {100: 0.6, 500: 0.35}


def fill(engine: Engine, count: int) -> None:
    """Have *count* created containers on the store."""
    have = len(engine.run("ps", "-aq").stdout.split())
    for number in range(have, count):
        engine.run("create", "--name", f"fill{number}", "--network", "none", IMAGE, "true")


def empty(engine: Engine) -> None:
    names = engine.run("ps", "-aq").stdout.split()
    for start in range(0, len(names), 50):
        engine.run("rm", "-f", "-t", "0", *names[start:start + 50], check=False)


