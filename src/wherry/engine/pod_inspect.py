"""The tree ``pod inspect`` prints (libpod ``InspectPodData``)."""

from __future__ import annotations

from wherry.engine import pod_status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.engine.pod import Pod
    from wherry.engine.runtime import Runtime
    from wherry.model.container import ContainerConfig


def inspect(runtime: Runtime, pod: Pod) -> dict[str, Any]:
    """Everything about *pod*."""
    config, state = pod.config, pod.state()
    members = pod.containers()
    tree: dict[str, Any] = {"Id": config.id, "Name": config.name}
    if config.namespace:
        tree["Namespace"] = config.namespace
    tree["Created"] = config.created_time
    if config.create_command:
        tree["CreateCommand"] = list(config.create_command)
    tree |= {
        "ExitPolicy": config.exit_policy,
        "State": pod_status.of([member.state for member in members]),
        "Hostname": config.hostname,
    }
    if config.labels:
        tree["Labels"] = dict(config.labels)
    tree["CreateCgroup"] = config.uses_pod_cgroup
    if config.cgroup_parent:
        tree["CgroupParent"] = config.cgroup_parent
    if config.uses_pod_cgroup and state.cgroup_path:
        tree["CgroupPath"] = state.cgroup_path
    tree["CreateInfra"] = config.has_infra
    if state.infra_id:
        tree["InfraContainerID"] = state.infra_id
        tree["InfraConfig"] = _infra(runtime.state.container_config(state.infra_id))
        if config.shares:
            tree["SharedNamespaces"] = list(config.shares)
    tree["NumContainers"] = len(members)
    if members:
        tree["Containers"] = [{"Id": member.id, "Name": member.name, "State": member.state} for member in members]
    tree |= _limits(config.resources)
    if config.restart_policy:
        tree["RestartPolicy"] = config.restart_policy
    tree["LockNumber"] = 0
    return tree


def _limits(resources: Any) -> dict[str, Any]:
    cpu, memory = resources.get("cpu") or {}, resources.get("memory") or {}
    found = {
        "cpu_period": cpu.get("period"), "cpu_quota": cpu.get("quota"), "cpu_shares": cpu.get("shares"),
        "cpuset_cpus": cpu.get("cpus"), "cpuset_mems": cpu.get("mems"), "memory_limit": memory.get("limit"),
        "memory_swap": memory.get("swap"), "blkio_weight": (resources.get("blockIO") or {}).get("weight"),
    }
    return {key: value for key, value in found.items() if value}


def _infra(config: ContainerConfig) -> dict[str, Any]:
    from wherry.engine.inspect_network import ports
    from wherry.model.container import ContainerState

    static = [options for options in config.networks.values() if options.static_ips or options.static_mac]
    tree: dict[str, Any] = {
        "PortBindings": {key: hosts for key, hosts in ports(config, ContainerState()).items() if hosts},
        "HostNetwork": config.network_mode == "host",
        "StaticIP": static[0].static_ips[0] if static and static[0].static_ips else "",
        "StaticMAC": static[0].static_mac if static else "",
        "NoManageResolvConf": config.use_image_resolv_conf,
        "DNSServer": list(config.dns_servers) or None,
        "DNSSearch": list(config.dns_search) or None,
        "DNSOption": list(config.dns_options) or None,
        "NoManageHostname": config.use_image_hostname,
        "NoManageHosts": config.use_image_hosts,
        "HostAdd": list(config.hosts_add) or None,
        "HostsFile": config.base_hosts_file,
        "Networks": list(config.networks) or None,
        "NetworkOptions": {key: list(words) for key, words in config.network_options.items()} or None,
    }
    modes = {entry["type"]: entry for entry in (config.spec.get("linux") or {}).get("namespaces") or ()}
    tree["pid_ns"] = "private" if "pid" in modes else "host"
    tree["userns"] = "private" if "user" in modes else "host"
    tree["uts_ns"] = "private" if "uts" in modes else "host"
    return tree
