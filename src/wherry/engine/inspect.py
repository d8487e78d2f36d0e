"""container inspect: the tree Podman prints, key for key (``libpod/define.InspectContainerData``)."""

from __future__ import annotations

from wherry.engine.graph_data import container_data
from wherry.engine.inspect_host import host_config
from wherry.engine.inspect_network import network_settings
from wherry.model import status
from wherry.model.record import EMPTY
from wherry.model.timestamps import ZERO

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from wherry.engine.runtime import Runtime
    from wherry.model.container import ContainerConfig, ContainerState
    from wherry.model.health import HealthConfig



def inspect(runtime: Runtime, identity: str, *, size: bool = False) -> dict[str, Any]:
    """The tree of one container; *size* adds ``SizeRw`` and ``SizeRootFs``. Raises ``NoSuchContainer``."""
    from wherry.engine.exec_sessions import forget_dead

    with runtime.lock(identity) as held:
        config, state = held.config, held.state
        forget_dead(runtime, identity)
        exec_ids = runtime.state.exec_ids(identity)
    process = config.spec.get("process") or {}
    args = process.get("args") or []
    data: dict[str, Any] = {
        "Id": config.id,
        "Created": config.created_time,
        "Path": args[0] if args else "",
        "Args": list(args[1:]),
        "State": _state(config, state),
        "Image": config.rootfs_image_id,
        "ImageDigest": _image_digest(runtime, config),
        "ImageName": config.rootfs_image_name,
        "Rootfs": config.rootfs,
        "Pod": config.pod,
        "ResolvConfPath": state.bind_mounts.get("/etc/resolv.conf", ""),
        "HostnamePath": state.bind_mounts.get("/etc/hostname", ""),
        "HostsPath": state.bind_mounts.get("/etc/hosts", ""),
        "StaticDir": config.static_dir,
        "OCIConfigPath": state.config_path,
        "OCIRuntime": config.runtime,
        "ConmonPidFile": config.conmon_pid_file or (f"{state.run_dir}/conmon.pid" if state.run_dir else ""),
        "PidFile": config.pid_file or (f"{state.run_dir}/pidfile" if state.run_dir else ""),
        "Name": config.name,
        "RestartCount": state.restart_count,
        "Driver": runtime.settings.storage.driver,
        "MountLabel": config.mount_label,
        "ProcessLabel": config.process_label,
        "AppArmorProfile": config.apparmor_profile,
        "EffectiveCaps": _capabilities(process, "effective"),
        "BoundingCaps": _capabilities(process, "bounding"),
        "ExecIDs": exec_ids,
        "GraphDriver": _graph_driver(runtime, config, state),
    }
    if not data["OCIConfigPath"]:
        del data["OCIConfigPath"]
    if size and not config.rootfs:
        data["SizeRw"], data["SizeRootFs"] = runtime.store.container_size(config.id)
    data |= {
        "Mounts": mounts(runtime, config),
        "Dependencies": list(config.dependencies),
        "NetworkSettings": network_settings(config, state),
        "Namespace": config.namespace,
        "IsInfra": config.is_infra,
        "IsService": config.is_service,
        "KubeExitCodePropagation": "invalid",
        "lockNumber": 0,
        "Config": _config(config, process),
        "HostConfig": host_config(runtime, config, state),
        "UseImageHosts": config.use_image_hosts,
        "UseImageHostname": config.use_image_hostname,
    }
    return data


def _state(config: ContainerConfig, state: ContainerState) -> dict[str, Any]:
    alive = state.status in status.ALIVE
    data: dict[str, Any] = {
        "OciVersion": config.spec.get("ociVersion", ""),
        "Status": status.display(state.status),
        "Running": state.status in (status.RUNNING, status.STOPPING),
        "Paused": state.status == status.PAUSED,
        "Restarting": False,
        "OOMKilled": state.oom_killed,
        "Dead": state.status == status.REMOVING,
        "Pid": state.pid if alive else 0,
    }
    if alive and state.conmon_pid:
        data["ConmonPid"] = state.conmon_pid
    data |= {
        "ExitCode": state.exit_code,
        "Error": state.error,
        "StartedAt": state.started_time or ZERO,
        "FinishedAt": state.finished_time or ZERO,
    }
    if config.health_check is not None:
        from wherry.engine.healthcheck import shown

        health = shown(config, state)
        if health is not None:
            data["Health"] = health
    if state.checkpointed:
        data["Checkpointed"] = True
    if alive and state.cgroup_path:
        data["CgroupPath"] = state.cgroup_path
    data["CheckpointedAt"] = state.checkpointed_time or ZERO
    data["RestoredAt"] = state.restored_time or ZERO
    if state.stopped_by_user:
        data["StoppedByUser"] = True
    return data


def _image_digest(runtime: Runtime, config: ContainerConfig) -> str:
    from wherry.errors import NoSuchImage

    if not config.rootfs_image_id:
        return ""
    try:
        return runtime.store.image(config.rootfs_image_id).digest
    except NoSuchImage:
        return ""


def _capabilities(process: Mapping[str, Any], which: str) -> list[str]:
    return sorted((process.get("capabilities") or {}).get(which) or ())


