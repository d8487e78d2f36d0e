"""What a container's configuration refers to, without repetition and in a fixed order."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.model.container import ContainerConfig


def dependencies_of(config: ContainerConfig) -> list[str]:
    """Ids of the containers it cannot run without: those whose namespaces it shares and those it requires."""
    found = {
        config.ipc_ns_ctr, config.mount_ns_ctr, config.net_ns_ctr, config.pid_ns_ctr, config.user_ns_ctr,
        config.uts_ns_ctr, config.cgroup_ns_ctr, *config.dependencies,
    }
    found.discard("")
    return sorted(found)


def volumes_of(config: ContainerConfig) -> list[str]:
    """Names of the volumes it uses; one may be mounted at several places."""
    return sorted({volume.name for volume in config.named_volumes})
