"""Resource limits, devices and kernel parameters: ``linux.resources``, ``linux.devices``, ``linux.sysctl``."""

from __future__ import annotations

from wherry.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from wherry.spec.container_spec import ContainerSpec, DeviceRequest
    from wherry.spec.host import DeviceNode
    from wherry.spec.resolve_inputs import Inputs

CPU_PERIOD = 100_000        # microseconds: the kernel's own default


def limits(inputs: Inputs) -> dict[str, Any]:
    """``linux.resources`` without devices; what this host cannot apply is left out with a warning."""
    out: dict[str, Any] = {}
    memory = _memory(inputs.spec)
    cpu = _cpu(inputs.spec)
    blkio = _blkio(inputs)
    pids = _pids(inputs)
    unified = _unified(inputs)
    for key, value in (("memory", memory), ("cpu", cpu), ("pids", pids), ("blockIO", blkio), ("unified", unified)):
        if value:
            out[key] = value
    if out:
        _verify(inputs, out)
    return out


def _unified(inputs: Inputs) -> dict[str, str]:
    """Files of a unified cgroup: the settings' and, over them, the request's."""
    conf = inputs.settings.containers.cgroup_conf
    if not conf:
        return dict(inputs.spec.cgroup_conf or {})
    from wherry.spec.parse_resources import cgroup_conf

    return {**cgroup_conf(list(conf)), **(inputs.spec.cgroup_conf or {})}


def _memory(spec: ContainerSpec) -> dict[str, Any]:
    """Without ``--memory-swap`` swap may be as much as memory: the limit of both is twice the limit of one."""
    out: dict[str, Any] = {}
    if spec.memory:
        out["limit"] = spec.memory
        if spec.memory_swap is None:
            out["swap"] = 2 * spec.memory
    if spec.memory_reservation is not None:
        out["reservation"] = spec.memory_reservation
    if spec.memory_swap is not None and spec.memory_swap != -1:
        out["swap"] = spec.memory_swap
    if spec.memory_swappiness is not None and spec.memory_swappiness >= 0:
        out["swappiness"] = spec.memory_swappiness
    if spec.oom_kill_disable:
        out["disableOOMKiller"] = True
    return out


def _cpu(spec: ContainerSpec) -> dict[str, Any]:
    out: dict[str, Any] = {}
    if spec.cpus and spec.cpus > 0:
        out["period"] = CPU_PERIOD
        out["quota"] = int(spec.cpus * CPU_PERIOD)
    for key, value in (
        ("shares", spec.cpu_shares), ("period", spec.cpu_period), ("quota", spec.cpu_quota),
        ("realtimePeriod", spec.cpu_rt_period), ("realtimeRuntime", spec.cpu_rt_runtime),
    ):
        if value is not None and value > 0:
            out[key] = value
    if spec.cpuset_cpus:
        out["cpus"] = spec.cpuset_cpus
    if spec.cpuset_mems:
        out["mems"] = spec.cpuset_mems
    return out


def _pids(inputs: Inputs) -> dict[str, Any]:
    """As asked, else as the settings say, which know what a rootless user may set."""
    if inputs.spec.pids_limit is not None:
        return {"limit": inputs.spec.pids_limit}
    conf = inputs.settings.containers
    if (inputs.spec.cgroups or conf.cgroups) == "disabled" or not conf.pids_limit:
        return {}
    return {"limit": conf.pids_limit}


def _blkio(inputs: Inputs) -> dict[str, Any]:
    spec = inputs.spec
    out: dict[str, Any] = {}
    if spec.blkio_weight is not None:
        out["weight"] = spec.blkio_weight
    for key, name, table in (
        ("weightDevice", "weight", spec.blkio_weight_devices),
        ("throttleReadBpsDevice", "rate", spec.device_read_bps),
        ("throttleWriteBpsDevice", "rate", spec.device_write_bps),
        ("throttleReadIOPSDevice", "rate", spec.device_read_iops),
        ("throttleWriteIOPSDevice", "rate", spec.device_write_iops),
    ):
        if table:
            out[key] = [
                {"major": node.major, "minor": node.minor, name: value}
                for path, value in table.items() for node in inputs.lookup.devices(path)
            ]
    return out


def _verify(inputs: Inputs, out: dict[str, Any]) -> None:
    """Drop what the kernel cannot apply and refuse what makes no sense (libpod ``verifyContainerResources``)."""
    if inputs.host.unified:
        cpu = out.get("cpu") or {}
        for key, name in (("realtimePeriod", "Realtime period"), ("realtimeRuntime", "Realtime runtime")):
            if cpu.pop(key, None) is not None:
                inputs.warnings.append(f"{name} not supported on cgroups V2 systems")
    elif inputs.host.rootless:
        out.clear()
        inputs.warnings.append("Resource limits are not supported and ignored on cgroups V1 rootless systems")
    elif "unified" in out:
        raise InvalidArgument("cannot use --cgroup-conf without cgroup v2")
    else:
        _verify_memory(inputs, out.get("memory") or {})
        _verify_cpu(inputs, out.get("cpu") or {})
        _verify_blkio(inputs, out.get("blockIO") or {})
        if "pids" in inputs.host.cgroup_missing and out.pop("pids", None):
            _warn(inputs, "pids limit capabilities or the cgroup is not mounted. PIDs limit discarded.")
    for key in [key for key, value in out.items() if not value]:
        del out[key]


