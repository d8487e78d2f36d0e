"""``--pod``: what a container takes over from the pod it is created in."""

from __future__ import annotations

from wherry.engine import create as containers
from wherry.errors import InvalidArgument, StateError
from wherry.model import status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.engine.runtime import Runtime
    from wherry.model.container import ContainerConfig
    from wherry.model.pod import PodConfig, PodState
    from wherry.registry.progress import Reporter
    from wherry.spec.container_spec import ContainerSpec

#: name of a shared namespace -> field of ContainerSpec
_FIELDS = {"ipc": "ipc", "pid": "pid", "uts": "uts", "cgroup": "cgroupns"}
_POD = "pod"


def create_member(runtime: Runtime, spec: ContainerSpec, reporter: Reporter | None) -> ContainerConfig:
    """Create a container in the pod *spec* names; ``new:NAME`` makes the pod, and takes it back on failure."""
    text = _pod_text(spec)
    made = ""
    if text.startswith("new:"):
        made, spec = _new_pod(runtime, text.removeprefix("new:"), spec)
    identity = made or runtime.state.pod_id(text, runtime.settings.options.namespace)
    try:
        pod, state = runtime.state.pod(identity)
        _check_init(runtime, spec, state)
        inner, fields = joined(runtime, spec, pod, state)
        return containers.create(runtime, inner, reporter, fields)
    except BaseException:
        if made:
            from wherry.engine.pod_remove import remove

            remove(runtime, made, force=True)
        raise


def _pod_text(spec: ContainerSpec) -> str:
    if not spec.pod_id_file:
        return spec.pod or ""
    from wherry.sys.files import try_read_text

    text = (try_read_text(spec.pod_id_file) or "").strip()
    if not text:
        raise InvalidArgument(f"reading pod ID file: open {spec.pod_id_file}: no such file or directory")
    return text.splitlines()[0]


def _new_pod(runtime: Runtime, name: str, spec: ContainerSpec) -> tuple[str, ContainerSpec]:
    """Make the pod; what concerns its network moves from the container's request to the pod's."""
    from wherry.engine.pod_create import create
    from wherry.spec.container_spec import ContainerSpec as Inner
    from wherry.spec.pod_spec import PodSpec

    if not name:
        raise InvalidArgument("new pod name must be at least one character")
    moved = (
        "network", "ports", "publish_all", "expose", "hostname", "dns", "dns_options", "dns_search", "hosts",
        "no_hosts", "ip", "ip6", "mac_address", "network_aliases",
    )
    values = {field: getattr(spec, field) for field in moved if getattr(spec, field) is not None}
    pod = create(runtime, PodSpec(
        name=name, container=Inner(userns=spec.userns, **values), create_command=spec.create_command or (),
    ))
    return pod.id, spec.replace(userns=None, **dict.fromkeys(values))


def joined(
    runtime: Runtime, spec: ContainerSpec, pod: PodConfig, state: PodState
) -> tuple[ContainerSpec, dict[str, Any]]:
    """The request with the pod's namespaces, and the fields of the configuration that make it a member."""
    changes: dict[str, Any] = {"pod": None, "pod_id_file": None}
    if state.infra_id:
        changes.update(_namespaces(spec, pod, state))
        changes.update(_volumes(runtime, spec, state))
        changes.update(_devices(runtime, spec, state))
    if spec.restart is None and pod.restart_policy and not spec.init_container:
        from wherry.spec.container_spec import RestartRequest

        changes["restart"] = RestartRequest(policy=pod.restart_policy, retries=pod.restart_retries)
    fields: dict[str, Any] = {"pod": pod.id}
    if pod.uses_pod_cgroup and state.cgroup_path and spec.cgroup_parent is None and spec.cgroups != "disabled":
        fields["cgroup_parent"] = state.cgroup_path
    return spec.replace(**changes), fields


def _check_init(runtime: Runtime, spec: ContainerSpec, state: PodState) -> None:
    if not spec.init_container or not state.infra_id:
        return
    if runtime.state.container_state(state.infra_id).status == status.RUNNING:
        raise StateError("cannot add init-ctr to a running pod")


def _namespaces(spec: ContainerSpec, pod: PodConfig, state: PodState) -> dict[str, Any]:
    from wherry.spec.container_spec import NetworkRequest

    join = f"container:{state.infra_id}"
    found: dict[str, Any] = {}
    for name, field in _FIELDS.items():
        asked = getattr(spec, field)
        if asked == _POD or (asked is None and name in pod.shares):
            found[field] = join
    if found.get("uts") and spec.hostname:
        raise InvalidArgument(
            "invalid config provided: cannot set hostname when joining the pod UTS namespace: invalid configuration"
        )
    if "user" in pod.shares:
        if spec.userns not in (None, _POD, "host"):
            raise InvalidArgument(
                "cannot set user namespace mode when joining pod with infra container: invalid argument"
            )
        found["userns"] = join
    network = spec.network
    if "net" not in pod.shares and (network is None or network.mode != _POD):
        return found
    if network is None or network.mode == _POD:
        if spec.ports or spec.publish_all:
            raise InvalidArgument(
                "invalid config provided: published or exposed ports must be defined when the pod is created: "
                "network cannot be configured when it is shared with a pod"
            )
        if spec.dns or spec.dns_options or spec.dns_search or spec.hosts:
            raise InvalidArgument(
                "invalid config provided: extra host entries and DNS options must be specified on the pod: "
                "network cannot be configured when it is shared with a pod"
            )
        found["network"] = NetworkRequest(mode=join)
    return found


def _devices(runtime: Runtime, spec: ContainerSpec, state: PodState) -> dict[str, Any]:
    """Devices of the pod are those of its infra container."""
    from wherry.spec.container_spec import DeviceRequest

    given = runtime.state.container_config(state.infra_id).device_host_src
    if not given:
        return {}
    own = [
        DeviceRequest(
            host=device["path"], container=device.get("containerPath") or device["path"],
            permissions=device.get("permissions") or "rwm", text=device["path"],
        )
        for device in given
    ]
    return {"devices": [*own, *(spec.devices or ())]}


def _volumes(runtime: Runtime, spec: ContainerSpec, state: PodState) -> dict[str, Any]:
    """Volumes of the pod are those of its infra container."""
    infra = runtime.state.container_config(state.infra_id)
    own = [place for place in infra.user_volumes if place != "/catatonit"]
    if not own:
        return {}
    return {"volumes_from": [*(spec.volumes_from or ()), state.infra_id]}
