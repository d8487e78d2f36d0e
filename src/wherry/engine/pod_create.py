"""pod create: the pod and, unless it has none, the infra container that holds what its members share."""

from __future__ import annotations

import os

from wherry.engine import create as containers
from wherry.errors import AlreadyExists, InvalidArgument, NoSuchPod, Unavailable, from_os_error
from wherry.model.container import ContainerConfig
from wherry.model.event import Event
from wherry.model.ids import check_name, generate_id
from wherry.model.names import random_name
from wherry.model.pod import PodConfig, PodState
from wherry.model.record import EMPTY
from wherry.model.timestamps import now, now_ns
from wherry.model.update import UNIT_LABEL
from wherry.spec.pod_spec import DEFAULT_SHARE, check, wants_user_namespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.engine.runtime import Runtime
    from wherry.registry.progress import Reporter
    from wherry.spec.container_spec import ContainerSpec
    from wherry.spec.pod_spec import PodSpec

PAUSE = "/catatonit"
#: What is mounted over files of the root all infra containers share.
_MOUNTED_FILES = (PAUSE, "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/run/.containerenv")


def create(runtime: Runtime, spec: PodSpec, reporter: Reporter | None = None) -> PodConfig:
    """Create the pod *spec* asks for; nothing of it runs yet. Leaves nothing behind when it fails."""
    check(spec)
    if spec.name:
        check_name(spec.name)
    if spec.pod_id_file and os.path.exists(spec.pod_id_file):
        raise InvalidArgument(
            f"pod id file exists. Ensure another pod is not using it or delete {spec.pod_id_file}: file exists"
        )
    if spec.replace_existing:
        _replace(runtime, spec.name)
    pod = _config(runtime, spec)
    if spec.infra:
        pod = _with_infra(runtime, spec, pod, reporter)
    else:
        runtime.state.add_pod(pod, PodState(cgroup_path=cgroup_path(runtime, pod)), event(pod, "create"))
        runtime.publish()
    if spec.pod_id_file:
        _write_id_file(runtime, pod, spec.pod_id_file)
    return pod


def event(pod: PodConfig, what: str) -> Event:
    """A ``pod`` event, stamped now."""
    return Event(id=pod.id, name=pod.name, type="pod", status=what, time_ns=now_ns(), attributes=pod.labels)


def _replace(runtime: Runtime, name: str) -> None:
    from wherry.engine.pod_remove import remove

    try:
        identity = runtime.state.pod_id(name)
    except (NoSuchPod, AlreadyExists):
        return
    if runtime.state.pod(identity)[0].name == name:
        remove(runtime, identity, force=True)


def _config(runtime: Runtime, spec: PodSpec) -> PodConfig:
    from wherry.spec import cgroup

    settings = runtime.settings
    inner, restart = spec.container, spec.restart
    shares = list(DEFAULT_SHARE) if spec.share is None else list(spec.share)
    if wants_user_namespace(inner) and "user" not in shares:
        shares.append("user")
    return PodConfig(
        id=generate_id(),
        name=spec.name or _free_name(runtime),
        namespace=settings.engine.namespace,
        hostname=inner.hostname or "",
        labels=dict(spec.labels),
        cgroup_parent=cgroup.parent_of(
            settings.engine.cgroup_manager, inner.cgroup_parent or "", "enabled", rootless=settings.rootless
        ),
        uses_pod_cgroup=spec.infra and spec.share_parent,
        shares=shares if spec.infra else (),
        has_infra=spec.infra,
        created_time=now(),
        create_command=list(spec.create_command),
        exit_policy=spec.exit_policy or settings.engine.pod_exit_policy,
        restart_policy=restart.policy if restart is not None else "",
        restart_retries=(restart.retries or 0) if restart is not None else 0,
    )


def _free_name(runtime: Runtime) -> str:
    for _attempt in range(64):
        name = random_name()
        try:
            runtime.state.pod_id(name)
        except NoSuchPod:
            if not runtime.state.has_container(name):
                return name
    return f"{random_name()}_{os.urandom(4).hex()}"


def cgroup_path(runtime: Runtime, pod: PodConfig) -> str:
    """The control group the members' groups are in, empty when the pod has none of its own."""
    if not pod.uses_pod_cgroup or not pod.cgroup_parent:
        return pod.cgroup_parent
    if runtime.settings.engine.cgroup_manager == "systemd":
        stem = os.path.basename(pod.cgroup_parent).removesuffix(".slice")
        return f"{pod.cgroup_parent}/{stem}-wherry_pod_{pod.id}.slice"
    return f"{pod.cgroup_parent.rstrip('/')}/pod-{pod.id}"


def _with_infra(runtime: Runtime, spec: PodSpec, pod: PodConfig, reporter: Reporter | None) -> PodConfig:
    """Resolve the infra container and commit pod and container in one transaction; the pod as it was committed."""
    inner = infra_spec(runtime, spec, pod)
    containers.refuse_unsupported(inner)
    image = None if inner.rootfs else containers.image_facts(runtime, inner, reporter)
    name = spec.infra_name or f"{pod.id[:12]}-infra"
    check_name(name)
    path = cgroup_path(runtime, pod)
    config = containers.resolve_config(runtime, inner, image, name)
    resources = (config.spec.get("linux") or EMPTY).get("resources") or EMPTY
    limits = {key: value for key, value in resources.items() if key in ("cpu", "memory", "blockIO", "pids")}
    if limits:
        pod = pod.replace(resources=limits)
    config = _infra_config(config, pod, path, {key: resources[key] for key in resources if key not in limits})
    state = PodState(cgroup_path=path, infra_id=config.id)

    add_infra(runtime, config, pod, state)
    return pod


