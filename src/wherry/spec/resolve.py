"""A request completed: :class:`ContainerSpec`, image, settings and host to the :class:`ContainerConfig` that is stored.

Nothing is changed on the host and no file is read; what has to be looked up goes through the ``Lookup`` given.
The base specification in ``ContainerConfig.spec`` has what can be known beforehand, as libpod's has;
:mod:`wherry.spec.compile` adds what is only known at the start.
"""

from __future__ import annotations

from wherry.errors import InvalidArgument, NotFound, Unsupported
from wherry.model.container import ContainerConfig, SecretMount
from wherry.model.record import EMPTY
from wherry.spec import annotations as keys
from wherry.spec import (
    cgroup,
    resolve_mounts,
    resolve_namespaces,
    resolve_network,
    resolve_process,
    resolve_resources,
    security,
)
from wherry.spec.parse_values import size_decimal
from wherry.spec.resolve_inputs import Inputs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from wherry.config.settings import Settings
    from wherry.model.network import NetworkOptions
    from wherry.spec.container_spec import ContainerSpec, NetworkRequest
    from wherry.spec.host import HostFacts, ImageFacts, Lookup

OCI_VERSION = "1.0.2"


def resolve(
    spec: ContainerSpec,
    image: ImageFacts | None,
    settings: Settings,
    host: HostFacts,
    *,
    id: str,
    name: str,
    lookup: Lookup,
    created_time: str = "",
    warnings: list[str] | None = None,
) -> ContainerConfig:
    """The complete configuration of a container.

    *image* is None with a root file system of the user's.  *warnings* collects what was asked and cannot be had.
    Directories, exit command and OCI runtime are the engine's to add.  Raises :class:`InvalidArgument`,
    :class:`NoSuchContainer`, :class:`Unsupported`.
    """
    inputs = Inputs(spec, image, settings, host, lookup, [] if warnings is None else warnings)
    network = resolve_network.request(inputs)
    inputs.namespaces = resolve_namespaces.decide(inputs, network)
    resolve_namespaces.validate(inputs)
    labels = _labels(inputs)
    user_namespace = resolve_namespaces.user_namespace_of(inputs)
    mounts = resolve_mounts.resolve(inputs, user_namespace.mappings.gid_map)
    devices = resolve_resources.devices(inputs)
    words = resolve_process.words(inputs)
    systemd = resolve_process.is_systemd(inputs, words)
    own_annotations = _annotations(inputs)
    fields: dict[str, Any] = {
        "id": id,
        "name": name,
        "created_time": created_time,
        "namespace": settings.engine.namespace,
        "create_command": list(spec.create_command or ()),
        "labels": labels,
        "annotations": own_annotations,
        "id_mappings": user_namespace.mappings,
        "user": inputs.user or user_namespace.user,
        "add_current_user_passwd_entry": user_namespace.current_user_entry,
        "systemd": systemd,
        "stop_signal": resolve_process.stop_signal(inputs, systemd),
        "mounts": mounts.user,
        "user_volumes": mounts.destinations,
        "named_volumes": mounts.named,
        "overlay_volumes": mounts.overlays,
        "image_volumes": mounts.image_volumes,
        "artifact_volumes": mounts.artifacts,
        "device_host_src": devices.source,
        "cdi_devices": devices.cdi,
        "spec": _oci(inputs, labels, own_annotations, words, mounts, devices, user_namespace.mappings),
        **_root(inputs),
        **_shared(inputs),
        **_network(inputs, network, id),
        **_process(inputs),
        **_cgroups(inputs),
        **_logs(inputs),
        **_life(inputs),
        **_health(inputs),
        **_secrets(inputs),
    }
    return ContainerConfig(**{
        key: value for key, value in fields.items()
        if value is not None and value != [] and value != {}      # the defaults say the same
    })


