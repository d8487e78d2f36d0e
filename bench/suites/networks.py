"""Networks."""

from __future__ import annotations

from workloads import IMAGE, Workload, run_detached

WORKLOADS = [
    Workload("run --rm, bridge", lambda tag: ["run", "--rm", IMAGE, "true"], target=0.3),
    Workload(
        "run --rm, bridge, published port",
        lambda tag: ["run", "--rm", "-p", "127.0.0.1::80", IMAGE, "true"],
        target=0.6,
    ),
    Workload(
        "rm -f -t0, bridge, published port",
        lambda tag: ["rm", "-f", "-t", "0", f"b{tag}"],
        prepare=lambda engine, tag: run_detached(engine, tag, "-p", "127.0.0.1::80"),
        target=0.2,
    ),
    Workload("network ls", lambda tag: ["network", "ls"], target=1.2),
]
