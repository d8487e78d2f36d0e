"""pod clone: a new pod with the configuration of another, and in it a clone of each of its containers."""

from __future__ import annotations

from wherry.engine import clone as containers
from wherry.engine.merge import merged_fields
from wherry.errors import AlreadyExists, NoSuchPod
from wherry.model.container import ContainerConfig
from wherry.model.ids import check_name, generate_id
from wherry.model.pod import PodConfig, PodState
from wherry.model.timestamps import now
from wherry.spec.container_spec import ContainerSpec
from wherry.spec.pod_spec import PodSpec, wants_user_namespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from wherry.engine.runtime import Runtime

#: What makes a container itself, whatever its options.
IDENTITY = frozenset((
    "id", "name", "created_time", "static_dir", "log_path", "exit_command", "networks", "create_command", "runtime",
    "cgroup_parent", "rootfs", "rootfs_image_id", "rootfs_image_name", "raw_image_name", "conmon_pid_file", "labels",
))
#: Fields of a configuration that hold the id of another member.
_REFERENCES = (
    "ipc_ns_ctr", "mount_ns_ctr", "net_ns_ctr", "pid_ns_ctr", "user_ns_ctr", "uts_ns_ctr", "cgroup_ns_ctr",
)
_LIMITS = ("cpu", "memory", "blockIO", "pids")


def clone(runtime: Runtime, identity: str, asked: PodSpec) -> PodConfig:
    """Create a pod like *identity*, called ``asked.name`` (empty: ``OLD-clone``, ``OLD-clone1``, ...).

    Containers are called ``OLD-clone`` and so on; they depend on each other as the originals do.  What *asked* says of
    namespaces, limits, volumes and security changes the infra container, hence what the new members share.  Nothing
    is left when it fails.  Raises ``PodExists``, ``NoSuchImage``.
    """
    from wherry.engine.pod_create import add_infra, cgroup_path, event
    from wherry.engine.pod_remove import remove
    from wherry.engine.pod_verbs import members, ordered

    old, old_state = runtime.state.pod(identity)
    configs = members(runtime, identity)
    pod = _config(runtime, old, asked)
    path = cgroup_path(runtime, pod)
    new_ids: dict[str, str] = {}
    if old_state.infra_id:
        infra, pod = _infra(runtime, configs.pop(old_state.infra_id), old, pod, asked, path)
        add_infra(runtime, infra, pod, PodState(cgroup_path=path, infra_id=infra.id))
        new_ids[old_state.infra_id] = infra.id
    else:
        runtime.state.add_pod(pod, PodState(cgroup_path=path), event(pod, "create"))
        runtime.publish()
    try:
        for group in ordered(configs):
            for key in group:
                new_ids[key] = _member(runtime, configs[key], pod, path, new_ids, asked)
    except BaseException:
        remove(runtime, pod.id, force=True, timeout=0)
        raise
    return pod


def _config(runtime: Runtime, old: PodConfig, asked: PodSpec) -> PodConfig:
    from wherry.spec import cgroup

    inner = asked.container
    shares = list(old.shares)
    if old.has_infra and wants_user_namespace(inner) and "user" not in shares:
        shares.append("user")
    settings = runtime.settings
    return old.replace(
        id=generate_id(), name=check_name(asked.name) if asked.name else _free_name(runtime, old.name),
        labels={**old.labels, **asked.labels}, created_time=now(), hostname=inner.hostname or old.hostname,
        shares=shares, create_command=list(asked.create_command),
        cgroup_parent=old.cgroup_parent if inner.cgroup_parent is None else cgroup.parent_of(
            settings.engine.cgroup_manager, inner.cgroup_parent, "enabled", rootless=settings.rootless
        ),
    )


def _free_name(runtime: Runtime, name: str) -> str:
    number = 0
    candidate = f"{name}-clone"
    while True:
        try:
            found = runtime.state.pod(runtime.state.pod_id(candidate))[0].name
        except (NoSuchPod, AlreadyExists):
            found = ""
        if found != candidate:
            return candidate
        number += 1
        candidate = f"{name}-clone{number}"


# -- the infra container -----------------------------------------------------------------------------------------------


