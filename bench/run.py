#!/usr/bin/env python3
"""Measure wherry beside its peers: interleaved runs, medians and ratios.  ``make bench`` calls this as root.

    run.py [--runs N] [--only TEXT] [--chroot DIRECTORY] [--docker] [--most N] [--json FILE]

``--only`` chooses workloads by a part of their name, ``--most`` leaves out those with more other containers present.
``--docker`` adds a Docker daemon of its own to the peers (package docker.io).  ``--chroot`` names a root file system
with a newer Podman (``bench/newer-podman.sh DIRECTORY`` makes one).  Everything happens in a mount and network
namespace of its own and below one temporary directory.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from docker import docker
from engines import REPOSITORY, Engine, engines
from inprocess import measure_in_process
from suites import all_workloads
from suites.transfers import NAMES, Transfers
from workloads import IMAGE, Sample, Workload, empty, fill, timed

HUGETLB = "/sys/fs/cgroup/hugetlb"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--only", default="")
    parser.add_argument("--chroot", default="")
    parser.add_argument("--docker", action="store_true")
    parser.add_argument("--most", type=int, default=500)
    parser.add_argument("--json", default=os.path.join(REPOSITORY, "bench/results/latest.json"))
    given = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("run this as root: the peers need it")
    if os.environ.get("WHERRY_BENCH_INSIDE") != "1":
        os.environ["WHERRY_BENCH_INSIDE"] = "1"
        os.execvp("unshare", ["unshare", "--mount", "--net", sys.executable, *sys.argv])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    base = tempfile.mkdtemp(prefix="wherry-bench-", dir="/var/tmp")
    mounted = mount_hugetlb()
    try:
        with docker(base) if given.docker else nullcontext([]) as daemons:
            report = measure(given, [*engines(base, given.chroot), *daemons], base)
    finally:
        clean(base, mounted)
    os.makedirs(os.path.dirname(given.json), exist_ok=True)
    with open(given.json, "w", encoding="ascii") as file:
        json.dump(report, file, indent=1)
    print(f"written to {given.json}")


def mount_hugetlb() -> bool:
    """On hybrid hosts crun refuses controllers left on cgroup2; give it hugetlb as v1 so that all engines use crun."""
    unified = "/sys/fs/cgroup/unified/cgroup.controllers"
    if not os.path.exists(unified) or "hugetlb" not in open(unified, encoding="ascii").read():
        return False
    os.makedirs(HUGETLB, exist_ok=True)
    done = subprocess.run(["mount", "-t", "cgroup", "-o", "hugetlb", "cgroup", HUGETLB], capture_output=True)
    return done.returncode == 0


def clean(base: str, mounted: bool) -> None:
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        points = [line.split()[4] for line in file if line.split()[4].startswith(base)]
    for point in sorted(points, key=len, reverse=True):
        subprocess.run(["umount", "-l", point], capture_output=True)
    shutil.rmtree(base, ignore_errors=True)
    if mounted:
        subprocess.run(["umount", HUGETLB], capture_output=True)
        os.rmdir(HUGETLB)


def measure(given: argparse.Namespace, all_engines: list[Engine], base: str) -> dict[str, object]:
    layout = os.path.join(base, "layout")
    subprocess.run([sys.executable, os.path.join(REPOSITORY, "scripts/busybox_image.py"), layout], check=True)
    archive = os.path.join(base, "image.tar")
    subprocess.run(["skopeo", "copy", "-q", f"oci:{layout}:latest", f"docker-archive:{archive}:{IMAGE}"], check=True)
    for engine in all_engines:
        path = archive
        if engine.name == "podman5":
            shutil.copy(archive, given.chroot + "/bench/image.tar")
            path = "/bench/image.tar"
        engine.run("load", "-q", "-i", path)
    rows: list[dict[str, object]] = []
    print(header(all_engines))
    present = 0
    for workload in all_workloads():
        if given.only not in workload.name or workload.present > given.most:
            continue
        if workload.present > present:
            present = workload.present
            for engine in all_engines:
                if engine.name != "docker":
                    fill(engine, present)
        peers = [engine for engine in all_engines if workload.docker or engine.name != "docker"]
        rows.append(compare(workload, peers, workload.runs or given.runs))
        print(line(rows[-1], all_engines), flush=True)
    if any(given.only in name for name in NAMES):
        rows += transfers(given, all_engines, base)
    for engine in all_engines:
        empty(engine)
    if given.only in "in-process run":
        rows.append(in_process(all_engines, given.runs, rows))
        print(line(rows[-1], all_engines), flush=True)
    return {"when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "runs": given.runs, "rows": rows}


def transfers(given: argparse.Namespace, all_engines: list[Engine], base: str) -> list[dict[str, object]]:
    """The workloads that move large images."""
    rows = []
    peers = [engine for engine in all_engines if engine.name != "docker"]
    moved = Transfers(base, given.chroot)
    try:
        for workload in moved.workloads():
            if given.only in workload.name:
                rows.append(compare(workload, peers, given.runs))
                print(line(rows[-1], all_engines), flush=True)
    finally:
        moved.close()
    return rows


def compare(workload: Workload, all_engines: list[Engine], runs: int) -> dict[str, object]:
    """Interleave the engines, so that whatever else the machine does hits all of them."""
    samples: dict[str, list[Sample]] = {engine.name: [] for engine in all_engines}
    for number in range(runs + 1):
        for engine in all_engines:
            tag = f"x{number}"
            workload.prepare(engine, tag)
            sample = workload.sample(engine, tag)
            workload.restore(engine, tag)
            if number:      # the first round warms caches
                samples[engine.name].append(sample)
    return summarize(workload.name, workload.target, samples)


def in_process(all_engines: list[Engine], runs: int, rows: list[dict[str, object]]) -> dict[str, object]:
    """``rt.containers.run`` from a warm Python process against Podman's command line."""
    samples = {"wherry": [Sample(wall, 0.0) for wall in measure_in_process(all_engines[0], IMAGE, runs)]}
    words = ["run", "--rm", "--network", "none", IMAGE, "true"]
    for engine in [engine for engine in all_engines[1:] if engine.name != "docker"]:
        samples[engine.name] = [timed(engine, words) for _ in range(runs)]
    return summarize("in-process run", 0.35, samples)


