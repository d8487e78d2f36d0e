#!/usr/bin/env python3
"""What auto-update costs: a check with nothing to do, and the time a container is down while it is replaced.

    auto_update.py [--containers N] [--images M] [--runs R] [--json FILE]        as root

The check is ``wherry auto-update`` over N running containers (100) of M images (20) in a real registry on loopback; the
requests are those in the registry's access log.  The down-time is that between the end of the old process and the start
of the new one, beside plain ``stop`` and ``start`` of the same container, R times (7) in turn.  Exit code 1 when a
target is missed: 2 seconds and M requests, 1.5 times plain stop and start.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

HERE = os.path.dirname(os.path.abspath(__file__))
REPOSITORY = os.path.dirname(HERE)
sys.path[:0] = [REPOSITORY]

from tests.helpers.images import busybox_tar, files_tar, make_image  # noqa: E402
from tests.helpers.pushing import Pusher  # noqa: E402

import wherry  # noqa: E402
from wherry.model.timestamps import parse_ns  # noqa: E402

TARGET_SECONDS = 2.0
TARGET_RATIO = 1.5
_BASE = busybox_tar()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--containers", type=int, default=100)
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--json", default=os.path.join(HERE, "results/auto_update.json"))
    given = parser.parse_args()
    if os.environ.get("WHERRY_BENCH_INSIDE") != "1":
        os.environ["WHERRY_BENCH_INSIDE"] = "1"
        os.execvp("unshare", ["unshare", "--mount", "--net", sys.executable, *sys.argv])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    base = tempfile.mkdtemp(prefix="wherry-bench-", dir="/var/tmp")
    try:
        with registry(base) as (host, log):
            report = {**measure_check(base, host, log, given), **measure_down_time(base, host, given.runs)}
    finally:
        clean(base)
    os.makedirs(os.path.dirname(given.json), exist_ok=True)
    with open(given.json, "w", encoding="ascii") as file:
        json.dump(report, file, indent=1)
    good = report["check_seconds"] <= TARGET_SECONDS and report["check_requests"] <= given.images
    sys.exit(0 if good and report["down_ratio"] <= TARGET_RATIO else 1)


@contextmanager
def registry(base: str) -> Iterator[tuple[str, str]]:
    """Debian's docker-registry: where it listens, and its log."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        host = f"127.0.0.1:{probe.getsockname()[1]}"
    configuration = {
        "version": 0.1, "log": {"level": "error"}, "storage": {"filesystem": {"rootdirectory": f"{base}/registry"}},
        "http": {"addr": host},
    }
    with open(f"{base}/registry.yml", "w", encoding="ascii") as file:
        json.dump(configuration, file)
    log = f"{base}/registry.log"
    with open(log, "wb") as output:
        process = subprocess.Popen(
            ["docker-registry", "serve", f"{base}/registry.yml"], stdout=output, stderr=subprocess.STDOUT
        )
    try:
        while subprocess.run(["sh", "-c", f"exec 3<>/dev/tcp/{host.replace(':', '/')}"], executable="/bin/bash",
                             capture_output=True).returncode:
            time.sleep(0.05)
        yield host, log
    finally:
        process.terminate()
        process.wait()


def runtime(base: str) -> wherry.Runtime:
    return wherry.Runtime(
        root=f"{base}/root", runroot=f"{base}/run", network_config_dir=f"{base}/networks", storage_driver="overlay"
    )


def publish(host: str, name: str, text: str, **config: object) -> None:
    settings = {"Cmd": ["sleep", "100000"], "StopSignal": "SIGKILL", **config}
    layers = [_BASE, files_tar({"version": text.encode()})]
    Pusher(host).push(name, make_image(layers, config=settings, compressed=True))


def measure_check(base: str, host: str, log: str, given: argparse.Namespace) -> dict[str, float]:
    labels = {"io.containers.autoupdate": "registry"}
    with runtime(base) as rt:
        for number in range(given.images):
            publish(host, f"app{number}:1", str(number))
        for number in range(given.containers):
            rt.containers.start_detached(
                f"{host}/app{number % given.images}:1", name=f"c{number}", network="none", labels=labels,
                tls_verify=False,
            )
    command = [
        os.path.join(REPOSITORY, ".venv/bin/wherry"), "--root", f"{base}/root", "--runroot", f"{base}/run",
        "--storage-driver", "overlay", "auto-update", "--tls-verify=false",
    ]
    seconds = []
    for _ in range(given.runs):
        before = requests(log)
        begin = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        seconds.append(time.monotonic() - begin)
        asked = requests(log) - before
        assert done.stdout.count("false") == given.containers, done.stdout
    print(f"check of {given.containers} containers with {given.images} images: {statistics.median(seconds):.2f} s "
          f"(target {TARGET_SECONDS:g}), {asked} requests (target {given.images})")
    with runtime(base) as rt:
        for summary in rt.containers.list(all=True):
            rt.containers.get(summary.id).remove(force=True, timeout=0)
    return {"check_seconds": statistics.median(seconds), "check_requests": asked}


def requests(log: str) -> int:
    """Lines of the access log."""
    time.sleep(0.1)
    with open(log, encoding="utf-8", errors="replace") as file:
        return sum('HTTP/1.1"' in line for line in file)


def measure_down_time(base: str, host: str, runs: int) -> dict[str, float]:
    plain, swapped = [], []
    with runtime(base) as rt:
        publish(host, "down:1", "0")
        rt.containers.start_detached(
            f"{host}/down:1", name="down", tls_verify=False, ports=["18080:80"],
            labels={"io.containers.autoupdate": "registry"},
        )
        for number in range(1, runs + 1):
            container = rt.containers.get("down")
            container.stop()
            stopped = parse_ns(container.state().finished_time)
            container.start()
            plain.append(parse_ns(container.state().started_time) - stopped)
            publish(host, "down:1", str(number))
            result = rt.auto_update.apply(rt.auto_update.plan(tls_verify=False, window=0), tls_verify=False)
            [row] = result.rows
            assert row.updated == "true", result
            swapped.append(row.down_ns)
        rt.containers.get("down").remove(force=True, timeout=0)
    ratio = statistics.median(swapped) / statistics.median(plain)
    print(f"down-time of an update: {statistics.median(swapped) / 1e6:.0f} ms, plain stop and start "
          f"{statistics.median(plain) / 1e6:.0f} ms: ratio {ratio:.2f} (target {TARGET_RATIO:g})")
    return {
        "down_ms": statistics.median(swapped) / 1e6, "plain_ms": statistics.median(plain) / 1e6, "down_ratio": ratio,
    }


def clean(base: str) -> None:
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        points = [line.split()[4] for line in file if line.split()[4].startswith(base)]
    for point in sorted(points, key=len, reverse=True):
        subprocess.run(["umount", "-l", point], capture_output=True)
    shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    main()
