"""The ``HostConfig`` part of container inspect: options of the host side, read back from the OCI spec."""

from __future__ import annotations

from wherry.engine.inspect_network import ports
from wherry.model.record import EMPTY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from wherry.engine.runtime import Runtime
    from wherry.model.container import ContainerConfig, ContainerState

ANNOTATION = "io.podman.annotations."


def host_config(runtime: Runtime, config: ContainerConfig, state: ContainerState) -> dict[str, Any]:
    """Everything Docker's HostConfig knows, in Podman's shape (``InspectContainerHostConfig``)."""
    spec = config.spec
    process = spec.get("process") or EMPTY
    linux = spec.get("linux") or EMPTY
    annotations = spec.get("annotations") or EMPTY
    bounding = set((process.get("capabilities") or EMPTY).get("bounding") or ())
    added, dropped = _capability_changes(runtime, config, bounding)
    data: dict[str, Any] = {
        "Binds": _binds(config),
        "CgroupManager": config.cgroup_manager,
        "CgroupMode": _mode(config.cgroup_ns_ctr, linux, "cgroup"),
        "ContainerIDFile": config.cid_file,
        "LogConfig": {
            "Type": config.log_driver,
            "Config": {"max-file": str(config.log_max_files)} if config.log_max_files else None,
            "Path": config.log_path,
            "Tag": config.log_tag,
            "Size": _human_size(config.log_size),
        },
        "NetworkMode": f"container:{config.net_ns_ctr}" if config.net_ns_ctr else config.network_mode,
        "PortBindings": {key: value for key, value in ports(config, state).items() if value},
        "RestartPolicy": {"Name": config.restart_policy or "no", "MaximumRetryCount": config.restart_retries},
        "AutoRemove": config.auto_remove,
        "AutoRemoveImage": config.auto_remove_image,
        "Annotations": dict(annotations),
        "VolumeDriver": "",
        "VolumesFrom": _listed(annotations, "volumes-from"),
        "CapAdd": added,
        "CapDrop": dropped,
        "Dns": list(config.dns_servers),
        "DnsOptions": list(config.dns_options),
        "DnsSearch": list(config.dns_search),
        "ExtraHosts": list(config.hosts_add),
        "HostsFile": config.base_hosts_file,
        "GroupAdd": list(config.groups),
        "IpcMode": _mode(config.ipc_ns_ctr, linux, "ipc", private="shareable"),
        "Cgroup": "",
        "Cgroups": "disabled" if config.cgroups_mode == "disabled" else "default",
        "Links": None,
        "OomScoreAdj": process.get("oomScoreAdj") or 0,
        "PidMode": _mode(config.pid_ns_ctr, linux, "pid"),
        "Privileged": config.privileged,
        "PublishAllPorts": annotations.get(ANNOTATION + "publish-all") == "TRUE",
        "ReadonlyRootfs": bool((spec.get("root") or EMPTY).get("readonly")),
        "SecurityOpt": _security_options(config, process, annotations),
        "Tmpfs": _tmpfs(config),
        "UTSMode": _mode(config.uts_ns_ctr, linux, "uts"),
        "UsernsMode": _mode(config.user_ns_ctr, linux, "user", absent=""),
        "ShmSize": config.shm_size,
        "Runtime": "oci",
        "ConsoleSize": [0, 0],
        "Isolation": "",
    }
    if linux.get("uidMappings"):
        data["IDMappings"] = {
            "UidMap": [_map_text(entry) for entry in linux["uidMappings"]],
            "GidMap": [_map_text(entry) for entry in linux.get("gidMappings") or ()],
        }
    data |= _resources(config, linux.get("resources") or EMPTY, linux)
    data |= {
        "Ulimits": [
            {"Name": limit["type"], "Soft": limit["soft"], "Hard": limit["hard"]}
            for limit in process.get("rlimits") or ()
        ],
        "CpuCount": 0,
        "CpuPercent": 0,
        "IOMaximumIOps": 0,
        "IOMaximumBandwidth": 0,
        "CgroupConf": (linux.get("resources") or EMPTY).get("unified"),
    }
    if annotations.get(ANNOTATION + "init") == "TRUE" or config.init_path:
        data["Init"] = True
    return data


def _capability_changes(
    runtime: Runtime, config: ContainerConfig, bounding: set[str]
) -> tuple[list[str], list[str]]:
    """Added and dropped capabilities, relative to the configured default list."""
    if config.privileged:
        return [], []
    default = {f"CAP_{name.removeprefix('CAP_')}" for name in runtime.settings.containers.default_capabilities}
    return sorted(bounding - default), sorted(default - bounding)


