"""A stored configuration and the facts of a start to the complete OCI runtime specification (version 1.0.2).

Pure: nothing is read or changed.  The result is written to the bundle's ``config.json`` as it is.
"""

from __future__ import annotations

from wherry.errors import RuntimePermissionDenied
from wherry.spec import annotations as keys
from wherry.spec import cgroup, compile_mounts, users

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from wherry.model.container import ContainerConfig
    from wherry.spec.host import StartFacts

#: limit of open files and of processes where neither settings nor request name one (libpod)
DEFAULT_LIMIT = 1048576
_DEFAULT_LIMITS = ("RLIMIT_NOFILE", "RLIMIT_NPROC")
_UNLIMITED = (1 << 64) - 1
MANAGER = "wherry"


def compile(config: ContainerConfig, facts: StartFacts) -> dict[str, Any]:
    """The OCI runtime specification of a container about to start.

    Raises :class:`UserNotFound` when the image does not know the user, :class:`RuntimePermissionDenied` when a limit
    was asked for that this host does not allow.
    """
    user = users.resolve(config.user, facts.passwd, facts.group)
    base: dict[str, Any] = dict(config.spec)
    base["process"] = _process(config, facts, user)
    base["root"] = {**base.get("root", {}), "path": facts.root}
    linux = dict(base.get("linux") or {})
    base["linux"] = linux
    _set_namespaces(config, facts, linux)
    _set_hostname(config, facts, base)
    _set_id_maps(config, facts, linux)
    _drop_endless_limit(linux)
    mounts = compile_mounts.mounts(config, facts, user)
    base["mounts"] = mounts
    if config.systemd and not facts.unified and facts.systemd_hierarchy is not None:
        linux["maskedPaths"] = [*linux.get("maskedPaths", ()), "/sys/fs/cgroup/systemd/release_agent"]
    propagation = compile_mounts.root_propagation(mounts)
    if propagation:
        linux["rootfsPropagation"] = propagation
    if config.mount_label:
        linux["mountLabel"] = config.mount_label
    if config.privileged:
        _add_host_devices(config, facts, linux)
    if facts.seccomp is not None:
        linux["seccomp"] = facts.seccomp
    path = cgroup.cgroups_path(config, own=facts.own_cgroup, rootless=facts.rootless)
    if path:
        linux["cgroupsPath"] = path
    base["annotations"] = _annotations(config, facts)
    return base


def hostname(config: ContainerConfig, *, host: str, shared: str = "", name_as_hostname: bool = False) -> str:
    """The name the container sees: its own, that of the container it shares it with, the host's, or its short id."""
    if config.uts_ns_ctr:
        return shared
    own: str = config.spec.get("hostname", "")
    if own:
        return own
    if all(entry["type"] != "uts" for entry in (config.spec.get("linux") or {}).get("namespaces") or ()):
        return host
    if name_as_hostname:
        return config.name.replace("_", "")[:64]
    return config.id[:12]


def _process(config: ContainerConfig, facts: StartFacts, user: users.ExecUser) -> dict[str, Any]:
    process: dict[str, Any] = dict(config.spec["process"])
    process["user"] = _user(config, facts, user)
    environment = list(process.get("env", ()))
    known = {entry.partition("=")[0] for entry in environment}
    if "HOME" not in known:
        environment.append(f"HOME={user.home or '/'}")
    if config.systemd and "container_uuid" not in known:
        environment.append(f"container_uuid={config.id[:32]}")      # systemd(1): becomes the machine id
    if "HOSTNAME" not in known:
        environment.append("HOSTNAME=" + hostname(
            config, host=facts.hostname, shared=facts.shared_hostname, name_as_hostname=facts.name_as_hostname
        ))
    if facts.environment:
        environment = [entry for entry in environment if entry.partition("=")[0] not in facts.environment]
        environment += [f"{name}={value}" for name, value in facts.environment.items()]
    process["env"] = environment
    rlimits = _rlimits(config, facts)
    if rlimits:
        process["rlimits"] = rlimits
    if config.process_label:
        process["selinuxLabel"] = config.process_label
    adjust = process.get("oomScoreAdj")
    if adjust is not None and facts.rootless and facts.oom_score_adjust is not None:
        process["oomScoreAdj"] = max(adjust, facts.oom_score_adjust)      # lowering it takes CAP_SYS_RESOURCE
    return process


def _user(config: ContainerConfig, facts: StartFacts, user: users.ExecUser) -> dict[str, Any]:
    """``process.user``: ids, umask and supplementary groups that exist in the container's user namespace."""
    out: dict[str, Any] = {"uid": 0, "gid": 0}
    groups: list[int] = []
    if config.user:
        out = {"uid": user.uid, "gid": user.gid}
        groups.append(user.gid)
    if config.umask:
        out["umask"] = int(config.umask, 8)
    groups += users.group_ids(config.groups, facts.group)
    if ":" not in config.user:
        groups += [gid for gid in user.groups if _has_group(config, facts, gid)]
    if groups:
        out["additionalGids"] = list(dict.fromkeys(groups))
    return out


def _has_group(config: ContainerConfig, facts: StartFacts, gid: int) -> bool:
    lines = config.id_mappings.gid_map or (facts.gid_map if facts.rootless else ())
    return not lines or any(line.container_id <= gid < line.container_id + line.size for line in lines)


