"""What contradicts itself in a request, whichever way the request came: the rules that need no host and no image."""

from __future__ import annotations

from wherry.errors import InvalidArgument
from wherry.model.ids import is_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.spec.container_spec import ContainerSpec, MountRequest, NetworkRequest

_INVALID = "invalid argument"


def check(spec: ContainerSpec) -> None:
    """Raise :class:`InvalidArgument` for the first contradiction, in Podman's words."""
    _check_identity(spec)
    _check_life(spec)
    _check_health(spec)
    _check_resources(spec)
    _check_network(spec)
    if spec.mounts:
        _check_mounts(spec)


def _check_identity(spec: ContainerSpec) -> None:
    if spec.name and not is_name(spec.name):
        raise InvalidArgument(
            f"running container create option: names must match [a-zA-Z0-9][a-zA-Z0-9_.-]*: {_INVALID}"
        )
    if spec.replace_existing and not spec.name:
        raise InvalidArgument("cannot replace container without --name being set")
    if spec.pod and spec.pod_id_file:
        raise InvalidArgument("cannot specify both --pod and --pod-id-file")
    if spec.init_container and not (spec.pod or spec.pod_id_file):
        raise InvalidArgument("must specify pod value with init-ctr")
    if spec.platform and (spec.arch or spec.os):
        raise InvalidArgument("--platform option can not be specified with --arch or --os")
    maps = spec.uid_map or spec.gid_map or spec.sub_uid_name or spec.sub_gid_name
    if maps and spec.userns is not None:
        raise InvalidArgument("--userns and --uidmap/--gidmap/--subuidname/--subgidname are mutually exclusive")


def _check_life(spec: ContainerSpec) -> None:
    if spec.remove and spec.restart and spec.restart.policy not in ("", "no", "on-failure"):
        raise InvalidArgument('the --rm option conflicts with --restart, when the restartPolicy is not "" and "no"')
    if spec.preserve_fds and spec.preserve_fd is not None:
        raise InvalidArgument("cannot specify both --preserve-fds and --preserve-fd")
    if spec.remove_image and spec.rootfs:
        raise InvalidArgument(f"autoremoving image is not possible when a rootfs is in use: {_INVALID}")


def _check_health(spec: ContainerSpec) -> None:
    if spec.health_disabled and spec.health_command:
        raise InvalidArgument("cannot specify both --no-healthcheck and --health-cmd")
    if spec.health_disabled and spec.startup_command:
        raise InvalidArgument("cannot specify both --no-healthcheck and --health-startup-cmd")
    if spec.health_command and spec.health_retries is not None and spec.health_retries < 1:
        raise InvalidArgument("healthcheck-retries must be greater than 0")


def _check_resources(spec: ContainerSpec) -> None:
    if spec.cpus is not None and spec.cpu_period is not None:
        raise InvalidArgument("--cpu-period and --cpus cannot be set together")
    if spec.cpus is not None and spec.cpu_quota is not None:
        raise InvalidArgument("--cpu-quota and --cpus cannot be set together")
    if spec.cgroup_parent and spec.cgroups == "split":
        raise InvalidArgument(f"cannot specify --cgroup-mode=split with a cgroup-parent: {_INVALID}")
    if spec.cgroup_parent and spec.cgroups == "disabled":
        raise InvalidArgument(f"cannot set cgroup parent if not creating cgroups: {_INVALID}")


def _check_network(spec: ContainerSpec) -> None:
    if spec.no_hosts and spec.hosts:
        raise InvalidArgument("--no-hosts and --add-host cannot be set together")
    if spec.no_hosts and spec.hosts_file is not None:
        raise InvalidArgument("--no-hosts and --hosts-file cannot be set together")
    if spec.dns == ["none"]:
        for option, value in (("DNSSearch", spec.dns_search), ("DNSOption", spec.dns_options)):
            if value:
                raise InvalidArgument(
                    f"invalid config provided: UseImageResolvConf and {option} are mutually exclusive options"
                )
    if spec.network is not None:
        _check_mode(spec, spec.network)


def _check_mode(spec: ContainerSpec, network: NetworkRequest) -> None:
    kind = network.mode.partition(":")[0]
    if kind in ("none", "container") and (spec.dns or spec.dns_options or spec.dns_search):
        raise InvalidArgument(f"conflicting options: dns and the network mode: {kind}")
    if kind == "container" and spec.hosts:
        raise InvalidArgument(
            "invalid config provided: cannot set extra host entries when the container is joined to another "
            "containers network namespace: invalid configuration"
        )
    wishes = (("ip", spec.ip), ("ip6", spec.ip6), ("mac-address", spec.mac_address))
    for flag, value in (*wishes, ("network-alias", spec.network_aliases)):
        if value and kind not in ("bridge", "private"):
            raise InvalidArgument(f"--{flag} can only be set when the network mode is bridge: {_INVALID}")
    for flag, value in wishes:
        if value and len(network.networks) > 1:
            raise InvalidArgument(f"--{flag} can only be set for a single network: {_INVALID}")


def _check_mounts(spec: ContainerSpec) -> None:
    """Two things at one place are an error unless they are the same, or ``--tmpfs`` repeats ``--mount type=tmpfs``."""
    from wherry.spec.mount_options import DUPLICATE
    from wherry.spec.parse_mounts import same

    known: dict[str, MountRequest] = {}
    for request in spec.mounts or ():
        if request.type == "glob":
            continue
        other = known.setdefault(request.destination, request)
        if other is request or same(other, request) or (other.type == request.type == "tmpfs"):
            continue
        raise InvalidArgument(f"{request.destination}: {DUPLICATE}")