def _binds(config: ContainerConfig) -> list[str]:
    """``source:destination:options`` of every volume and bind mount the user gave."""
    shown = []
    for volume in config.named_volumes:
        options = [*volume.options] or ["rw"]
        shown.append(f"{volume.name}:{volume.destination}:{','.join(options)}")
    wanted = set(config.mounts) | set(config.user_volumes)
    for mount in config.spec.get("mounts") or ():
        if mount.get("type") == "bind" and mount["destination"] in wanted:
            options = list(mount.get("options") or ())
            if "rw" not in options and "ro" not in options:
                options.insert(0, "rw")
            shown.append(f"{mount['source']}:{mount['destination']}:{','.join(options)}")
    return shown


def _tmpfs(config: ContainerConfig) -> dict[str, str]:
    wanted = set(config.mounts) | set(config.user_volumes)
    return {
        mount["destination"]: ",".join(mount.get("options") or ())
        for mount in config.spec.get("mounts") or ()
        if mount.get("type") == "tmpfs" and mount["destination"] in wanted
    }


def _mode(owner: str, linux: Mapping[str, Any], kind: str, *, private: str = "private", absent: str = "host") -> str:
    """A namespace mode: of another container, own, by path, or the host's."""
    if owner:
        return f"container:{owner}"
    for entry in linux.get("namespaces") or ():
        if entry.get("type") == kind:
            return f"ns:{entry['path']}" if entry.get("path") else private
    return absent


def _listed(annotations: Mapping[str, str], name: str) -> list[str] | None:
    text = annotations.get(ANNOTATION + name)
    return text.split(",") if text else None


def _security_options(
    config: ContainerConfig, process: Mapping[str, Any], annotations: Mapping[str, str]
) -> list[str]:
    options = []
    if process.get("noNewPrivileges"):
        options.append("no-new-privileges")
    if config.seccomp_profile:
        options.append(f"seccomp={config.seccomp_profile}")
    for name in ("label", "apparmor"):
        value = annotations.get(ANNOTATION + name)
        if value:
            options.append(f"{name}={value}")
    return options


def _map_text(entry: Mapping[str, int]) -> str:
    return f"{entry['containerID']}:{entry['hostID']}:{entry['size']}"


def _human_size(size: int) -> str:
    if size <= 0:
        return "0B"
    number = float(size)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if number < 1000:
            return f"{number:.4g}{unit}"
        number /= 1000
    return f"{number:.4g}PB"


def _resources(config: ContainerConfig, resources: Mapping[str, Any], linux: Mapping[str, Any]) -> dict[str, Any]:
    cpu = resources.get("cpu") or EMPTY
    memory = resources.get("memory") or EMPTY
    block = resources.get("blockIO") or EMPTY
    quota, period = cpu.get("quota") or 0, cpu.get("period") or 0
    swappiness = memory.get("swappiness")
    return {
        "CpuShares": cpu.get("shares") or 0,
        "Memory": memory.get("limit") or 0,
        "NanoCpus": quota * 1_000_000_000 // period if quota > 0 and period else 0,
        "CgroupParent": config.cgroup_parent,
        "BlkioWeight": block.get("weight") or 0,
        "BlkioWeightDevice": None,
        "BlkioDeviceReadBps": _throttle(block, "throttleReadBpsDevice"),
        "BlkioDeviceWriteBps": _throttle(block, "throttleWriteBpsDevice"),
        "BlkioDeviceReadIOps": _throttle(block, "throttleReadIOPSDevice"),
        "BlkioDeviceWriteIOps": _throttle(block, "throttleWriteIOPSDevice"),
        "CpuPeriod": period,
        "CpuQuota": quota,
        "CpuRealtimePeriod": cpu.get("realtimePeriod") or 0,
        "CpuRealtimeRuntime": cpu.get("realtimeRuntime") or 0,
        "CpusetCpus": cpu.get("cpus") or "",
        "CpusetMems": cpu.get("mems") or "",
        "Devices": [
            {
                "PathOnHost": device.get("path", ""),
                "PathInContainer": device.get("containerPath", "") or device.get("path", ""),
                "CgroupPermissions": device.get("permissions", ""),
            }
            for device in config.device_host_src
        ],
        "DiskQuota": 0,
        "KernelMemory": 0,
        "MemoryReservation": memory.get("reservation") or 0,
        "MemorySwap": memory.get("swap") or 0,
        "MemorySwappiness": 0 if swappiness is None else swappiness,
        "OomKillDisable": bool(memory.get("disableOOMKiller")),
        "PidsLimit": (resources.get("pids") or EMPTY).get("limit") or 0,
    }


def _throttle(block: Mapping[str, Any], key: str) -> list[dict[str, Any]] | None:
    entries = block.get(key)
    if not entries:
        return None
    return [{"Path": f"{entry['major']}:{entry['minor']}", "Rate": entry["rate"]} for entry in entries]