def _warn(inputs: Inputs, text: str) -> None:
    inputs.warnings.append("Your kernel does not support " + text)


def _verify_memory(inputs: Inputs, memory: dict[str, Any]) -> None:
    missing = inputs.host.cgroup_missing
    if "memory" in missing and memory:
        _warn(inputs, "memory limit capabilities or the cgroup is not mounted. Limitation discarded.")
        memory.clear()
    limit, reservation = memory.get("limit"), memory.get("reservation")
    if limit and "swap" in memory and "swap" in missing:
        _warn(inputs, "swap limit capabilities or the cgroup is not mounted. Memory limited without swap.")
        del memory["swap"]
    swap = memory.get("swap")
    if limit and swap is not None and swap < limit:
        raise InvalidArgument("minimum memoryswap limit should be larger than memory limit, see usage")
    if limit is None and swap is not None:
        raise InvalidArgument("you should always set a memory limit when using a memoryswap limit, see usage")
    if memory.get("swappiness", 0) > 100:
        raise InvalidArgument(f"invalid value: {memory['swappiness']}, valid memory swappiness range is 0-100")
    if limit and reservation is not None and limit < reservation:
        raise InvalidArgument("minimum memory limit cannot be less than memory reservation limit, see usage")


def _verify_cpu(inputs: Inputs, cpu: dict[str, Any]) -> None:
    missing = inputs.host.cgroup_missing
    if "cpu" in missing and cpu.pop("shares", None) is not None:
        _warn(inputs, "CPU shares or the cgroup is not mounted. Shares discarded.")
    if "cpu" in missing or "cpu-quota" in missing:
        for key, name in (("period", "Period"), ("quota", "Quota")):
            if cpu.pop(key, None) is not None:
                _warn(inputs, f"CPU cfs {key} or the cgroup is not mounted. {name} discarded.")
    if "period" in cpu and not 1000 <= cpu["period"] <= 1_000_000:
        raise InvalidArgument("CPU cfs period cannot be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")
    if "quota" in cpu and cpu["quota"] < 1000:
        raise InvalidArgument("CPU cfs quota cannot be less than 1ms (i.e. 1000)")
    if "cpuset" in missing and ("cpus" in cpu or "mems" in cpu):
        _warn(inputs, "cpuset or the cgroup is not mounted. CPUset discarded.")
        cpu.pop("cpus", None)
        cpu.pop("mems", None)
    for key, name, what, present in (
        ("cpus", "cpuset cpus", "CPUs", inputs.host.cpus), ("mems", "cpuset mems", "memory nodes",
                                                            inputs.host.memory_nodes),
    ):
        if key in cpu:
            _check_set(cpu[key], name, what, present)


def _check_set(asked: str, name: str, what: str, present: str) -> None:
    try:
        wanted = numbers(asked)
    except ValueError:
        raise InvalidArgument(f"invalid value {asked} for {name}") from None
    if present and not wanted <= numbers(present):
        raise InvalidArgument(f"requested {what} are not available - requested {asked}, available: {present}")


def numbers(text: str) -> set[int]:
    """The numbers of a list such as ``0-2,7`` (cpuset(7) "List format"). Raises :class:`ValueError`."""
    out: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        low, high = int(first), int(last) if dash else int(first)
        if low < 0 or high < low or high > 8192:
            raise ValueError(text)
        out.update(range(low, high + 1))
    return out


def _verify_blkio(inputs: Inputs, blkio: dict[str, Any]) -> None:
    missing = inputs.host.cgroup_missing
    if "blkio" in missing or "blkio-weight" in missing:
        if blkio.pop("weight", None) is not None:
            _warn(inputs, "Block I/O weight or the cgroup is not mounted. Weight discarded.")
        if blkio.pop("weightDevice", None) is not None:
            _warn(inputs, "Block I/O weight_device or the cgroup is not mounted. Weight-device discarded.")
    if "weight" in blkio and not 10 <= blkio["weight"] <= 1000:
        raise InvalidArgument("range of blkio weight is from 10 to 1000")
    if "blkio" in missing and blkio:
        _warn(inputs, "Block I/O limits or the cgroup is not mounted. Block I/O limits discarded.")
        blkio.clear()


