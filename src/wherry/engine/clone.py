"""clone: a new container with the configuration of another."""

from __future__ import annotations

from wherry.engine.exit_command import exit_command
from wherry.model.ids import check_name, generate_id, short
from wherry.model.timestamps import now

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.engine.runtime import Runtime
    from wherry.model.container import ContainerConfig
    from wherry.spec.container_spec import ContainerSpec


def clone(
    runtime: Runtime,
    identity: str,
    name: str = "",
    image: str = "",
    changes: ContainerSpec | None = None,
    pod: str = "",
) -> ContainerConfig:
    """Create a container like *identity*, called *name* (empty: ``OLD-clone``, ``OLD-clone1``, ...).

    *image* is used instead of the original's; *changes* are made as ``update`` makes them; *pod* is the id of the pod
    it becomes a member of, with the namespaces that one shares.  Addresses given by hand are
    not taken over, anonymous volumes are made anew.  Raises ``NameInUse``, ``NoSuchImage``.
    """
    from wherry.engine.create import add
    from wherry.engine.update import changed, changed_resources

    old = runtime.state.container_config(identity)
    config = copy(runtime, old, check_name(name) if name else free_name(runtime, old.name))
    if pod:
        config = _moved(runtime, old, config, pod)
    if image:
        config = _with_image(runtime, config, image)
    if changes is not None:
        config = changed(runtime, config, changes, changed_resources(runtime, config, changes))
    add(runtime, config)
    return config


def _moved(runtime: Runtime, old: ContainerConfig, config: ContainerConfig, pod: str) -> ContainerConfig:
    """*config* as a member of *pod*; what it shared with its old pod's infra container it shares with the new one's."""
    from wherry.engine.create import image_facts, resolve_config
    from wherry.engine.merge import merged_fields
    from wherry.engine.pod_clone import IDENTITY, in_pod
    from wherry.engine.pod_members import joined
    from wherry.spec.parse_keywords import from_keywords

    new, state = runtime.state.pod(pod)
    new_ids = {}
    if old.pod:
        before = runtime.state.pod(old.pod)[1].infra_id
        if before and state.infra_id:
            new_ids[before] = state.infra_id
        return in_pod(config, new, state.cgroup_path, new_ids)
    image = old.rootfs_image_id or old.rootfs
    plain = from_keywords(image, rootfs=bool(old.rootfs) or None)
    facts = None if old.rootfs else image_facts(runtime, plain, None)
    spec, fields = joined(runtime, plain, new, state)
    two = [resolve_config(runtime, one, facts, config.name) for one in (plain, spec)]
    changes = merged_fields(config, *two, but=IDENTITY - {"networks"})
    return config.replace(**{**changes, **fields})


def free_name(runtime: Runtime, name: str) -> str:
    candidate = f"{name}-clone"
    number = 0
    while runtime.state.has_container(candidate):
        number += 1
        candidate = f"{name}-clone{number}"
    return candidate


def copy(runtime: Runtime, old: ContainerConfig, name: str) -> ContainerConfig:
    """*old* with an identity of its own; a member of the same pod, if any."""
    identity = generate_id()
    directory = runtime.paths.own_directory(identity) if old.rootfs else runtime.store.container_dir(identity)
    networks = {
        network: options.replace(
            aliases=[short(identity) if alias == short(old.id) else alias for alias in options.aliases],
            static_ips=(), static_mac="",
        )
        for network, options in old.networks.items()
    }
    volumes = [
        volume.replace(name=generate_id()) if volume.is_anonymous else volume for volume in old.named_volumes
    ]
    log_path = old.log_path
    if log_path.startswith(old.static_dir + "/"):
        log_path = directory + log_path.removeprefix(old.static_dir)
    else:
        log_path = log_path.replace(old.id, identity)
    return old.replace(
        id=identity, name=name, created_time=now(), static_dir=directory, log_path=log_path, networks=networks,
        named_volumes=volumes, exit_command=exit_command(runtime, identity), cid_file="", pid_file="",
        conmon_pid_file="",
    )


def _with_image(runtime: Runtime, config: ContainerConfig, image: str) -> ContainerConfig:
    from wherry.engine.create import image_facts
    from wherry.spec.parse_keywords import from_keywords

    facts = image_facts(runtime, from_keywords(image), None)
    return config.replace(
        rootfs_image_id=facts.id, rootfs_image_name=facts.name, raw_image_name=facts.raw_name
    )
