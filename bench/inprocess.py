"""Time ``rt.containers.run`` in a Python process that has wherry imported already."""

from __future__ import annotations

import json
import os
import subprocess

from engines import REPOSITORY, Engine

PROGRAM = """
import json, sys, time
import wherry
root, runroot, networks, image, runs = sys.argv[1:6]
times = []
with wherry.Runtime(root=root, runroot=runroot, storage_driver="overlay", cgroup_manager="cgroupfs",
                    network_config_dir=networks) as rt:
    for number in range(int(runs) + 1):
        begin = time.perf_counter()
        result = rt.containers.run(image, ["true"], remove=True, network="none")
        times.append((time.perf_counter() - begin) * 1000)
        assert result.exit_code == 0, result
print(json.dumps(times[1:]))
"""


def measure_in_process(engine: Engine, image: str, runs: int) -> list[float]:
    """Wall milliseconds of each run."""
    options = dict(word.removeprefix("--").split("=", 1) for word in engine.command[1:])
    done = subprocess.run(
        [
            os.path.join(REPOSITORY, ".venv/bin/python"), "-c", PROGRAM,
            options["root"], options["runroot"], options["network-config-dir"], image, str(runs),
        ],
        env={**os.environ, **engine.environment}, capture_output=True, text=True,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    times: list[float] = json.loads(done.stdout)
    return times
