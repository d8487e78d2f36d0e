"""What was asked of a pod: its own options, and those of its infra container as a container specification."""

from __future__ import annotations

from wherry.errors import InvalidArgument
from wherry.model.record import EMPTY, Record
from wherry.spec.container_spec import ContainerSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wherry.spec.container_spec import RestartRequest

#: Namespaces a pod shares when nothing is said (podman-pod-create(1) ``--share``).
DEFAULT_SHARE = ("ipc", "net", "uts")
SHAREABLE = ("cgroup", "ipc", "net", "pid", "uts", "user", "mnt")
EXIT_POLICIES = ("continue", "stop")

#: Options of ``create`` that ``pod create`` has too: they shape the infra container, hence what members share.
CONTAINER_OPTIONS = (
    "add-host", "blkio-weight", "blkio-weight-device", "cgroup-parent", "cpu-shares", "cpus", "cpuset-cpus",
    "cpuset-mems", "device", "device-read-bps", "device-write-bps", "dns", "dns-option", "dns-search", "gidmap",
    "gpus", "hostname", "hosts-file", "ip", "ip6", "label", "label-file", "mac-address", "memory", "memory-swap",
    "network", "network-alias", "no-hostname", "no-hosts", "pid", "publish", "restart", "security-opt", "shm-size",
    "shm-size-systemd", "subgidname", "subuidname", "sysctl", "uidmap", "userns", "uts", "volume", "volumes-from",
)

#: Those that ``pod clone`` has.
CLONE_OPTIONS = (
    "blkio-weight", "blkio-weight-device", "cgroup-parent", "cpu-shares", "cpus", "cpuset-cpus", "cpuset-mems",
    "device", "device-read-bps", "device-write-bps", "gidmap", "gpus", "hostname", "label", "label-file", "memory",
    "memory-swap", "pid", "restart", "security-opt", "shm-size", "shm-size-systemd", "subgidname", "subuidname",
    "sysctl", "uidmap", "userns", "uts", "volume", "volumes-from",
)


class PodSpec(Record):
    """``None`` means not given, which is not false."""

    name: str = ""
    container: ContainerSpec = ContainerSpec()      # namespaces, network, ports, hosts, resources, volumes, labels
    create_command: Sequence[str] = ()
    exit_policy: str | None = None
    infra: bool = True
    infra_command: Sequence[str] | None = None
    infra_image: str | None = None
    infra_name: str = ""
    infra_conmon_pid_file: str = ""
    pod_id_file: str = ""
    replace_existing: bool = False
    share: Sequence[str] | None = None
    share_parent: bool = True

    @property
    def labels(self) -> Mapping[str, str]:
        return self.container.labels or EMPTY

    @property
    def restart(self) -> RestartRequest | None:
        return self.container.restart


def share(text: str) -> list[str]:
    """``--share``: a comma-separated list, ``none``, or ``+`` and what is added to the usual ones.

    Raises ``InvalidArgument``.
    """
    words = text.split(",") if text else []
    found = list(DEFAULT_SHARE) if any(word.startswith("+") for word in words) else []
    for word in words:
        name = word.removeprefix("+")
        if name in ("", "none"):
            continue
        if name not in SHAREABLE:
            raise InvalidArgument(
                f"invalid kernel namespace to share: {name}. Options are: cgroup, ipc, net, pid, uts or none"
            )
        if name not in found:
            found.append(name)
    return found


def check(spec: PodSpec) -> None:
    """What contradicts itself. Raises ``InvalidArgument`` in Podman's words."""
    if spec.exit_policy is not None and spec.exit_policy not in EXIT_POLICIES:
        raise InvalidArgument(f'running pod create option: invalid pod exit policy: "{spec.exit_policy}"')
    if spec.replace_existing and not spec.name:
        raise InvalidArgument("cannot replace pod without --name being set")
    if spec.container.hostname and spec.container.uts == "host":
        raise InvalidArgument(
            "invalid config provided: cannot set hostname when running in the host UTS namespace: invalid configuration"
        )
    if not spec.infra:
        _check_without_infra(spec)


def _check_without_infra(spec: PodSpec) -> None:
    """What only an infra container can hold for the members."""
    inner = spec.container
    for name, value in (("infra-command", spec.infra_command), ("infra-image", spec.infra_image)):
        if value is not None:
            raise InvalidArgument(f"cannot set {name} without an infra container")
    if spec.share:
        raise InvalidArgument(f"cannot set share({','.join(spec.share)}) namespaces without an infra container")
    if inner.network is not None:
        raise InvalidArgument("NoInfra and network modes cannot be used together")
    if inner.ports:
        raise InvalidArgument("you must have an infra container to publish port bindings to the host")
    for name, given in (
        ("DNSServer", bool(inner.dns)), ("DNSSearch", bool(inner.dns_search)), ("DNSOption", bool(inner.dns_options)),
        ("HostAdd", bool(inner.hosts)), ("NoManageHosts", bool(inner.no_hosts)),
    ):
        if given:
            raise InvalidArgument(f"NoInfra and {name} are mutually exclusive pod options: invalid pod spec")


def wants_user_namespace(spec: ContainerSpec) -> bool:
    """Do the options of an infra container give it a user namespace, which its members join then?"""
    return bool(spec.uid_map or spec.gid_map or spec.sub_uid_name or spec.sub_gid_name) or (
        spec.userns not in (None, "", "host")
    )