def _labels(inputs: Inputs) -> dict[str, str]:
    """The image's labels, the request's over them, and the systemd unit we run for."""
    out = {**(inputs.defaults.get("Labels") or {}), **(inputs.spec.labels or {})}
    unit = inputs.settings.environment.systemd_unit
    if unit:
        out["PODMAN_SYSTEMD_UNIT"] = unit
    policy = out.get("io.containers.autoupdate")
    if policy in ("registry", "image") and inputs.image is not None:
        _check_auto_update(inputs.image.raw_name)
    return out


def _check_auto_update(raw_name: str) -> None:
    """Updates need to know where an image comes from: a name with its registry."""
    from wherry.model.reference import parse
    from wherry.spec.parse_values import quote

    transport, colon, rest = raw_name.partition("://")
    if colon and transport != "docker":
        raise InvalidArgument(
            f"auto updates require the docker image transport but image is of transport {quote(transport)}"
        )
    if not parse(rest if colon else raw_name).domain:
        raise InvalidArgument(
            f"short name: auto updates require fully-qualified image reference: {quote(raw_name)}"
        )


def _annotations(inputs: Inputs) -> dict[str, str]:
    """Annotations of settings and request, and the marks that let inspect and kube tell how it was asked for."""
    spec = inputs.spec
    out: dict[str, str] = {}
    for text in inputs.settings.containers.annotations:
        key, _, value = text.partition("=")
        out[key] = value
    out.update(spec.annotations or {})
    marks = {
        keys.USERNS: spec.userns,
        keys.PIDS_LIMIT: None if spec.pids_limit is None else str(spec.pids_limit),
        keys.CPUSET: spec.cpuset_cpus,
        keys.MEMORY_NODES: spec.cpuset_mems,
        keys.CID_FILE: spec.cid_file,
        keys.AUTOREMOVE: keys.TRUE if spec.remove or spec.remove_image else None,
        keys.AUTOREMOVE_IMAGE: keys.TRUE if spec.remove_image else None,
        keys.VOLUMES_FROM: ";".join(spec.volumes_from or ()),
        keys.PRIVILEGED: keys.TRUE if inputs.privileged else None,
        keys.INIT: keys.TRUE if inputs.init else None,
        keys.PUBLISH_ALL: keys.TRUE if spec.publish_all else None,
        keys.KEEP_GROUPS: "1" if spec.groups and "keep-groups" in spec.groups else None,
        keys.ULIMIT: ",".join(_ulimit_text(limit.name, limit.soft, limit.hard) for limit in spec.ulimits or ()),
    }
    if spec.security is not None:
        marks[keys.APPARMOR] = spec.security.apparmor
        marks[keys.SECCOMP] = spec.security.seccomp
        marks[keys.LABEL] = ",label=".join(spec.security.label)
        marks[keys.MOUNT_CONTEXT] = "rootcontext" if spec.security.label_nested else None
    out.update({key: value for key, value in marks.items() if value})
    return out


def _ulimit_text(name: str, soft: int, hard: int) -> str:
    return name if name == "host" else f"{name}={soft}:{hard}"


def _oci(
    inputs: Inputs,
    labels: Mapping[str, str],
    own_annotations: Mapping[str, str],
    words: list[str],
    mounts: resolve_mounts.Mounts,
    devices: resolve_resources.Devices,
    mappings: Any,
) -> dict[str, Any]:
    """The base OCI specification."""
    spec = inputs.spec
    process: dict[str, Any] = {"terminal": True} if spec.terminal else {}
    process |= {
        "user": {"uid": 0, "gid": 0},
        "args": words,
        "env": [f"{key}={value}" for key, value in resolve_process.environment(inputs).items()],
        "cwd": spec.workdir or inputs.defaults.get("WorkingDir") or "/",
        "capabilities": resolve_process.capabilities(inputs, labels),
    }
    rlimits = resolve_process.limits(inputs)
    if rlimits:
        process["rlimits"] = rlimits
    if spec.security is not None and spec.security.no_new_privileges is not None:
        process["noNewPrivileges"] = spec.security.no_new_privileges
    profile = resolve_process.apparmor(inputs)
    if profile:
        process["apparmorProfile"] = profile
    adjust = spec.oom_score_adjust
    if adjust is None:
        adjust = inputs.settings.containers.oom_score_adj
    if adjust is not None:
        process["oomScoreAdj"] = adjust
    out: dict[str, Any] = {
        "ociVersion": OCI_VERSION,
        "process": process,
        "root": {"path": "rootfs", "readonly": True} if inputs.read_only else {"path": "rootfs"},
    }
    hostname = resolve_namespaces.hostname(inputs)
    if hostname:
        out["hostname"] = hostname
    out["mounts"] = mounts.spec + devices.mounts
    if own_annotations:
        out["annotations"] = dict(own_annotations)
    out["linux"] = _linux(inputs, devices, mappings)
    return out