#: What vendors call GPUs in CDI specifications, in the order they are looked for.
GPU_KINDS = ("nvidia.com/gpu", "amd.com/gpu")


class Devices:
    """Nodes to make, rules for the devices cgroup, and mounts that stand in for nodes in a user namespace."""

    __slots__ = ("cdi", "mounts", "nodes", "rules", "source")

    def __init__(self) -> None:
        self.nodes: list[dict[str, Any]] = []
        self.rules: list[Mapping[str, Any]] = []
        self.mounts: list[dict[str, Any]] = []
        self.cdi: list[str] = []
        self.source: list[dict[str, str]] = []      # as the user asked, for inspect


def devices(inputs: Inputs) -> Devices:
    """The devices of the settings and of the request; access to all others is denied first."""
    out = Devices()
    spec, host = inputs.spec, inputs.host
    if not inputs.in_user_namespace and not inputs.privileged:
        out.rules.append({"allow": False, "access": "rwm"})
    if inputs.settings.containers.devices:
        from wherry.spec.parse_security import devices as parse

        for request in parse(inputs.settings.containers.devices):
            _add_device(inputs, request, out)
    for request in spec.devices or ():
        _add_device(inputs, request, out)
        if not request.cdi:
            out.source.append({
                "path": request.host, "containerPath": request.container, "permissions": request.permissions,
            })
    out.cdi += _gpus(inputs, out.cdi)
    if spec.device_rules:
        if host.rootless:
            raise InvalidArgument("device cgroup rules are not supported in rootless mode or in a user namespace")
        if not inputs.privileged:
            out.rules.extend(spec.device_rules)
    return out


def _gpus(inputs: Inputs, have: Sequence[str]) -> list[str]:
    """``--gpus``: CDI names of the GPUs, of the vendor this host has specifications of."""
    wanted = inputs.spec.gpus or ()
    kinds = inputs.lookup.gpu_kinds() if wanted else ()
    kind = kinds[0] if kinds else GPU_KINDS[0]
    return [name for name in (f"{kind}={gpu}" for gpu in wanted) if name not in have]


def _add_device(inputs: Inputs, request: DeviceRequest, out: Devices) -> None:
    if request.cdi:
        out.cdi.append(request.host)
        return
    found = inputs.lookup.devices(request.host)
    if not found:
        raise InvalidArgument(f"no devices found in {request.text}: invalid argument")
    directory = len(found) > 1 or found[0].path.startswith(request.host.rstrip("/") + "/")
    for node in found:
        place = request.container
        if directory:
            place += node.path[len(_common(node.path, request.host)):]
        _add_node(inputs, node, place, request.permissions, out)


def _common(path: str, directory: str) -> str:
    """The part of *path* that is the directory asked for (which may have been reached through a link)."""
    return directory.rstrip("/") if path.startswith(directory.rstrip("/") + "/") else path.rpartition("/")[0]


def _add_node(inputs: Inputs, node: DeviceNode, place: str, permissions: str, out: Devices) -> None:
    if inputs.host.rootless:
        access = "rw" if "w" in permissions else "ro"
        out.mounts.append({
            "destination": place, "type": "bind", "source": node.path,
            "options": ["slave", "nosuid", "noexec", access, "rbind"],
        })
        return
    out.nodes.append(device_entry(node, place))
    out.rules.append({
        "allow": True, "type": node.type, "major": node.major, "minor": node.minor, "access": permissions,
    })


def device_entry(node: DeviceNode, place: str) -> dict[str, Any]:
    """An entry of ``linux.devices``. The mode keeps only permission bits: runtimes refuse type bits."""
    return {
        "path": place, "type": node.type, "major": node.major, "minor": node.minor, "fileMode": node.mode & 0o7777,
        "uid": node.uid, "gid": node.gid,
    }


def parameters(inputs: Inputs) -> dict[str, str]:
    """``linux.sysctl``: those of the settings the namespaces allow, and those asked for."""
    modes = inputs.namespaces
    families = (
        (modes.ipc, ("fs.mqueue.",), "IPC"),
        (modes.net, ("net.",), "Network"),
        (modes.uts, ("kernel.domainname", "kernel.hostname"), "UTS"),
    )
    out: dict[str, str] = {}
    if inputs.settings.containers.default_sysctls:
        from wherry.spec.parse_resources import sysctls

        for name, value in sysctls(inputs.settings.containers.default_sysctls).items():
            if not any(mode.joins and name.startswith(prefixes) for mode, prefixes, _ in families):
                out[name] = value
    for name, value in (inputs.spec.sysctls or {}).items():
        for mode, prefixes, title in families:
            if mode.kind == "host" and name.startswith(prefixes):
                raise InvalidArgument(
                    f"sysctl {name}={value} can't be set since {title} Namespace set to host: invalid argument"
                )
        out[name] = value
    return out