def summarize(name: str, target: float | None, samples: dict[str, list[Sample]]) -> dict[str, object]:
    row: dict[str, object] = {"workload": name, "target": target}
    for engine, taken in samples.items():
        row[engine] = {
            "median_ms": round(statistics.median(sample.wall for sample in taken), 1),
            "min_ms": round(min(sample.wall for sample in taken), 1),
            "cpu_ms": round(statistics.median(sample.cpu for sample in taken), 1),
            "peak_mib": round(max(sample.memory for sample in taken), 1),
        }
    return row


def header(all_engines: list[Engine]) -> str:
    cells = "".join(f"{engine.name + ' ms [min] MiB':>26}" for engine in all_engines)
    return f"{'workload':<34}{cells}{'ratio':>8}{'cpu':>8}{'target':>8}"


def line(row: dict[str, object], all_engines: list[Engine]) -> str:
    text = f"{row['workload']!s:<34}"
    ratio = cpu = ""
    first = row["wherry"]
    assert isinstance(first, dict)
    for engine in all_engines:
        cell = row.get(engine.name)
        if cell is None:
            text += " " * 26
            continue
        assert isinstance(cell, dict)
        text += f"{cell['median_ms']:>12.1f} [{cell['min_ms']:.1f}] {cell['peak_mib']:.0f}".rjust(26)
        if engine.name == "podman":
            ratio = f"{first['median_ms'] / cell['median_ms']:.2f}"
            cpu = f"{first['cpu_ms'] / cell['cpu_ms']:.2f}" if cell["cpu_ms"] else ""
    target = "" if row["target"] is None else f"{row['target']}"
    return f"{text}{ratio:>8}{cpu:>8}{target:>8}"


if __name__ == "__main__":
    main()