def _linux(inputs: Inputs, devices: resolve_resources.Devices, mappings: Any) -> dict[str, Any]:
    spec = inputs.spec
    out: dict[str, Any] = {}
    if inputs.namespaces.user.kind in ("private", "keep-id", "nomap", "container"):
        from wherry.spec.idmaps import to_oci

        out["uidMappings"] = to_oci(mappings.uid_map)
        out["gidMappings"] = to_oci(mappings.gid_map)
    parameters = resolve_resources.parameters(inputs)
    if parameters:
        out["sysctl"] = parameters
    resources = resolve_resources.limits(inputs)
    if devices.rules:
        resources = {"devices": devices.rules, **resources}
    out["resources"] = resources
    out["namespaces"] = resolve_namespaces.entries(inputs)
    if devices.nodes:
        out["devices"] = devices.nodes
    masked, read_only = _hidden_paths(inputs)
    if masked:
        out["maskedPaths"] = masked
    if read_only:
        out["readonlyPaths"] = read_only
    if spec.rdt_class:
        if not inputs.lookup.exists("/sys/fs/resctrl/schemata"):
            raise Unsupported(
                f"intel RDT class {spec.rdt_class}: Intel RDT is not supported by this host, or not enabled",
                hint="it needs a processor with RDT and the file system resctrl mounted at /sys/fs/resctrl",
            )
        out["intelRdt"] = {"closID": spec.rdt_class}
    if spec.personality:
        out["personality"] = {"domain": spec.personality}
    return out


def _hidden_paths(inputs: Inputs) -> tuple[list[str], list[str]]:
    """Masked and read-only paths: the usual ones unless privileged or unmasked, and those asked for."""
    wanted = inputs.spec.security
    unmask = list(wanted.unmask) if wanted is not None else []
    mask = list(wanted.mask) if wanted is not None else []
    if wanted is not None and wanted.label_nested:
        unmask += ["/sys/fs/selinux", "/proc"]
    masked: list[str] = []
    read_only: list[str] = []
    if not inputs.privileged:
        if inputs.host.rootless and not resolve_mounts.can_mount_sys(inputs):
            masked.append("/sys/kernel")
        usual = (*security.MASKED_PATHS, *inputs.host.masked_paths)
        masked += [path for path in usual if security.is_masked(path, unmask)]
        read_only = [path for path in security.READ_ONLY_PATHS if security.is_masked(path, unmask)]
    for path in mask:
        if path.startswith("/"):
            masked.append(path)
        elif path:
            inputs.warnings.append(f'Path "{path}" is not an absolute path, skipping...')
    return masked, read_only


def _root(inputs: Inputs) -> dict[str, Any]:
    """Image or directory, and what belongs to the root file system."""
    spec, image = inputs.spec, inputs.image
    out: dict[str, Any] = {
        "create_working_dir": not spec.workdir and image is not None,
        "image_volume_mode": spec.image_volume or inputs.settings.engine.image_volume_mode,
        "storage_opts": spec.storage_opts,
        "volatile": bool(spec.remove or spec.remove_image),
        "chroot_dirs": spec.chroot_dirs,
    }
    if image is not None:
        out.update(rootfs_image_id=image.id, rootfs_image_name=image.name, raw_image_name=image.raw_name)
        return out
    directory, _, options = spec.image.partition(":")
    for word in options.split(",") if options else ():
        if word == "O":
            out["rootfs_overlay"] = True
        elif word == "idmap" or word.startswith("idmap="):
            out["rootfs_mapping"] = word.partition("=")[2]
        else:
            raise InvalidArgument(f"invalid option {word!r} specified for the root file system {directory}")
    out["rootfs"] = directory
    return out


