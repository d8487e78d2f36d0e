"""What a test must not leave behind: mounts, namespaces, cgroups, processes, layers, leases and run files."""

from __future__ import annotations

import json
import os
import time

from wherry.engine.runtime import Runtime
from wherry.sys import cgroups


def assert_nothing_leaked(runtime: Runtime, layers_before: int) -> None:
    """Fail with a list of everything that is left of containers on *runtime*; background work gets a moment."""
    deadline = time.monotonic() + 5
    while True:
        left = leaks(runtime, layers_before)
        if not left:
            return
        if time.monotonic() > deadline:
            raise AssertionError("left behind:\n" + "\n".join(left))
        time.sleep(0.05)


def leaks(runtime: Runtime, layers_before: int) -> list[str]:
    found = []
    rows = runtime.state.container_rows(all=True)
    known = {row.id for row in rows}
    found += [f"container {row.name} ({row.status})" for row in rows]
    found += [f"pod {row.name}" for row in runtime.state.pod_rows()]
    found += [f"storage container {container.id}" for container in runtime.store.containers()]
    layers = len(runtime.store.layers())
    if layers != layers_before:
        found.append(f"{layers - layers_before} layer(s)")
    base = runtime.settings.storage.graph_root
    run = runtime.settings.storage.run_root
    # These directories are mounts themselves, once made, so that what is mounted inside stays private.
    lasting = {f"{base}/overlay", runtime.paths.net_namespaces, runtime.paths.networks}
    found += [f"mount {point}" for point in mounts_below(base, run) if point not in lasting]
    found += [f"process {pid}: {line}" for pid, line in processes_of(run)]
    found += [f"intent {intent}" for intent in runtime.state.intents()]
    paths = runtime.paths
    for directory in (paths.exits, paths.persist, paths.sockets, paths.owners, paths.net_namespaces):
        found += [f"file {directory}/{name}" for name in listed(directory) if name not in known]
    found += [f"lock {name}" for name in listed(paths.locks)]
    found += [f"lease of {holder}" for holder in runtime.networking.driver.leases.holders()]
    found += [f"teardown {name}" for name in listed(paths.networks + "/teardown")]
    found += [f"attached {name}" for name in listed(paths.networks + "/attached")]
    found += [f"mount claim of {name}" for name in listed(paths.run_dir + "/mounts")]
    found += [f"forwarded ports of {name}" for name in listed(paths.networks + "/forward")]
    found += [f"session directory {name}" for name in listed(paths.run_dir + "/exec")]
    found += [f"health check {name}" for name in listed(paths.health + "/schedule")]
    found += [f"files of probe {name}" for name in listed(paths.health + "/probes")]
    found += [f"{name} of health checks" for name in listed(paths.health) if name == "wake"]
    volumes = {config.name for config, _state in runtime.state.volumes()}
    found += [f"volume {name}" for name in volumes]
    found += [f"files of volume {name}" for name in listed(paths.volumes) if name not in volumes]
    return found + outside(runtime, known)


def outside(runtime: Runtime, known: set[str]) -> list[str]:
    """What OCI runtimes and cgroups keep of containers this engine once had."""
    gone = once_created(runtime) - known
    found = [f"{kind} state {name}" for kind in ("crun", "runc") for name in gone & set(listed(f"/run/{kind}"))]
    for hierarchy in cgroups.layout().hierarchies():
        parent = f"{hierarchy}/wherry"
        found += [f"cgroup {parent}/{name}" for name in listed(parent) if name.removeprefix("ctr-") in gone]
    return found


def once_created(runtime: Runtime) -> set[str]:
    """Ids of all containers whose creation is in the event log."""
    try:
        with open(runtime.paths.events, encoding="utf-8") as file:
            events = [json.loads(line) for line in file]
    except FileNotFoundError:
        return set()
    return {event["ID"] for event in events if event["Type"] == "container" and event["Status"] == "create"}


def listed(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []


def mounts_below(*bases: str) -> list[str]:
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        points = [line.split()[4] for line in file]
    return [point for point in points if any(point.startswith(base + "/") for base in bases)]


def processes_of(text: str) -> list[tuple[int, str]]:
    """Processes with *text* in their command line, this one left out."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open(f"/proc/{name}/cmdline", "rb") as file:
                line = file.read().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if text in line:
            found.append((int(name), line))
    return found