def _graph_driver(runtime: Runtime, config: ContainerConfig, state: ContainerState) -> dict[str, Any]:
    if config.rootfs:
        return {"Name": runtime.settings.storage.driver, "Data": {}}
    data = container_data(runtime, config.id)
    if state.mounted:
        data["MergedDir"] = state.mount_point
    return {"Name": runtime.settings.storage.driver, "Data": data}


def mounts(runtime: Runtime, config: ContainerConfig) -> list[dict[str, Any]]:
    """Volumes and user mounts, ordered as they were given: what the container's creator asked for."""
    shown: list[dict[str, Any]] = []
    for volume in config.named_volumes:
        shown.append(_named_volume(runtime, volume.name, volume.destination, volume.options, volume.subpath))
    for image_volume in config.image_volumes:
        shown.append(
            {
                "Type": "image", "Source": image_volume.source, "Destination": image_volume.destination, "Driver": "",
                "Mode": "", "Options": [], "RW": image_volume.read_write, "Propagation": "",
            }
        )
    wanted = set(config.mounts) | set(config.user_volumes)
    for mount in config.spec.get("mounts") or ():
        if mount.get("destination") in wanted and mount.get("type") in ("bind", "tmpfs"):
            options = list(mount.get("options") or ())
            shown.append(_mount(mount, options))
    return shown


def _named_volume(
    runtime: Runtime, name: str, destination: str, options: Any, subpath: str
) -> dict[str, Any]:
    from wherry.errors import NoSuchVolume

    try:
        volume, state_of_volume = runtime.state.volume(name)
        source, driver = volume.mount_point or state_of_volume.mount_point, volume.driver
    except NoSuchVolume:
        source, driver = "", "local"
    data = {"Type": "volume", "Name": name, "Source": source, "Destination": destination, "Driver": driver}
    data |= _mount_options(list(options))
    if subpath:
        data["SubPath"] = subpath
    return data


def _mount(mount: Mapping[str, Any], options: list[str]) -> dict[str, Any]:
    data = {
        "Type": mount["type"],
        "Source": mount.get("source", "") if mount["type"] == "bind" else "",
        "Destination": mount["destination"],
        "Driver": "",
    }
    return data | _mount_options(options)


_PROPAGATION = ("rprivate", "private", "rshared", "shared", "rslave", "slave", "runbindable", "unbindable")


def _mount_options(options: list[str]) -> dict[str, Any]:
    """Mode, options, writability and propagation as Podman splits them (``parseMountOptionsForInspect``)."""
    propagation = ""
    mode = ""
    rest = []
    for option in options:
        if option in _PROPAGATION:
            propagation = option
        elif option in ("z", "Z"):
            mode = option
        elif option not in ("rw", "ro"):
            rest.append(option)
    return {"Mode": mode, "Options": rest, "RW": "ro" not in options, "Propagation": propagation}


def health_config(check: HealthConfig) -> dict[str, Any]:
    return check.to_json()


def _config(config: ContainerConfig, process: Mapping[str, Any]) -> dict[str, Any]:
    annotations = dict(config.spec.get("annotations") or EMPTY)
    data: dict[str, Any] = {
        "Hostname": config.spec.get("hostname") or "",
        "Domainname": "",
        "User": config.user,
        "AttachStdin": False,
        "AttachStdout": False,
        "AttachStderr": False,
        "Tty": config.terminal,
        "OpenStdin": config.stdin,
        "StdinOnce": False,
        "Env": list(process.get("env") or ()),
        "Cmd": list(config.command),
        "Image": config.rootfs_image_name,
        "Volumes": None,
        "WorkingDir": process.get("cwd") or "/",
        "Entrypoint": list(config.entrypoint),
        "OnBuild": None,
        "Labels": dict(config.labels),
        "Annotations": annotations,
        "StopSignal": _signal_name(config.stop_signal),
    }
    if config.startup_health_check is not None:
        data["StartupHealthCheck"] = health_config(config.startup_health_check)
    if config.health_check is not None:
        data["Healthcheck"] = health_config(config.health_check)
    data |= {
        "HealthcheckOnFailureAction": config.health_check_on_failure,
        "HealthLogDestination": config.health_log_destination,
        "HealthcheckMaxLogCount": config.health_max_log_count,
        "HealthcheckMaxLogSize": config.health_max_log_size,
    }
    if config.create_command:
        data["CreateCommand"] = list(config.create_command)
    if config.timezone:
        data["Timezone"] = config.timezone
    if config.systemd:
        data["SystemdMode"] = True
    data["Umask"] = config.umask
    if config.secrets:
        data["Secrets"] = [
            {"Name": secret.name, "ID": secret.id, "UID": secret.uid, "GID": secret.gid, "Mode": secret.mode}
            for secret in config.secrets
        ]
    data |= {
        "Timeout": config.timeout,
        "StopTimeout": config.stop_timeout,
        "Passwd": config.passwd,
        "sdNotifyMode": config.sdnotify_mode,
    }
    if config.exposed_ports:
        data["ExposedPorts"] = {
            f"{port}/{protocol}": {} for port, protocols in config.exposed_ports.items() for protocol in protocols
        }
    return data


def _signal_name(number: int) -> str:
    from wherry.spec.signals import name

    return name(number)