def _shared(inputs: Inputs) -> dict[str, Any]:
    """Namespaces joined, containers depended on, shared memory."""
    modes = inputs.namespaces
    out: dict[str, Any] = {}
    depends: list[str] = []
    for text in inputs.spec.requires or ():
        try:
            depends.append(inputs.lookup.container(text).id)
        except NotFound as error:
            raise type(error)(
                f'"{text}" is not a valid container, cannot be used as a dependency: {error}'
            ) from None
    for field, mode in (
        ("ipc_ns_ctr", modes.ipc), ("net_ns_ctr", modes.net), ("pid_ns_ctr", modes.pid),
        ("user_ns_ctr", modes.user), ("uts_ns_ctr", modes.uts), ("cgroup_ns_ctr", modes.cgroup),
    ):
        if mode.container is not None:
            out[field] = mode.container.id
            depends.append(mode.container.id)
    depends += [inputs.lookup.container(text.partition(":")[0]).id for text in inputs.spec.volumes_from or ()]
    out["dependencies"] = list(dict.fromkeys(depends))
    ipc = modes.ipc
    if ipc.kind == "host":
        out["shm_dir"] = "/dev/shm"
    elif ipc.container is not None and not ipc.container.no_shm:
        out["shm_dir"] = ipc.container.shm_dir
    out["no_shm"] = ipc.kind == "none" or (ipc.container is not None and ipc.container.no_shm)
    out["no_shm_share"] = ipc.kind == "private"
    size = inputs.spec.shm_size
    out["shm_size"] = size_decimal(inputs.settings.containers.shm_size) if size is None else size
    out["shm_size_systemd"] = inputs.spec.shm_size_systemd
    return out


def _network(inputs: Inputs, asked: NetworkRequest, id: str) -> dict[str, Any]:
    spec, conf, mode = inputs.spec, inputs.settings.containers, inputs.namespaces.net
    networks: Mapping[str, NetworkOptions] = resolve_network.attachments(inputs, asked, id)
    ports, exposed = resolve_network.ports(inputs, mode.kind)
    no_hosts = conf.no_hosts if spec.no_hosts is None else spec.no_hosts
    image_resolv = spec.dns == ["none"]
    text = asked.mode
    if mode.container is not None:
        text = f"container:{mode.container.id}"
    return {
        "create_net_ns": mode.kind in ("bridge", "slirp4netns", "pasta"),
        "network_mode": text if mode.kind != "host" else "host",
        "networks": networks or EMPTY,
        "network_options": asked.options,
        "port_mappings": ports,
        "exposed_ports": exposed,
        "use_image_resolv_conf": image_resolv,
        "dns_servers": [] if image_resolv else list(spec.dns or ()),
        "dns_search": spec.dns_search,
        "dns_options": spec.dns_options,
        "use_image_hosts": no_hosts,
        "use_image_hostname": bool(spec.no_hostname),
        "base_hosts_file": spec.hosts_file or conf.base_hosts_file,
        "hosts_add": [] if no_hosts else list(spec.hosts or ()),
    }


def _process(inputs: Inputs) -> dict[str, Any]:
    spec, conf = inputs.spec, inputs.settings.containers
    groups = [group for group in spec.groups or () if group != "keep-groups"]
    timezone = conf.tz if spec.timezone is None else spec.timezone
    if timezone and timezone != "local" and not inputs.lookup.has_timezone(timezone):
        raise InvalidArgument(
            f"running container create option: finding timezone: unknown time zone {timezone}"
        )
    return {
        "groups": groups,
        "host_users": spec.host_users,
        "passwd": spec.passwd is not False,
        "passwd_entry": spec.passwd_entry,
        "group_entry": spec.group_entry,
        "entrypoint": spec.entrypoint,
        "command": spec.command,
        "stdin": bool(spec.stdin),
        "preserve_fds": spec.preserve_fds,
        "preserve_fd": spec.preserve_fd,
        "timezone": timezone,
        "umask": conf.umask if spec.umask is None else spec.umask,
        "privileged": inputs.privileged,
        "label_opts": list(spec.security.label) if spec.security is not None else None,
        "seccomp_profile": resolve_process.seccomp_profile(inputs),
        "apparmor_profile": resolve_process.apparmor(inputs),
        "detach_keys": spec.detach_keys,
        "init_path": resolve_mounts.init_program(inputs) if inputs.init else "",
    }