def _rlimits(config: ContainerConfig, facts: StartFacts) -> list[dict[str, Any]]:
    """The limits, fitted to what this process may hand on; only what the user named himself is never bent."""
    asked = config.annotations.get(keys.ULIMIT, "")
    if asked == "host":
        return []
    named = {"RLIMIT_" + word.partition("=")[0].upper() for word in asked.split(",") if word}
    limits = list(config.spec["process"].get("rlimits") or ())
    if not facts.can_raise_limits:
        limits = [_fit(limit, facts, limit["type"] in named) for limit in limits]
    present = {limit["type"] for limit in limits}
    return limits + [_default_limit(kind, facts) for kind in _DEFAULT_LIMITS if kind not in present]


def _default_limit(kind: str, facts: StartFacts) -> dict[str, Any]:
    """As much as the host allows: where limits cannot be raised, the soft one of this process stays."""
    soft = hard = DEFAULT_LIMIT
    if not facts.can_raise_limits:
        own = facts.rlimits.get(kind.removeprefix("RLIMIT_").lower(), (-1, -1))
        soft, hard = (DEFAULT_LIMIT if limit == -1 else min(limit, DEFAULT_LIMIT) for limit in own)
    return {"type": kind, "hard": hard, "soft": soft}


def _fit(limit: Mapping[str, Any], facts: StartFacts, named: bool) -> dict[str, Any]:
    ceiling = facts.rlimits.get(limit["type"].removeprefix("RLIMIT_").lower(), (-1, -1))[1]
    if ceiling == -1 or limit["hard"] <= ceiling:
        return dict(limit)
    if named and limit["hard"] != _UNLIMITED:
        raise RuntimePermissionDenied(
            f"setrlimit `{limit['type']}`: {limit['hard']} is above the hard limit {ceiling} of this process",
            hint=f"ask for at most {ceiling}, or run with the CAP_SYS_RESOURCE capability",
        )
    return {"type": limit["type"], "hard": ceiling, "soft": min(limit["soft"], ceiling)}


def _set_namespaces(config: ContainerConfig, facts: StartFacts, linux: dict[str, Any]) -> None:
    """Give the namespaces that exist by now their paths."""
    paths = dict(facts.namespaces)
    if config.create_net_ns and facts.net_ns:
        paths["network"] = facts.net_ns
    entries = []
    for entry in linux.get("namespaces") or ():
        path = paths.pop(entry["type"], "")
        entries.append({"type": entry["type"], "path": path} if path else entry)
    entries += [{"type": kind, "path": path} for kind, path in paths.items()]
    if config.id_mappings.auto_userns and not config.user_ns_ctr and all(entry["type"] != "user" for entry in entries):
        entries.append({"type": "user"})
    linux["namespaces"] = entries


def _set_hostname(config: ContainerConfig, facts: StartFacts, base: dict[str, Any]) -> None:
    """The runtime may set the name only in a UTS namespace it makes."""
    made = any(entry["type"] == "uts" and not entry.get("path") for entry in base["linux"]["namespaces"])
    if made and not config.uts_ns_ctr:
        base["hostname"] = hostname(config, host=facts.hostname, name_as_hostname=facts.name_as_hostname)
    elif config.uts_ns_ctr:
        base.pop("hostname", None)


def _set_id_maps(config: ContainerConfig, facts: StartFacts, linux: dict[str, Any]) -> None:
    """The id maps: those of an automatic namespace are known only now, and a joined one needs some for runc."""
    mappings = config.id_mappings
    if (mappings.auto_userns and not config.user_ns_ctr) or mappings.uid_map or mappings.gid_map:
        from wherry.spec import idmaps

        linux["uidMappings"] = idmaps.to_oci(idmaps.split(mappings.uid_map, facts.uid_map))
        linux["gidMappings"] = idmaps.to_oci(idmaps.split(mappings.gid_map, facts.gid_map))
    elif config.user_ns_ctr:
        one = [{"containerID": 0, "hostID": 0, "size": 1}]
        linux["uidMappings"], linux["gidMappings"] = one, one


def _drop_endless_limit(linux: dict[str, Any]) -> None:
    """No limit of processes is said by saying nothing: crun writes a negative number into ``pids.max`` as it is."""
    resources = linux.get("resources") or {}
    if ((resources.get("pids") or {}).get("limit") or 0) < 0:
        linux["resources"] = {key: value for key, value in resources.items() if key != "pids"}


def _add_host_devices(config: ContainerConfig, facts: StartFacts, linux: dict[str, Any]) -> None:
    """A privileged container sees the host's devices; without root they can only be mounted, which mounts() does."""
    from wherry.spec.resolve_resources import device_entry

    resources = dict(linux.get("resources") or {})
    linux["resources"] = resources
    if facts.rootless:
        resources.pop("devices", None)
        return
    linux["devices"] = [
        *(linux.get("devices") or ()),
        *(
            device_entry(node, node.path) for node in facts.devices
            if not (config.systemd and compile_mounts.is_virtual_console(node.path))
        ),
    ]
    resources["devices"] = [{"allow": True, "access": "rwm"}]


def _annotations(config: ContainerConfig, facts: StartFacts) -> dict[str, str]:
    out = dict(config.spec.get("annotations") or {})
    out[keys.STOP_SIGNAL] = str(config.stop_signal)
    if config.stop_signal:
        out[keys.SYSTEMD_KILL_SIGNAL] = str(config.stop_signal)
    if config.stop_timeout:
        out[keys.SYSTEMD_STOP_TIMEOUT] = f"uint64 {config.stop_timeout * 1_000_000}"
    out.setdefault(keys.MANAGER, MANAGER)
    out.update(facts.annotations)
    return out
