"""create: from what was asked to a container in the store and the database."""

from __future__ import annotations

import os

from wherry.engine import intents, reserve, volumes
from wherry.engine.exit_command import exit_command
from wherry.errors import AlreadyExists, InvalidArgument, NameInUse, NoSuchContainer, Unsupported, from_os_error
from wherry.model.container import ContainerConfig, ContainerState
from wherry.model.ids import check_name, generate_id
from wherry.model.names import random_name
from wherry.model.record import EMPTY
from wherry.model.timestamps import now
from wherry.sys import log
from wherry.sys.files import make_dirs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from wherry.engine.runtime import Runtime
    from wherry.registry.progress import Reporter
    from wherry.spec.container_spec import ContainerSpec
    from wherry.spec.host import ImageFacts
    from wherry.storage.records import ImageRecord


def create(
    runtime: Runtime, spec: ContainerSpec, reporter: Reporter | None = None, fields: Mapping[str, Any] = EMPTY
) -> ContainerConfig:
    """Create the container *spec* asks for and return its configuration; *fields* of it are set as they are.

    Pulls the image if the policy says so, before any lock is taken.  Raises in Podman's words and leaves nothing behind
    when it fails.
    """
    refuse_unsupported(spec)
    if spec.pod or spec.pod_id_file:
        from wherry.engine.pod_members import create_member

        return create_member(runtime, spec, reporter)
    if spec.init_container and not fields:
        raise InvalidArgument("must specify pod value with init-ctr")
    image = None if spec.rootfs else image_facts(runtime, spec, reporter)
    if spec.replace_existing:
        _replace(runtime, spec)
    name = check_name(spec.name) if spec.name else _free_name(runtime)
    if spec.name:
        _check_free(runtime, name)
    config = resolve_config(runtime, spec, image, name)
    if config.seccomp_profile:
        _check_seccomp(config.seccomp_profile)
    if fields:
        config = config.replace(**fields)
    if spec.volumes_from:
        config = config.replace(dependencies=_same_pod(runtime, spec, config))
    add(runtime, config)
    if config.cid_file:
        _write_cid_file(runtime, config)
    return config


def _same_pod(runtime: Runtime, spec: ContainerSpec, config: ContainerConfig) -> list[str]:
    """The dependencies of *config* without containers of other pods it only has volumes from: those need not run."""
    from wherry.engine.host import EngineLookup

    lookup = EngineLookup(runtime)
    givers = {lookup.container(text.partition(":")[0]).id for text in spec.volumes_from or ()}
    needed = {lookup.container(text).id for text in spec.requires or ()}
    needed |= {
        config.ipc_ns_ctr, config.net_ns_ctr, config.pid_ns_ctr, config.user_ns_ctr, config.uts_ns_ctr,
        config.cgroup_ns_ctr,
    }
    return [
        key for key in config.dependencies
        if key in needed or key not in givers or runtime.state.container_config(key).pod == config.pod
    ]


def _nothing() -> None:
    """What a container that is no pod's infra container brings with it."""


def add(runtime: Runtime, config: ContainerConfig, also: Callable[[], None] = _nothing) -> None:
    """Put a complete configuration into the store and the database. Raises ``NameInUse``; nothing is left then.

    *also* runs in the transaction that adds the container, before it.
    """
    _check_journal(config)
    reserve.keep(runtime)
    try:
        _store(runtime, config, also)
    except NameInUse as error:
        if not intents.free_name(runtime, config.name):
            raise _taken(runtime, config.name, error) from None
        _store(runtime, config, also)


def refuse_unsupported(spec: ContainerSpec) -> None:
    """Raises ``Unsupported`` for what parses and cannot be done yet."""
    from wherry.spec.unsupported import unsupported

    for flag, reason in unsupported(spec):
        raise Unsupported(f"{flag}: {reason}: not yet implemented")