def add_infra(runtime: Runtime, config: ContainerConfig, pod: PodConfig, state: PodState) -> None:
    """Commit pod and infra container in one transaction."""

    def also() -> None:
        runtime.state.add_pod(pod, state, event(pod, "create"))

    if config.rootfs and config.id_mappings.uid_map:
        from wherry.storage.shifting import open_the_way

        try:
            open_the_way([config.rootfs], runtime.settings.storage.graph_root)
        except OSError as error:
            raise from_os_error(error, "making the root file system of infra containers passable") from None
    containers.add(runtime, config, also)


def _infra_config(
    config: ContainerConfig, pod: PodConfig, path: str, resources: dict[str, Any]
) -> ContainerConfig:
    """*config* as the infra container's: in the pod, its limits the pod's; of the labels only the unit's."""
    tree = dict(config.spec)
    tree["linux"] = {**tree["linux"], "resources": resources}
    return config.replace(
        pod=pod.id, is_infra=True, spec=tree, no_shm_share=False, cgroup_parent=path or config.cgroup_parent,
        restart_policy="", restart_retries=0,
        labels={UNIT_LABEL: config.labels[UNIT_LABEL]} if UNIT_LABEL in config.labels else {},
    )


def infra_spec(runtime: Runtime, spec: PodSpec, pod: PodConfig) -> ContainerSpec:
    """The infra container: a program that waits, in a root file system with nothing else or in an image."""
    from wherry.spec.container_spec import MountRequest, NetworkRequest

    inner = spec.container
    changes: dict[str, object] = {
        "name": None, "labels": None, "restart": None, "cgroup_parent": None, "hostname": None,
        "create_command": spec.create_command, "ipc": inner.ipc or "shareable",
        "conmon_pid_file": spec.infra_conmon_pid_file or None, "log_driver": "none",
    }
    if inner.uts in (None, "private") and (inner.network is None or inner.network.mode != "host" or inner.hostname):
        changes["hostname"] = inner.hostname or pod.name[:64]
    if "net" not in pod.shares:
        if inner.ports:
            raise InvalidArgument("cannot set port bindings on a pod that does not share its network namespace")
        changes["network"] = NetworkRequest(mode="none")
    image = runtime.settings.engine.infra_image if spec.infra_image is None else spec.infra_image
    command = spec.infra_command
    if command is None and runtime.settings.engine.infra_command:
        command = runtime.settings.engine.infra_command.split()
    if image:
        return inner.replace(image=image, command=list(command or ()), **changes)
    pause = _pause_program(runtime)
    mount = MountRequest(type="bind", source=pause, destination=PAUSE, options=["ro"], via="mount")
    return inner.replace(
        image=_pause_root(runtime), rootfs=True, read_only=True, read_only_tmpfs=False,
        command=list(command or (PAUSE, "-P")), mounts=[*(inner.mounts or ()), mount], **changes,
    )


def without_volumes(config: ContainerConfig) -> ContainerConfig:
    """The infra container in the root file system all infra containers share, as it is started.

    Its volumes are there for the members to take over; nothing in it reads them, and there is no place to mount them.
    """
    tree = dict(config.spec)
    places = {place for place in config.user_volumes if place != PAUSE}
    tree["mounts"] = [mount for mount in tree.get("mounts") or () if mount.get("destination") not in places]
    return config.replace(spec=tree, named_volumes=(), overlay_volumes=(), image_volumes=())


def _pause_program(runtime: Runtime) -> str:
    from wherry.config.helpers import find

    program = find(runtime.settings, "catatonit")
    if not program:
        raise Unavailable(
            'finding pause binary: could not find "catatonit"',
            hint="install catatonit, name an image with --infra-image, or do without with --infra=false",
        )
    return program


def _pause_root(runtime: Runtime) -> str:
    """The root file system all infra containers share: nothing but the places where something is mounted.

    Files among them too: the OCI runtime of one with a user namespace of its own may not make them here.
    """
    from wherry.sys.files import make_dirs

    root = f"{runtime.paths.state_dir}/infra/rootfs"
    try:
        make_dirs(os.path.dirname(root))
        for name in ("dev", "etc", "proc", "run", "sys", "tmp"):
            make_dirs(f"{root}/{name}", 0o755)
        for name in _MOUNTED_FILES:
            os.close(os.open(root + name, os.O_CREAT | os.O_RDONLY | os.O_CLOEXEC, 0o755))
    except OSError as error:
        raise from_os_error(error, "making the root file system of infra containers") from None
    return root


def _write_id_file(runtime: Runtime, pod: PodConfig, path: str) -> None:
    from wherry.engine.pod_remove import remove

    try:
        with open(path, "w", encoding="ascii") as file:
            file.write(pod.id)
    except OSError as error:
        remove(runtime, pod.id, force=True)
        raise from_os_error(error, "failed to write pod ID to file") from None
