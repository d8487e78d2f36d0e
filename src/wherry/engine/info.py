"""What ``wherry info`` tells: the tree of ``podman info``, and under ``host.missing`` what this host lacks."""

from __future__ import annotations

import os

from wherry.engine.graph_data import driver_status
from wherry.model import status
from wherry.sys import capabilities, cgroups, features
from wherry.sys.files import try_read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.engine.runtime import Runtime

#: Optional programs -> what it costs not to have them.
OPTIONAL = {
    "netavark": "bridge networks depend on nft (--network none, host and container: work always)",
    "aardvark-dns": "containers cannot be found by name on user-defined networks",
    "catatonit": "--init cannot be used",
    "runc": "hosts whose cgroup layout crun refuses cannot run containers",
    "crun": "runc is used instead, which starts containers more slowly",
    "slirp4netns": "the slirp4netns network mode cannot be used",
    "pasta": "the pasta network mode cannot be used",
    "newuidmap": "unprivileged users have one user id in their containers",
    "fuse-overlayfs": "unprivileged users on old kernels get the slow vfs storage driver",
    "criu": "containers cannot be checkpointed",
    "nft": "bridge networks are set up by netavark, more slowly",
}


def info(runtime: Runtime) -> dict[str, Any]:
    """Everything about host, store, registries and version, with the JSON keys of ``podman info``."""
    from wherry.engine.version import version

    return {
        "host": _host(runtime),
        "store": _store(runtime),
        "registries": _registries(runtime),
        "plugins": {
            "volume": ["local"],
            "network": ["bridge", "macvlan", "ipvlan"],
            "log": ["k8s-file", "none", "passthrough", "journald"],
            "authorization": None,
        },
        "version": version()["Client"],
    }


def _host(runtime: Runtime) -> dict[str, Any]:
    from wherry.engine.version import version

    settings = runtime.settings
    layout = cgroups.layout()
    memory = _memory()
    machine = version()["Client"]["OsArch"].partition("/")[2]
    return {
        "arch": machine,
        "buildahVersion": "",
        "cgroupManager": settings.engine.cgroup_manager,
        "cgroupVersion": "v2" if layout.mode == "v2" else "v1",
        "cgroupLayout": layout.mode,
        "cgroupControllers": sorted(layout.controllers) or list(layout.unified_controllers),
        "conmon": _tool(runtime, "conmon"),
        "cpus": os.cpu_count() or 1,
        "cpuUtilization": _cpu(),
        "databaseBackend": "sqlite",
        "distribution": _distribution(),
        "eventLogger": settings.engine.events_logger,
        "freeLocks": None,
        "hostname": os.uname().nodename,
        "idMappings": {"gidmap": None, "uidmap": None},
        "kernel": os.uname().release,
        "logDriver": settings.containers.log_driver,
        "memFree": memory.get("MemFree", 0),
        "memTotal": memory.get("MemTotal", 0),
        "missing": _missing(runtime),
        "networkBackend": runtime.networking.driver.name,
        "networkBackendInfo": {
            "backend": runtime.networking.driver.name,
            **_tool(runtime, "nft" if runtime.networking.driver.name == "native" else "netavark"),
            "dns": _tool(runtime, "aardvark-dns"),
        },
        "ociRuntime": _oci_runtime(runtime),
        "os": "linux",
        "remoteSocket": {"path": "unix:///run/podman/podman.sock", "exists": False},
        "rootlessNetworkCmd": settings.network.default_rootless_network_cmd,
        "security": {
            "apparmorEnabled": features.apparmor_enabled(),
            "capabilities": ",".join(f"CAP_{name}" for name in settings.containers.default_capabilities),
            "rootless": settings.rootless,
            "seccompEnabled": features.seccomp_enabled(),
            "seccompProfilePath": settings.containers.seccomp_profile,
            "selinuxEnabled": features.selinux_enabled(),
        },
        "serviceIsRemote": False,
        "slirp4netns": _tool(runtime, "slirp4netns", key="executable"),
        "pasta": _tool(runtime, "pasta", key="executable"),
        "swapFree": memory.get("SwapFree", 0),
        "swapTotal": memory.get("SwapTotal", 0),
        "uptime": _uptime(),
        "variant": "",
        "linkmode": "dynamic",
    }


def _tool(runtime: Runtime, name: str, *, key: str = "path") -> dict[str, str]:
    """Path, version line and package of a helper program; empty texts when it is missing."""
    from wherry.config.helpers import find

    path = find(runtime.settings, name)
    if not path:
        return {key: "", "version": "", "package": ""}
    return {key: path, "version": _version_line(path), "package": _package(path)}


def _version_line(path: str) -> str:
    from wherry.sys.processes import run

    try:
        done = run([path, "--version"], timeout=5)
    except OSError:
        return ""
    lines = done.stdout.decode(errors="replace").splitlines()
    return lines[0] if lines else ""