def image_facts(runtime: Runtime, spec: ContainerSpec, reporter: Reporter | None) -> ImageFacts:
    """The image of *spec*, pulled if need be, as the facts resolving needs.

    Raises ``NoSuchImage`` and what pulling raises.
    """
    from wherry.engine import image_lookup
    from wherry.errors import NoSuchImage
    from wherry.spec.host import ImageFacts

    policy = spec.pull or runtime.settings.engine.pull_policy
    try:
        if policy in ("always", "newer"):
            raise NoSuchImage(spec.image)
        record, name = image_lookup.find(runtime.store, spec.image)
    except NoSuchImage:
        record = _pull(runtime, spec, policy, reporter)
        name = record.names[0] if record.names else record.id
    if name == record.id or record.id.startswith(name):
        name = record.names[0] if record.names else record.id
    return ImageFacts(
        id=record.id,
        name=name,
        raw_name=spec.image,
        digest=record.digest,
        document=runtime.store.image_config(record.id),
    )


def _pull(runtime: Runtime, spec: ContainerSpec, policy: str, reporter: Reporter | None) -> ImageRecord:
    from wherry.engine.image_pull import PullOptions, pull
    from wherry.registry.progress import Reporter
    from wherry.spec.parse_values import duration

    os_name, architecture, variant = spec.os or "", spec.arch or "", spec.variant or ""
    if spec.platform:
        if os_name or architecture:
            raise InvalidArgument("--platform option can not be specified with --arch or --os")
        os_name, architecture, variant = [*spec.platform.split("/"), "", ""][:3]
    options = PullOptions(
        policy=policy,
        os=os_name,
        architecture=architecture,
        variant=variant,
        authfile=spec.authfile or "",
        credentials=spec.credentials or "",
        cert_dir=spec.cert_dir or "",
        tls_verify=spec.tls_verify,
        retry=spec.retry,
        retry_delay=duration(spec.retry_delay) / 1e9 if spec.retry_delay else None,
        signature_policy=spec.signature_policy or "",
    )
    return pull(runtime, spec.image, options, reporter or Reporter())


def _replace(runtime: Runtime, spec: ContainerSpec) -> None:
    from wherry.engine.remove import remove

    if not spec.name:
        raise InvalidArgument("cannot replace container without --name being set")
    try:
        identity = runtime.state.container_id(spec.name)
        if runtime.state.container_config(identity).name == spec.name:
            remove(runtime, identity, force=True)
    except NoSuchContainer:
        return      # also when it ended meanwhile and --rm removed it


def _free_name(runtime: Runtime) -> str:
    for _attempt in range(64):
        name = random_name()
        if not runtime.state.has_container(name):
            return name
    return f"{random_name()}_{os.urandom(4).hex()}"


def _check_free(runtime: Runtime, name: str) -> None:
    """Fail early, before anything is made; the database checks again when the container is added."""
    state = runtime.state
    try:
        identity = state.container_id(name)
    except (NoSuchContainer, AlreadyExists):
        return
    if state.container_config(identity).name == name:
        raise name_in_use(name, identity)


def name_in_use(name: str, identity: str, sentinel: str = "that name is already in use") -> NameInUse:
    error = NameInUse(
        f'creating container storage: the container name "{name}" is already in use by {identity}. You have to remove '
        f"that container to be able to reuse that name: {sentinel}, or use --replace to instruct Podman to do so."
    )
    error.cause = ""        # it stands in the middle of the message
    return error


def _taken(runtime: Runtime, name: str, error: NameInUse) -> NameInUse:
    """What to say when the store refuses a name that no container in the database has."""
    ours = {intent.object_id for intent in runtime.state.intents()}        # being created by another process
    for container in runtime.store.containers():
        if name in container.names:
            if container.id in ours or runtime.state.has_container(container.id):
                return name_in_use(name, container.id)
            return name_in_use(name, container.id, "that name is already in use by an external entity")
    return error


def resolve_config(runtime: Runtime, spec: ContainerSpec, image: ImageFacts | None, name: str) -> ContainerConfig:
    """The complete configuration, its warnings logged."""
    from wherry.engine.host import EngineLookup, host_facts
    from wherry.spec.resolve import resolve

    identity = generate_id()
    warnings: list[str] = []
    config = resolve(
        spec,
        image,
        runtime.settings,
        host_facts(runtime),
        id=identity,
        name=name,
        lookup=EngineLookup(runtime),
        created_time=now(),
        warnings=warnings,
    )
    for warning in warnings:
        log.warning(warning)
    return _placed(runtime, config)


