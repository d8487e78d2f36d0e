"""Between ``init`` and the OCI runtime: network, root, files, the OCI spec, conmon.

The network is attached while the rest is prepared; whatever fails is released by the caller
(:func:`wherry.engine.cleanup.release_resources`), which assumes nothing of how far this came.
"""

from __future__ import annotations

import os

from wherry.engine import network_files, rootfs_files
from wherry.engine.exit_command import environment, with_shortcut
from wherry.errors import RuntimeFailed, StateError, Unavailable, from_os_error
from wherry.model.mount import Mount
from wherry.oci import bundle, conmon, seccomp_cache
from wherry.spec.cgroup import actual_path
from wherry.spec.compile import compile as compile_spec
from wherry.spec.host import StartFacts
from wherry.sys.files import make_dirs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from wherry.engine.locked import LockedContainer
    from wherry.errors import WherryError
    from wherry.model.container import ContainerConfig
    from wherry.oci.conmon import Created, Launch


def create_in_runtime(held: LockedContainer) -> None:
    """Make the container exist in the OCI runtime, its process waiting to be started."""
    runtime, config, state = held.runtime, held.config, held.state
    runtime.warm_up()
    runtime.paths.prepare()
    oci = runtime.oci_runtime(config.runtime)
    conmon_path = runtime.conmon_path
    networking = runtime.networking
    # A network namespace belongs to the user namespace of who makes it: of one's own, the OCI runtime makes both.
    late = config.create_net_ns and _makes_user_namespace(config)
    pending = networking.begin(held) if config.create_net_ns and not late else None
    try:
        if config.is_infra:
            from wherry.engine.pod_cgroup import prepare as prepare_pod

            prepare_pod(runtime, config.pod)
            if config.rootfs:
                from wherry.engine.pod_create import without_volumes

                held.config = config = without_volumes(config)
        root = _mount_root(held)
        make_dirs(state.run_dir)
        spec = compile_spec(config, _facts(held, root))
        if config.cdi_devices or any(map(os.path.isdir, runtime.settings.engine.hooks_dir)):
            from wherry.engine.start_edits import edit

            spec = edit(held, spec)
        _check_workdir(held, root, spec)
        seccomp_key = seccomp_cache.annotate(spec, runtime.paths.seccomp, oci)
        state.config_path = bundle.write(config.static_dir, spec)
        created = conmon.create(conmon_path, oci, _launch(held))
        drop_shared_memory(held)
        _remember(held, created, spec)
        if runtime.settings.engine.cgroup_manager == "systemd":
            from wherry.engine.systemd_units import settle_conmon

            settle_conmon(held)
        state.runtime = config.runtime
        if config.log_max_files:
            from wherry.engine import log_rotation

            if log_rotation.rotates(config):
                log_rotation.start(held)
        if late:
            pending = networking.begin_in(held, created.pid)
    except BaseException:
        if pending is not None:
            pending.cancel()
        raise
    finally:
        runtime.cool_down()
    if pending is not None:
        state.network_status = pending.result()
        network_files.complete(held)
    seccomp_cache.remember(seccomp_key, runtime.paths.seccomp, oci, held.id)


def _makes_user_namespace(config: ContainerConfig) -> bool:
    entries = (config.spec.get("linux") or {}).get("namespaces") or ()
    return not config.user_ns_ctr and any(entry["type"] == "user" and not entry.get("path") for entry in entries)


def _mount_root(held: LockedContainer) -> str:
    config, state = held.config, held.state
    if config.rootfs:
        root = os.path.realpath(config.rootfs)
        if not os.path.isdir(root):
            raise Unavailable(f"root file system {config.rootfs} of container {held.id} does not exist")
    else:
        root = held.runtime.store.mount_container(held.id)
    state.mounted = True
    state.mount_point = root
    return root


def _remember(held: LockedContainer, created: Created, spec: Mapping[str, Any]) -> None:
    state = held.state
    state.pid, state.pid_start = created.pid, created.pid_start
    state.conmon_pid, state.conmon_start = created.conmon_pid, created.conmon_start
    state.cgroup_path = actual_path((spec.get("linux") or {}).get("cgroupsPath") or "")