def _package(path: str) -> str:
    """Name and version of the distribution package that owns *path*, or an empty text."""
    from wherry.sys.processes import find_program, run

    dpkg = find_program("dpkg-query")
    if dpkg:
        found = run([dpkg, "-S", path], timeout=5).stdout.decode(errors="replace").partition(":")[0]
        if found:
            shown = run([dpkg, "-W", "-f", "${Package}_${Version}", found], timeout=5)
            return shown.stdout.decode(errors="replace")
    rpm = find_program("rpm")
    if rpm:
        done = run([rpm, "-q", "-f", path], timeout=5)
        return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else ""
    return ""


def _oci_runtime(runtime: Runtime) -> dict[str, str]:
    from wherry.errors import WherryError

    try:
        chosen = runtime.oci_runtime()
    except WherryError as error:
        return {"name": "", "path": "", "version": "", "package": "", "explanation": str(error)}
    data = {
        "name": chosen.name,
        "path": chosen.path,
        "version": _version_line(chosen.path),
        "package": _package(chosen.path),
    }
    from wherry.oci.choose import choose

    choice = choose(runtime.settings.engine, runtime.settings.options.runtime)
    return data | ({"explanation": choice.explanation} if choice.fallback else {})


def _missing(runtime: Runtime) -> dict[str, str]:
    """What is not on this host -> what that costs."""
    from wherry.config.helpers import find

    lacking = {name: cost for name, cost in OPTIONAL.items() if not find(runtime.settings, name)}
    if "SYS_RESOURCE" not in {name.removeprefix("CAP_") for name in capabilities.effective()} and not (
        runtime.settings.rootless
    ):
        lacking["CAP_SYS_RESOURCE"] = "resource limits of containers cannot be raised above this process's own"
    return lacking


def _memory() -> dict[str, int]:
    found = {}
    for line in (try_read_text("/proc/meminfo") or "").splitlines():
        key, _colon, rest = line.partition(":")
        number = rest.split()
        if number:
            found[key] = int(number[0]) * 1024
    return found


def _cpu() -> dict[str, float]:
    fields = [int(word) for word in (try_read_text("/proc/stat") or "cpu 0 0 0 1").splitlines()[0].split()[1:]]
    total = sum(fields) or 1
    user, system, idle = fields[0] + fields[1], fields[2], fields[3]
    return {
        "userPercent": round(100 * user / total, 2),
        "systemPercent": round(100 * system / total, 2),
        "idlePercent": round(100 * idle / total, 2),
    }


def _distribution() -> dict[str, str]:
    found = {}
    for line in (try_read_text("/etc/os-release") or "").splitlines():
        key, _equals, value = line.partition("=")
        found[key] = value.strip().strip('"')
    data = {"distribution": found.get("ID", "unknown"), "version": found.get("VERSION_ID", "unknown")}
    if found.get("VERSION_CODENAME"):
        data["codename"] = found["VERSION_CODENAME"]
    return data


def _uptime() -> str:
    seconds = int(float((try_read_text("/proc/uptime") or "0").split()[0]))
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    text = f"{hours}h {minutes}m {seconds:.2f}s"
    return f"{text} (Approximately {hours / 24:.2f} days)" if hours >= 24 else text


def _store(runtime: Runtime) -> dict[str, Any]:
    storage = runtime.settings.storage
    counts = {"number": 0, "paused": 0, "running": 0, "stopped": 0}
    for row in runtime.state.container_rows(all=True):
        counts["number"] += 1
        if row.status == status.PAUSED:
            counts["paused"] += 1
        elif row.status in (status.RUNNING, status.STOPPING):
            counts["running"] += 1
        else:
            counts["stopped"] += 1
    allocated = used = 0
    try:
        disk = os.statvfs(storage.graph_root)
        allocated = disk.f_blocks * disk.f_frsize
        used = (disk.f_blocks - disk.f_bfree) * disk.f_frsize
    except FileNotFoundError:
        pass
    return {
        "configFile": storage.config_file,
        "containerStore": counts,
        "graphDriverName": storage.driver,
        "graphOptions": dict(storage.driver_options),
        "graphRoot": storage.graph_root,
        "graphRootAllocated": allocated,
        "graphRootUsed": used,
        "graphStatus": driver_status(runtime),
        "imageCopyTmpDir": runtime.settings.engine.image_copy_tmp_dir,
        "imageStore": {"number": len(runtime.store.images())},
        "runRoot": storage.run_root,
        "volumePath": runtime.paths.volumes,
        "transientStore": storage.transient_store,
    }


def _registries(runtime: Runtime) -> dict[str, Any]:
    from wherry.config.registries import load

    registries = load(runtime.settings)
    data: dict[str, Any] = {}
    if registries.unqualified_search:
        data["search"] = list(registries.unqualified_search)
    return data