def _infra(
    runtime: Runtime, infra: ContainerConfig, old: PodConfig, pod: PodConfig, asked: PodSpec, path: str
) -> tuple[ContainerConfig, PodConfig]:
    """The new infra container, and the pod with its limits."""
    from wherry.engine.update import changed_resources

    linux = infra.spec.get("linux") or {}
    limited = infra.replace(spec={**infra.spec, "linux": {
        **linux, "resources": {**(linux.get("resources") or {}), **pod.resources},
    }})
    limits = {
        key: value for key, value in changed_resources(runtime, limited, asked.container).items() if key in _LIMITS
    }
    if limits:
        pod = pod.replace(resources={**pod.resources, **limits})
    name = check_name(asked.infra_name) if asked.infra_name else containers.free_name(runtime, infra.name)
    config = containers.copy(runtime, infra, name)
    config = config.replace(**_changes(runtime, config, pod, asked))
    tree = dict(config.spec)
    if tree.get("hostname") == old.name[:64] and not asked.container.hostname:
        tree["hostname"] = pod.name[:64]
    config = config.replace(
        pod=pod.id, spec=tree, cgroup_parent=path or config.cgroup_parent, create_command=list(asked.create_command),
        conmon_pid_file=asked.infra_conmon_pid_file,
    )
    return config, pod


def _changes(runtime: Runtime, config: ContainerConfig, pod: PodConfig, asked: PodSpec) -> dict[str, Any]:
    """The fields of the infra container that the options given change."""
    from wherry.engine.create import refuse_unsupported, resolve_config
    from wherry.engine.pod_create import infra_spec

    plain = PodSpec(name=pod.name, infra_image="")
    wanted = plain.replace(container=_structure(asked.container), infra_command=asked.infra_command)
    if wanted == plain:
        return {}
    refuse_unsupported(wanted.container)
    before, after = (
        resolve_config(runtime, infra_spec(runtime, spec, pod), None, config.name) for spec in (plain, wanted)
    )
    return merged_fields(config, before, after, but=IDENTITY)


def _structure(spec: ContainerSpec) -> ContainerSpec:
    """*spec* without what is the pod's own: labels, limits, control group."""
    return ContainerSpec(**{
        name: getattr(spec, name)
        for name in ("hostname", "uts", "pid", "userns", "uid_map", "gid_map", "sub_uid_name", "sub_gid_name",
                     "devices", "security", "shm_size", "sysctls", "mounts", "volumes_from")
        if getattr(spec, name) is not None
    })


# -- members -----------------------------------------------------------------------------------------------------------


def _member(
    runtime: Runtime, old: ContainerConfig, pod: PodConfig, path: str, new_ids: Mapping[str, str], asked: PodSpec
) -> str:
    """Clone one member; its id."""
    from wherry.engine.create import add

    config = containers.copy(runtime, old, containers.free_name(runtime, old.name))
    config = in_pod(config, pod, path, new_ids)
    infra = runtime.state.pod(pod.id)[1].infra_id
    if infra:
        config = config.replace(**_shared(runtime, config, infra, asked))
    add(runtime, config)
    return config.id


def in_pod(config: ContainerConfig, pod: PodConfig, path: str, new_ids: Mapping[str, str]) -> ContainerConfig:
    """*config* as a member of *pod*, what it needs of others replaced by *new_ids*."""
    changes: dict[str, Any] = {name: new_ids.get(getattr(config, name), getattr(config, name)) for name in _REFERENCES}
    mode = config.network_mode
    if mode.startswith("container:"):
        mode = "container:" + new_ids.get(mode.removeprefix("container:"), mode.removeprefix("container:"))
    changes.update(
        pod=pod.id, network_mode=mode, dependencies=[new_ids.get(key, key) for key in config.dependencies],
    )
    if pod.uses_pod_cgroup and path:
        changes["cgroup_parent"] = path
    return config.replace(**changes)


def _shared(runtime: Runtime, config: ContainerConfig, infra: str, asked: PodSpec) -> dict[str, Any]:
    """Fields that make a member join a user namespace and volumes its original's pod did not have."""
    from wherry.engine.create import image_facts, resolve_config
    from wherry.spec.parse_keywords import from_keywords

    changes: dict[str, Any] = {}
    if wants_user_namespace(asked.container) and not config.user_ns_ctr:
        changes["userns"] = f"container:{infra}"
    if asked.container.mounts or asked.container.volumes_from:
        changes["volumes_from"] = [infra]
    if not changes:
        return {}
    plain = from_keywords(config.rootfs_image_id or config.rootfs, rootfs=bool(config.rootfs) or None, network="none")
    image = None if config.rootfs else image_facts(runtime, plain, None)
    before, after = (
        resolve_config(runtime, spec, image, config.name) for spec in (plain, plain.replace(**changes))
    )
    return merged_fields(config, before, after, but=IDENTITY)
