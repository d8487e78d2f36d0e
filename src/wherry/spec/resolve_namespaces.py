"""Namespaces and the host name."""

from __future__ import annotations

from wherry.errors import InvalidArgument, NotFound
from wherry.model.container import IDMappings
from wherry.spec.parse_namespaces import ipc_namespace, namespace, user_namespace
from wherry.spec.resolve_inputs import Mode, Namespaces

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.spec.container_spec import NetworkRequest
    from wherry.spec.resolve_inputs import Inputs

_INVALID = "invalid configuration"
#: OCI namespace type of each of ours, in the order libpod's specifications have them
TYPES = (("pid", "pid"), ("net", "network"), ("ipc", "ipc"), ("uts", "uts"))


def decide(inputs: Inputs, network: NetworkRequest) -> Namespaces:
    """The mode of every namespace: what was asked, else what the settings say."""
    spec, conf = inputs.spec, inputs.settings.containers
    return Namespaces(
        pid=_mode(inputs, "pid", spec.pid or namespace(conf.pidns)),
        ipc=_mode(inputs, "ipc", spec.ipc or ipc_namespace(conf.ipcns)),
        uts=_mode(inputs, "uts", spec.uts or namespace(conf.utsns)),
        user=_mode(inputs, "user", _user_text(inputs)),
        cgroup=_mode(inputs, "cgroup", spec.cgroupns or _default_cgroup(inputs)),
        net=_mode(inputs, "net", network.mode),
    )


def _user_text(inputs: Inputs) -> str:
    spec = inputs.spec
    if spec.uid_map or spec.gid_map or spec.sub_uid_name or spec.sub_gid_name:
        return "private"
    return spec.userns or user_namespace(inputs.settings.environment.userns or inputs.settings.containers.userns)


def _default_cgroup(inputs: Inputs) -> str:
    """Version 1 hierarchies are shared with the host: their cgroup namespace hides nothing a mount does not show."""
    if not inputs.host.unified:
        return "host"
    return namespace(inputs.settings.containers.cgroupns)


def _mode(inputs: Inputs, which: str, text: str) -> Mode:
    kind, _, value = text.partition(":")
    if kind == "ns":
        if not inputs.lookup.exists(value):
            name = {"pid": "PID", "ipc": "IPC", "uts": "UTS", "net": "network"}.get(which, which)
            raise InvalidArgument(
                f"cannot find specified {name} namespace path: faccessat {value}: no such file or directory"
            )
        return Mode(kind="path", value=value)
    if kind == "pod":
        raise InvalidArgument(
            "cannot use pod namespace as container is not joining a pod or pod has no infra container: "
            "invalid argument"
        )
    if kind != "container":
        return Mode(kind=kind, value=value)
    try:
        other = inputs.lookup.container(value)
    except NotFound as error:
        raise type(error)(f"looking up container to share {which} namespace with: {error}") from None
    if inputs.host.rootless and which != "user" and _is_host(other.spec, which):
        return Mode(kind="host")        # a rootless user cannot setns into a namespace of the host
    if which == "ipc" and other.no_shm_share:
        raise InvalidArgument(
            f"joining IPC of container {other.id} is not allowed: non-shareable IPC "
            "(hint: use IpcMode:shareable for the donor container)"
        )
    return Mode(kind="container", value=value, container=other)


def _is_host(spec: Any, which: str) -> bool:
    kind = "network" if which == "net" else which
    return all(entry.get("type") != kind for entry in (spec.get("linux") or {}).get("namespaces") or ())


def validate(inputs: Inputs) -> None:
    """What the request and the namespaces contradict in each other."""
    spec, modes = inputs.spec, inputs.namespaces
    if spec.hostname and modes.uts.kind != "private":
        which = "joining the pod" if modes.uts.kind == "pod" else "running in the host"
        raise InvalidArgument(
            f"invalid config provided: cannot set hostname when {which} UTS namespace: {_INVALID}"
        )
    if spec.shm_size is not None and modes.ipc.kind in ("host", "none"):
        raise InvalidArgument(
            f"invalid config provided: cannot set shmsize when running in the {modes.ipc.kind} IPC Namespace"
        )
    if modes.net.kind == "pasta" and not inputs.host.rootless:
        raise InvalidArgument(
            "invalid config provided: pasta networking is only supported for rootless mode or when inside a nested "
            "userns"
        )
    if spec.cgroups == "disabled" and modes.pid.kind != "private":
        raise InvalidArgument(
            "containers not creating Cgroups must create a private PID namespace: invalid argument"
        )


def entries(inputs: Inputs) -> list[dict[str, Any]]:
    """``linux.namespaces``. One that joins a container has no path yet: it is known when that container runs."""
    modes = inputs.namespaces
    out: list[dict[str, Any]] = []
    for name, kind in TYPES:
        mode: Mode = getattr(modes, name)
        if mode.kind == "host":
            continue
        out.append({"type": kind, "path": mode.value} if mode.kind == "path" else {"type": kind})
    out.append({"type": "mount"})
    if modes.user.kind == "path":
        out.append({"type": "user", "path": modes.user.value})
    elif modes.user.kind in ("private", "keep-id", "nomap", "auto"):
        out.append({"type": "user"})
    if modes.cgroup.kind == "path":
        out.append({"type": "cgroup", "path": modes.cgroup.value})
    elif modes.cgroup.kind == "private":
        out.append({"type": "cgroup"})
    return out


def hostname(inputs: Inputs) -> str:
    """``hostname`` of the base specification; empty leaves the choice (name or short id) to the start."""
    spec, modes = inputs.spec, inputs.namespaces
    if spec.hostname:
        return spec.hostname
    if modes.uts.container is not None:
        shared: str = modes.uts.container.spec.get("hostname") or modes.uts.container.id[:12]
        return shared
    if modes.net.kind == "host" and modes.uts.kind != "host":
        return inputs.host.hostname
    return ""


class UserNamespace:
    """The id maps of the container and, for keep-id, who it runs as."""

    __slots__ = ("current_user_entry", "mappings", "user")

    def __init__(self, mappings: IDMappings, user: str = "", current_user_entry: bool = False) -> None:
        self.mappings = mappings
        self.user = user                                    # "uid:gid" when keep-id decides it
        self.current_user_entry = current_user_entry        # the caller gets a line in /etc/passwd


def user_namespace_of(inputs: Inputs) -> UserNamespace:
    """The id maps the user namespace mode asks for."""
    mode = inputs.namespaces.user
    if mode.container is not None:
        return UserNamespace(mode.container.id_mappings)
    if mode.kind in ("host", "path", "pod"):
        return UserNamespace(IDMappings())
    from wherry.spec.resolve_users import user_namespace

    return user_namespace(inputs)
