#!/usr/bin/env python3
"""iperf3 between containers and through a published port, wherry beside Podman.

    throughput.py [--rounds 3] [--seconds 3]

As root, with iperf3 (the host's, mounted into the containers).  The engines take turns; what is shown is Gbit/s, median
[most] of the rounds, the ratio of the medians, and that of Gbit/s per CPU, which a busy machine disturbs less.  The
published port is reached from a network namespace outside.  Everything is made in a network and mount namespace of its
own.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from engines import REPOSITORY, Engine, engines
from run import clean, mount_hugetlb
from workloads import IMAGE

IPERF = ["chroot", "/host", "iperf3"]
#: The host's files, and a place for iperf3's buffers.
FILES = ["-v", "/:/host:ro", "-v", "/tmp:/host/tmp"]
PORT = 5201
OUTSIDE, HOST = "192.0.2.2", "192.0.2.1"


def outside() -> str:
    """Make a namespace that reaches this one through a veth pair; returns its name."""
    for words in (
        "netns add outside", "link add up0 type veth peer name eth0 netns outside", f"addr add {HOST}/24 dev up0",
        "link set up0 up", f"-n outside addr add {OUTSIDE}/24 dev eth0", "-n outside link set eth0 up",
    ):
        subprocess.run(["ip", *words.split()], check=True)
    return "outside"


def serve(engine: Engine, *options: str) -> str:
    """Start a server; returns its address."""
    words = ["run", "-d", "--name", "server", *FILES, *options, IMAGE, *IPERF, "-s"]
    engine.run(*words)
    time.sleep(0.5)
    address: str = json.loads(engine.run("inspect", "server").stdout)[0]["NetworkSettings"]["IPAddress"]
    return address


def rate(text: str) -> tuple[float, float]:
    """Gbit/s the receiver saw, and that divided by the CPUs both ends kept busy."""
    end = json.loads(text)["end"]
    gigabits = float(end["sum_received"]["bits_per_second"]) / 1e9
    used = end["cpu_utilization_percent"]
    return gigabits, gigabits / ((used["host_total"] + used["remote_total"]) / 100)


def between(engine: Engine, seconds: int) -> tuple[float, float]:
    """From one container to another."""
    address = serve(engine)
    client = ["run", "--rm", *FILES, IMAGE, *IPERF, "-c", address, "-t", str(seconds), "-J"]
    return rate(engine.run(*client).stdout)


def published(engine: Engine, seconds: int) -> tuple[float, float]:
    """From outside to a container's published port."""
    serve(engine, "-p", f"{PORT}:{PORT}")
    words = ["ip", "netns", "exec", "outside", "iperf3", "-c", HOST, "-t", str(seconds), "-J"]
    return rate(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


def report(name: str, found: dict[str, list[tuple[float, float]]]) -> str:
    """One line of the result."""
    cells, medians = [], []
    for engine, taken in found.items():
        plain, per_cpu = ([pair[index] for pair in taken] for index in (0, 1))
        medians.append((statistics.median(plain), statistics.median(per_cpu)))
        cells.append(f"{engine} {statistics.median(plain):.1f} [{max(plain):.1f}]")
    ratios = ""
    if len(medians) > 1:
        plain_ratio, cpu_ratio = (medians[0][index] / medians[1][index] for index in (0, 1))
        ratios = f"  ratio {plain_ratio:.2f}, per CPU {cpu_ratio:.2f}, wanted 0.95"
    return f"{name:<26} Gbit/s: {', '.join(cells)}{ratios}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    given = parser.parse_args()
    if os.environ.get("WHERRY_BENCH_INSIDE") != "1":
        os.environ["WHERRY_BENCH_INSIDE"] = "1"
        os.execvp("unshare", ["unshare", "--mount", "--net", sys.executable, *sys.argv])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    outside()
    base = tempfile.mkdtemp(prefix="wherry-bench-", dir="/var/tmp")
    mounted = mount_hugetlb()
    try:
        peers = engines(base, "")
        layout, archive = f"{base}/layout", f"{base}/image.tar"
        subprocess.run([sys.executable, f"{REPOSITORY}/scripts/busybox_image.py", layout], check=True)
        words = ["skopeo", "copy", "-q", f"oci:{layout}:latest", f"docker-archive:{archive}:{IMAGE}"]
        subprocess.run(words, check=True)
        for engine in peers:
            engine.run("load", "-q", "-i", archive)
        for name, way in (("container to container", between), ("through a published port", published)):
            found: dict[str, list[tuple[float, float]]] = {engine.name: [] for engine in peers}
            for _round in range(given.rounds):
                for engine in peers:
                    found[engine.name].append(way(engine, given.seconds))
                    engine.run("rm", "-f", "-t", "0", "server")
                    time.sleep(0.3)
            print(report(name, found), flush=True)
    finally:
        subprocess.run(["ip", "netns", "del", "outside"], check=False)
        clean(base, mounted)


if __name__ == "__main__":
    main()