def _placed(runtime: Runtime, config: ContainerConfig) -> ContainerConfig:
    """*config* with what only the engine knows: directories, log file, OCI runtime."""
    # A directory below <driver>-containers without a storage record is garbage to other engines.
    directory = runtime.paths.own_directory(config.id) if config.rootfs else runtime.store.container_dir(config.id)
    log_path = config.log_path
    if config.log_driver in ("k8s-file", "json-file") and (not log_path or os.path.isdir(log_path)):
        log_path = f"{log_path}/{config.id}/ctr.log" if log_path else f"{directory}/ctr.log"
    changes: dict[str, object] = {
        "static_dir": directory,
        "log_path": log_path,
        "runtime": runtime.oci_runtime(runtime.settings.options.runtime).name,
        "volatile": config.auto_remove,
        "exit_command": exit_command(runtime, config.id),
    }
    if config.named_volumes:
        changes["named_volumes"] = volumes.named(config.named_volumes)
    if config.health_log_destination != "local":
        from wherry.health.log import destination

        changes["health_log_destination"] = destination(config.health_log_destination)
    config = config.replace(**changes)
    if config.secrets or config.env_secrets:
        from wherry.engine.secret_mounts import looked_up

        config = looked_up(runtime, config)
    return config


def _store(runtime: Runtime, config: ContainerConfig, also: Callable[[], None]) -> None:
    from wherry.engine.locked import container_event

    state = runtime.state
    with intents.Creating(runtime, config) as creating:
        try:
            config = _make_storage(runtime, config)
            if config.secrets:
                from wherry.engine.secret_mounts import copy_in

                copy_in(runtime, config)
            if config.named_volumes:
                volumes.ensure(runtime, config)
        except OSError as error:
            raise from_os_error(error, "creating container storage") from None
        with state.transaction():
            also()
            state.add_container(config, ContainerState(), container_event(config, "create"))
            state.clear_intent(creating.number)
    runtime.publish()


def _make_storage(runtime: Runtime, config: ContainerConfig) -> ContainerConfig:
    """Make layer and directories; the configuration, with the id maps that were chosen for it."""
    if config.rootfs:
        make_dirs(config.static_dir)
        return config
    maps = config.id_mappings
    choose = None
    if maps.auto_userns and not maps.uid_map:
        from wherry.engine.user_ranges import AutoRanges

        choose = AutoRanges(runtime, config).choose
    record = runtime.store.create_container(
        config.id,
        name=config.name,
        image_id=config.rootfs_image_id,
        image_name=config.rootfs_image_name,
        volatile=config.volatile,
        uid_map=maps.uid_map,
        gid_map=maps.gid_map,
        choose_maps=choose,
    )
    if choose is None:
        return config
    return config.replace(id_mappings=maps.replace(uid_map=record.uid_map, gid_map=record.gid_map))


def _check_journal(config: ContainerConfig) -> None:
    """conmon would drop every line without a word where there is no journald."""
    from wherry.errors import Unavailable

    if config.log_driver == "journald" and not os.path.exists("/run/systemd/journal/socket"):
        raise Unavailable(
            "failed to initialize journal: /run/systemd/journal/socket: no such file or directory",
            hint="no journald runs here: use --log-driver k8s-file",
        )


def _check_seccomp(profile: str) -> None:
    """A profile file must be there when the container is created, though it is read when it starts."""
    from wherry.spec import seccomp

    if profile not in (seccomp.UNCONFINED, seccomp.IMAGE):
        seccomp.check(profile)


def _write_cid_file(runtime: Runtime, config: ContainerConfig) -> None:
    """Write the id for scripts, over what an earlier container left there. Without it the container does not stay."""
    from wherry.engine.remove import remove

    try:
        with open(config.cid_file, "w", encoding="ascii") as file:
            file.write(config.id)
    except OSError as error:
        remove(runtime, config.id, volumes=True)
        error.filename = None
        raise from_os_error(error, f"opening cidfile {config.cid_file}") from None
    log.debug(f"wrote container id to {config.cid_file}")