def _facts(held: LockedContainer, root: str) -> StartFacts:
    """Everything compiling needs that is only known now."""
    from wherry.engine.start_files import bind_mounts, give_to_root, passwd_and_group
    from wherry.engine.start_mounts import prepare as start_mounts
    from wherry.sys import cgroups, limits

    runtime, config, state = held.runtime, held.config, held.state
    passwd, group, files = passwd_and_group(held, root)
    state.bind_mounts = {**network_files.write(held, state.run_dir, root), **files, **bind_mounts(held)}
    give_to_root(held, state.bind_mounts)
    extra = start_mounts(held, root, passwd, group)
    shared = runtime.state.container_state(config.uts_ns_ctr) if config.uts_ns_ctr else None
    asked = [limit["type"].removeprefix("RLIMIT_").lower() for limit in config.spec["process"].get("rlimits") or ()]
    return StartFacts(
        root=root,
        passwd=passwd,
        group=group,
        bind_mounts=state.bind_mounts,
        volume_paths=extra.volume_paths,
        mounts=[*_shared_memory(held), *extra.mounts],
        net_ns=state.net_ns,
        namespaces=_joined_namespaces(held),
        shared_hostname=_hostname_of(held, config.uts_ns_ctr) if shared else "",
        hostname=os.uname().nodename,
        name_as_hostname=runtime.settings.containers.container_name_as_hostname,
        rootless=runtime.settings.rootless,
        unified=cgroups.layout().mode == "v2",
        own_cgroup=_split_cgroup(config.cgroups_mode),
        systemd_hierarchy=_systemd_hierarchy() if config.systemd else None,
        rlimits={name: limits.rlimit(name) for name in {"nofile", "nproc", *asked}},
        can_raise_limits=limits.can_raise(),
        seccomp=_seccomp(held),
        environment=_environment(held),
        devices=_devices(held),
    )


def _shared_memory(held: LockedContainer) -> list[Mount]:
    """/dev/shm: a tmpfs in the container's own mount namespace, or that of the container whose IPC namespace it joins.

    What is joined is mounted on the host only until the OCI runtime has mounted it in the new container.
    """
    config = held.config
    if config.ipc_ns_ctr and not config.no_shm and not config.shm_dir:
        from wherry.sys.mounts import adopt

        pid = _pid_of(held, config.ipc_ns_ctr)
        place = _shm_place(held)
        make_dirs(place)
        try:
            adopt(pid, "/dev/shm", place)
        except OSError as error:
            if os.path.exists(f"/proc/{pid}/ns/mnt"):
                raise from_os_error(error, f"joining /dev/shm of container {config.ipc_ns_ctr}") from None
            raise _not_running(held, config.ipc_ns_ctr) from None       # it ended this moment
        return [_shm_bind(place)]
    if config.shm_dir:
        return [_shm_bind(config.shm_dir)]
    from wherry.spec.compile_mounts import needs_shm

    if not needs_shm(config):
        return []
    options = ["rprivate", "nosuid", "noexec", "nodev", "mode=1777", f"size={config.shm_size}"]
    return [Mount(destination="/dev/shm", type="tmpfs", source="shm", options=options)]


def _shm_place(held: LockedContainer) -> str:
    return f"{held.state.run_dir}/shm"


def drop_shared_memory(held: LockedContainer) -> None:
    """Unmount another container's shared memory from where it was put for the OCI runtime; safe at any time."""
    if held.config.ipc_ns_ctr and held.state.run_dir:
        from wherry.sys.mounts import detach

        detach(_shm_place(held))


def _shm_bind(source: str) -> Mount:
    return Mount(destination="/dev/shm", type="bind", source=source, options=["bind", "rprivate"])


_JOINED = (
    ("ipc", "ipc_ns_ctr"), ("pid", "pid_ns_ctr"), ("user", "user_ns_ctr"), ("uts", "uts_ns_ctr"),
    ("cgroup", "cgroup_ns_ctr"), ("mount", "mount_ns_ctr"),
)
_PROC_NAMES = {"mount": "mnt"}


def _joined_namespaces(held: LockedContainer) -> dict[str, str]:
    found = {}
    for kind, name in _JOINED:
        owner = getattr(held.config, name)
        if owner:
            found[kind] = f"/proc/{_pid_of(held, owner)}/ns/{_PROC_NAMES.get(kind, kind)}"
    owner = held.config.net_ns_ctr
    if owner:
        _pid_of(held, owner)
        found["network"] = held.runtime.networking.owner_namespace(owner)
    return found


def _pid_of(held: LockedContainer, owner: str) -> int:
    pid = held.runtime.state.container_state(owner).pid
    if not pid:
        raise _not_running(held, owner)
    return pid


def _not_running(held: LockedContainer, owner: str) -> WherryError:
    return StateError(
        f"the following dependencies of container {held.id} are not running: {owner}: container state improper"
    )


