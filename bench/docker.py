"""A Docker daemon of the benchmark's own, for what its users compare with."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from engines import Engine


@contextmanager
def docker(base: str) -> Iterator[list[Engine]]:
    """One engine whose daemon runs until the block ends; none, with a message, where Docker is not installed."""
    if not (shutil.which("dockerd") and shutil.which("docker")):
        print("docker.io is not installed: no comparison with Docker", file=sys.stderr)
        yield []
        return
    place = os.path.join(base, "docker")
    os.makedirs(place)
    host = f"unix://{place}/docker.sock"
    with open(f"{place}/log", "wb") as log:
        daemon = subprocess.Popen(
            ["dockerd", f"--host={host}", f"--data-root={place}/data", f"--exec-root={place}/run",
             f"--pidfile={place}/pid", "--iptables=false", "--ip6tables=false", "--bridge=none"],
            stdout=log, stderr=log,
        )
    engine = Engine("docker", [shutil.which("docker") or "docker", f"--host={host}"])
    try:
        for _ in range(300):
            if engine.run("version", check=False).returncode == 0:
                break
            if daemon.poll() is not None:
                sys.exit(f"dockerd ended: {open(f'{place}/log').read()[-800:]}")
            time.sleep(0.1)
        yield [engine]
    finally:
        daemon.terminate()
        daemon.wait()
