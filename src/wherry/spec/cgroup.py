"""Where a container's control group is, in the one place that decides it."""

from __future__ import annotations

import os.path

from wherry.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.model.container import ContainerConfig

#: parent of all containers' groups where wherry makes them itself
CGROUPFS_PARENT = "/wherry"
SYSTEMD_PARENT = "machine.slice"
SYSTEMD_ROOTLESS_PARENT = "user.slice"
#: prefix of the names systemd shows
SCOPE_PREFIX = "wherry"


def parent_of(manager: str, asked: str, mode: str, *, rootless: bool) -> str:
    """The parent group: what was *asked*, checked against the manager, or the default; empty with ``split``, without
    cgroups, and for rootless users of cgroupfs, who own no such group."""
    if mode == "disabled":
        return ""
    is_slice = os.path.basename(asked).endswith(".slice")
    if manager == "systemd":
        if asked and (len(asked) < 6 or not is_slice):
            raise InvalidArgument(
                "did not receive systemd slice as cgroup parent when using systemd to manage cgroups: invalid argument"
            )
        default = SYSTEMD_ROOTLESS_PARENT if rootless else SYSTEMD_PARENT
    elif manager == "cgroupfs":
        if is_slice:
            raise InvalidArgument("systemd slice received as cgroup parent when using cgroupfs: invalid argument")
        default = "" if rootless else CGROUPFS_PARENT
    else:
        raise InvalidArgument(
            f"unsupported Cgroup manager: {manager} - cannot validate cgroup parent: invalid argument"
        )
    if asked:
        return asked
    return "" if mode == "split" else default


def cgroups_path(config: ContainerConfig, *, own: str = "", rootless: bool = False) -> str:
    """``linux.cgroupsPath``: a path for cgroupfs, ``slice:prefix:name`` for systemd, empty for none.

    *own* is our own group, below which ``--cgroups=split`` puts the container.
    """
    if config.cgroups_mode == "disabled":
        return ""
    if config.cgroups_mode == "split":
        return f"{own.rstrip('/')}/{SCOPE_PREFIX}-payload-{config.id}"
    if config.cgroup_manager == "systemd":
        return f"{slice_of(config)}:{SCOPE_PREFIX}:{config.id}"
    if rootless and not config.cgroup_parent:
        return ""
    return f"{config.cgroup_parent.rstrip('/')}/ctr-{config.id}"


def slice_of(config: ContainerConfig) -> str:
    """The slice systemd puts the container's scopes in: the last part of the parent."""
    return os.path.basename(config.cgroup_parent)


def slice_path(name: str) -> str:
    """The control group of a slice: ``a-b.slice`` is in ``a.slice`` (systemd.slice(5))."""
    stem = name.removesuffix(".slice")
    if stem in ("", "-"):
        return ""
    parts = stem.split("-")
    return "".join(f"/{'-'.join(parts[:count])}.slice" for count in range(1, len(parts) + 1))


def actual_path(cgroups_path: str) -> str:
    """Where the group of ``linux.cgroupsPath`` is: systemd's ``slice:prefix:name`` is a scope in a slice."""
    if cgroups_path.startswith("/") or cgroups_path.count(":") != 2:
        return cgroups_path
    parent, prefix, name = cgroups_path.split(":")
    return f"{slice_path(parent)}/{prefix}-{name}.scope"
