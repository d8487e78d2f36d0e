"""What a workload is: it prepares, runs the timed command, and puts things back.

The workloads themselves are in ``bench/suites``, one module per noun, each with a list ``WORKLOADS``.
"""

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
    """One measurement: wall milliseconds, peak memory in MiB and CPU milliseconds of the command with its children."""

    wall: float
    memory: float
    cpu: float = 0.0


@dataclass
class Workload:
    """*prepare* and *restore* are not timed; *words* gives the command line of one run, *tag* names what it makes.

    *measure* is for what is more than one command: it runs it and returns the sample.  *target* is the ratio to Podman
    4.3.1 that is wanted.  *present* is how many other containers are on the store.  *runs* overrides how often the
    command is timed, for those that take seconds.  *docker* says that Docker has the same command.
    """

    name: str
    words: Callable[[str], list[str]] = lambda tag: []
    prepare: Callable[[Engine, str], None] = lambda engine, tag: None
    restore: Callable[[Engine, str], None] = lambda engine, tag: None
    measure: Callable[[Engine, str], Sample] | None = None
    target: float | None = None
    present: int = 0
    runs: int = 0
    docker: bool = False

    def sample(self, engine: Engine, tag: str) -> Sample:
        """Run it once and time it."""
        return self.measure(engine, tag) if self.measure else timed(engine, self.words(tag))


def timed(engine: Engine, words: list[str], *, may_fail: bool = False) -> Sample:
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
    if process.returncode and not may_fail:
        raise SystemExit(f"{' '.join(engine.argv(*words))}: exit code {process.returncode}: {errors.decode().strip()}")
    return Sample(wall, usage.ru_maxrss / 1024, (usage.ru_utime + usage.ru_stime) * 1000)


def remove(engine: Engine, tag: str) -> None:
    engine.run("rm", "-f", "-t", "0", f"b{tag}", check=False)


def run_detached(engine: Engine, tag: str, *options: str) -> None:
    """A container called b*tag* that ends on TERM: process 1 of a PID namespace ignores what it has no handler for."""
    script = "trap 'exit 0' TERM; while :; do sleep 0.02; done"
    engine.run("run", "-d", "--name", f"b{tag}", *(options or ("--network", "none")), IMAGE, "sh", "-c", script)


def fill(engine: Engine, count: int) -> None:
    """Have *count* created containers on the store, called fill0, fill1, ..."""
    have = len(engine.run("ps", "-aq").stdout.split())
    for number in range(have, count):
        engine.run("create", "--name", f"fill{number}", "--network", "none", IMAGE, "true")


def empty(engine: Engine) -> None:
    names = engine.run("ps", "-aq").stdout.split()
    for start in range(0, len(names), 50):
        engine.run("rm", "-f", "-t", "0", *names[start:start + 50], check=False)