def _hostname_of(held: LockedContainer, owner: str) -> str:
    from wherry.spec.compile import hostname

    return hostname(held.runtime.state.container_config(owner), host=os.uname().nodename)


def _systemd_hierarchy() -> list[str] | None:
    """Mount options of the name=systemd hierarchy, None where there is none."""
    from wherry.sys.mounts import mount_table

    for entry in mount_table():
        if entry.target == "/sys/fs/cgroup/systemd":
            return [word for word in entry.options.split(",") if word != "relatime"]
    return None


def _seccomp(held: LockedContainer) -> Mapping[str, Any] | None:
    from wherry.engine.host import host_facts
    from wherry.spec import seccomp

    config = held.config
    choice = config.seccomp_profile
    if choice == seccomp.UNCONFINED:
        return None
    capabilities = (config.spec["process"].get("capabilities") or {}).get("bounding") or ()
    architecture = host_facts(held.runtime).architecture
    if choice == seccomp.IMAGE:
        return seccomp.profile(config.labels[seccomp.IMAGE_LABEL], capabilities, architecture)
    path = choice or held.runtime.settings.containers.seccomp_profile
    if not path:
        return None
    make_dirs(held.runtime.paths.seccomp)
    return seccomp.load(path, capabilities, architecture, cache_dir=held.runtime.paths.seccomp)


def _environment(held: LockedContainer) -> dict[str, str]:
    environment: dict[str, str] = {}
    if held.runtime.settings.environment.listen_fds:
        from wherry.engine.activation import variables as activation_variables

        environment.update(activation_variables(held))
    if _relays_to(held):
        environment["NOTIFY_SOCKET"] = "/run/notify/notify.sock"
    if held.config.env_secrets:
        from wherry.engine.secret_mounts import variables

        environment.update(variables(held))
    return environment


def _relays_to(held: LockedContainer) -> str:
    """The service manager's socket, where what the container says to it is to go."""
    if not (held.config.sdnotify_socket or held.runtime.settings.environment.notify_socket):
        return ""
    from wherry.engine.notify import relays_to

    return relays_to(held)


def _passed_on(held: LockedContainer) -> int:
    """The number of sockets the service manager opened for the container."""
    if not held.runtime.settings.environment.listen_fds:
        return 0
    from wherry.engine.activation import passed_on

    return passed_on(held)


def _split_cgroup(mode: str) -> str:
    if mode != "split":
        return ""
    from wherry.engine.systemd_units import split_cgroup

    return split_cgroup()


def _devices(held: LockedContainer) -> list[Any]:
    """Device nodes of the host, for privileged containers."""
    if not held.config.privileged:
        return []
    from wherry.engine.host import EngineLookup

    return EngineLookup(held.runtime).all_devices()


def _check_workdir(held: LockedContainer, root: str, spec: Mapping[str, Any]) -> None:
    """A working directory the user named must exist (the runtimes would make it)."""
    workdir = spec["process"].get("cwd") or "/"
    if workdir == "/" or held.config.create_working_dir:
        return
    for mount in spec.get("mounts") or ():
        place = mount["destination"].rstrip("/")
        if workdir == place or workdir.startswith(place + "/"):
            return
    if not rootfs_files.is_directory(root, workdir):
        raise RuntimeFailed(f'workdir "{workdir}" does not exist on container {held.id}')


def _launch(held: LockedContainer) -> Launch:
    runtime, config, state = held.runtime, held.config, held.state
    return conmon.Launch(
        id=held.id,
        name=config.name,
        bundle=config.static_dir,
        run_dir=state.run_dir,
        log_driver=config.log_driver,
        log_path=config.log_path,
        log_size=-1 if config.log_max_files else config.log_size,
        log_tag=config.log_tag,
        sync_log=not config.auto_remove,
        terminal=config.terminal,
        stdin=config.stdin,
        exit_command=with_shortcut(held),
        exit_dir=runtime.paths.exits,
        persist_dir=f"{runtime.paths.persist}/{held.id}",
        pid_file=config.pid_file,
        conmon_pid_file=config.conmon_pid_file,
        timeout=config.timeout,
        no_cgroups=config.cgroups_mode == "disabled",
        plain_cgroup=config.cgroups_mode == "split",
        no_pivot=runtime.settings.engine.no_pivot_root,
        no_new_keyring=not runtime.settings.containers.keyring,
        preserve_fds=config.preserve_fds or _passed_on(held),
        sdnotify_socket=_relays_to(held),
        env=environment(runtime),
    )
