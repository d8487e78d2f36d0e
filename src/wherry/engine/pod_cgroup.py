"""The control group of a pod: made, with the pod's limits, before its infra container starts."""

from __future__ import annotations

from wherry.errors import from_os_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from wherry.engine.runtime import Runtime

#: Limit of the OCI runtime specification -> controller and file of version 1, file of version 2.
_FILES = (
    ("memory", "limit", "memory", "memory.limit_in_bytes", "memory.max"),
    ("memory", "swap", "memory", "memory.memsw.limit_in_bytes", ""),
    ("cpu", "shares", "cpu", "cpu.shares", ""),
    ("cpu", "period", "cpu", "cpu.cfs_period_us", ""),
    ("cpu", "quota", "cpu", "cpu.cfs_quota_us", ""),
    ("cpu", "cpus", "cpuset", "cpuset.cpus", "cpuset.cpus"),
    ("cpu", "mems", "cpuset", "cpuset.mems", "cpuset.mems"),
    ("pids", "limit", "pids", "pids.max", "pids.max"),
    ("blockIO", "weight", "blkio", "blkio.weight", "io.weight"),
)
_DEFAULT_PERIOD = 100000        # microseconds


def prepare(runtime: Runtime, pod: str) -> None:
    """Make the pod's control group with its limits, if it has any. Raises ``WherryError``."""
    config, state = runtime.state.pod(pod)
    resources = config.resources
    if not resources or not config.uses_pod_cgroup or not state.cgroup_path:
        return
    if runtime.settings.engine.cgroup_manager == "systemd":
        from wherry.engine.systemd_units import make_pod_slice

        make_pod_slice(runtime, state.cgroup_path.rpartition("/")[2], resources)
        return
    from wherry.sys import cgroups

    layout = cgroups.layout()
    try:
        cgroups.create(state.cgroup_path, layout)
        if layout.mode == "v2":
            _write(layout.directory(layout.unified, state.cgroup_path), _unified(resources))
            return
        for section, key, controller, file, _unified_file in _FILES:
            value = (resources.get(section) or {}).get(key)
            if value and controller in layout.controllers:
                directory = layout.directory(layout.controllers[controller], state.cgroup_path)
                _write(directory, {file: str(value)})
    except OSError as error:
        raise from_os_error(error, f"setting limits of pod {config.name}") from None


def weight_of(shares: int) -> int:
    """The conversion of the OCI runtimes: 2..262144 shares of version 1 to a weight of 1..10000."""
    return 1 + (shares - 2) * 9999 // 262142


def _unified(resources: Mapping[str, Any]) -> dict[str, str]:
    """File -> text for version 2 of control groups (cgroup-v2.rst)."""
    found = {}
    for section, key, _controller, _file, file in _FILES:
        value = (resources.get(section) or {}).get(key)
        if value and file:
            found[file] = str(value)
    cpu, memory = resources.get("cpu") or {}, resources.get("memory") or {}
    if cpu.get("quota"):
        found["cpu.max"] = f"{cpu['quota']} {cpu.get('period') or _DEFAULT_PERIOD}"
    if cpu.get("shares"):
        found["cpu.weight"] = str(weight_of(cpu["shares"]))
    if memory.get("swap") and memory.get("limit"):
        found["memory.swap.max"] = "max" if memory["swap"] < 0 else str(memory["swap"] - memory["limit"])
    return found


def _write(directory: str, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        with open(f"{directory}/{name}", "w", encoding="ascii") as file:
            file.write(text)
