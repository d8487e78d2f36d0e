"""Pods: configuration and state (libpod ``PodConfig``, ``podState``)."""

from __future__ import annotations

from wherry.model.record import EMPTY, Record, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any


class PodConfig(Record):
    id: str = ""
    name: str = ""
    namespace: str = ""
    hostname: str = ""
    labels: Mapping[str, str] = EMPTY
    cgroup_parent: str = field(default="", key="cgroupParent")
    uses_pod_cgroup: bool = field(default=False, key="usePodCgroup")
    shares: Sequence[str] = field(default=(), key="sharedNamespaces")     # ipc net uts pid cgroup user mnt
    has_infra: bool = field(default=False, key="hasInfra")
    created_time: str = field(default="", key="created")
    create_command: Sequence[str] = field(default=(), key="CreateCommand")
    exit_policy: str = field(default="continue", key="exitPolicy")
    restart_policy: str = field(default="", key="RestartPolicy")
    restart_retries: int = field(default=0, key="RestartRetries")
    resources: Mapping[str, Any] = field(default=EMPTY, key="resourceLimits")


class PodState(Record, mutable=True):
    cgroup_path: str = field(default="", key="cgroupPath")
    infra_id: str = field(default="", key="infraID")
