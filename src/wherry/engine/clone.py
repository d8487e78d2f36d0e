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
    runtime: Runtime, identity: str, name: str = "", image: str = "", changes: ContainerSpec | None = None
) -> ContainerConfig:
    """Create a container like *identity*, called *name* (empty: ``OLD-clone``, ``OLD-clone1``, ...).

    *image* is used instead of the original's; *changes* are made as ``update`` makes them.  Addresses given by hand are
    not taken over, anonymous volumes are made anew.  Raises ``NameInUse``, ``NoSuchImage``.
    """
    from wherry.engine.create import add
    from wherry.engine.update import changed, changed_resources

    old = runtime.state.container_config(identity)
    config = _copy(runtime, old, check_name(name) if name else _free_name(runtime, old.name))
    if image:
        config = _with_image(runtime, config, image)
    if changes is not None:
        config = changed(runtime, config, changes, changed_resources(runtime, config, changes))
    add(runtime, config)
    return config


def _free_name(runtime: Runtime, name: str) -> str:
    candidate = f"{name}-clone"
    number = 0
    while runtime.state.has_container(candidate):
        number += 1
        candidate = f"{name}-clone{number}"
    return candidate


def _copy(runtime: Runtime, old: ContainerConfig, name: str) -> ContainerConfig:
    identity = generate_id()
    directory = runtime.store.container_dir(identity)
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