def _cgroups(inputs: Inputs) -> dict[str, Any]:
    spec, settings = inputs.spec, inputs.settings
    mode = spec.cgroups or settings.containers.cgroups
    manager = settings.engine.cgroup_manager
    return {
        "cgroups_mode": mode,
        "cgroup_manager": manager,
        "cgroup_parent": cgroup.parent_of(manager, spec.cgroup_parent or "", mode, rootless=inputs.host.rootless),
    }


def _logs(inputs: Inputs) -> dict[str, Any]:
    """Driver, path, size and tag. A directory, or no path, becomes a file when the engine knows where."""
    spec, conf = inputs.spec, inputs.settings.containers
    log = spec.log
    driver = (log.driver if log is not None else "") or spec.log_driver or conf.log_driver
    size = log.max_size if log is not None else None
    tag = log.options.get("tag", "") if log is not None else ""
    path = log.path if log is not None else ""
    return {
        "log_driver": driver,
        "log_path": path or conf.log_path,
        "log_size": size or conf.log_size_max,
        "log_max_files": (log.max_files if log is not None else None) or 0,
        "log_tag": tag or conf.log_tag,
    }


def _life(inputs: Inputs) -> dict[str, Any]:
    spec, settings = inputs.spec, inputs.settings
    mode = spec.sdnotify or "container"
    policy = spec.restart
    return {
        "stop_timeout": settings.engine.stop_timeout if spec.stop_timeout is None else spec.stop_timeout,
        "timeout": spec.timeout,
        "restart_policy": policy.policy if policy is not None else None,
        "restart_retries": policy.retries if policy is not None else None,
        "auto_remove": bool(spec.remove or spec.remove_image),
        "auto_remove_image": bool(spec.remove_image),
        "cid_file": spec.cid_file,
        "pid_file": spec.pid_file,
        "conmon_pid_file": spec.conmon_pid_file,
        "init_container_type": spec.init_container,
        "sdnotify_mode": mode,
        "sdnotify_socket": settings.environment.notify_socket if mode != "ignore" else "",
    }


def _health(inputs: Inputs) -> dict[str, Any]:
    spec = inputs.spec
    asked = spec.health_command or spec.startup_command or spec.health_disabled or spec.health_on_failure or (
        spec.health_log_destination or spec.health_max_log_count is not None or spec.health_max_log_size is not None
    )
    if not (asked or spec.sdnotify == "healthy" or inputs.defaults.get("Healthcheck")):
        return {}
    from wherry.spec.resolve_health import checks

    regular, startup = checks(inputs)
    return {
        "health_check": regular,
        "startup_health_check": startup,
        "health_check_on_failure": spec.health_on_failure,
        "health_log_destination": spec.health_log_destination,
        "health_max_log_count": spec.health_max_log_count,
        "health_max_log_size": spec.health_max_log_size,
    }


def _secrets(inputs: Inputs) -> dict[str, Any]:
    """Secrets by name; the engine replaces names by ids when it looks them up."""
    files = [
        SecretMount(
            name=secret.source, target=secret.target, uid=secret.uid, gid=secret.gid, mode=secret.mode
        )
        for secret in inputs.spec.secrets or () if secret.type == "mount"
    ]
    variables = {
        secret.target or secret.source: secret.source
        for secret in inputs.spec.secrets or () if secret.type == "env"
    }
    return {"secrets": files, "env_secrets": variables or EMPTY}
