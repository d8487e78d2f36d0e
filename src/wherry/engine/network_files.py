"""hosts, resolv.conf and hostname of one container: written before it starts, completed once addresses are known.

A container in another's network namespace uses that one's hosts and resolv.conf, and has a line in the former while it
runs.
"""

from __future__ import annotations

import os

from wherry.model import status as states
from wherry.model.record import EMPTY
from wherry.sys.files import try_read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from wherry.engine.locked import LockedContainer
    from wherry.engine.runtime import Runtime
    from wherry.model.container import ContainerConfig
    from wherry.model.network import NetworkStatus

HOSTS = "/etc/hosts"
RESOLV = "/etc/resolv.conf"
HOSTNAME = "/etc/hostname"
#: What a sharer's line in its owner's hosts file begins with.
_SHARER = "127.0.0.1\t"


def write(held: LockedContainer, run_dir: str, root: str) -> dict[str, str]:
    """Write the files; returns destination in the container -> file on the host.

    The hosts file is written again by :func:`complete` once addresses are known: a bind mount shows that.  *root* is
    where the container's root is mounted.
    """
    config = held.config
    files: dict[str, str] = {}
    if config.net_ns_ctr:
        files = _shared(held)
    else:
        # Without a network nobody can be asked for a name.
        if not config.use_image_resolv_conf and config.network_mode != "none":
            files[RESOLV] = _write(f"{run_dir}/resolv.conf", _resolv_text(held, EMPTY))
        if not config.use_image_hosts:
            files[HOSTS] = _write(f"{run_dir}/hosts", _hosts_text(held, EMPTY, root))
    if not config.use_image_hostname:
        files[HOSTNAME] = _write(f"{run_dir}/hostname", hostname(held.runtime, config) + "\n")
    return files


def complete(held: LockedContainer) -> None:
    """Write addresses into the hosts file, and name servers that attaching gave into resolv.conf."""
    files = held.state.bind_mounts
    status = held.state.network_status
    if HOSTS in files:
        lines = _sharers(held)
        _write(files[HOSTS], _hosts_text(held, status, held.state.mount_point) + "".join(lines))
    if RESOLV in files and any(block.dns_server_ips for block in status.values()):
        _write(files[RESOLV], _resolv_text(held, status))


def refresh(held: LockedContainer) -> None:
    """The networks of a running container changed: write both files again."""
    complete(held)
    files = held.state.bind_mounts
    if RESOLV in files:
        _write(files[RESOLV], _resolv_text(held, held.state.network_status))


def leave(held: LockedContainer) -> None:
    """Take the line of a container that stopped out of the hosts file it shared."""
    path = held.state.bind_mounts.get(HOSTS, "") if held.config.net_ns_ctr else ""
    text = try_read_text(path) if path else None
    line = sharer_line(held.runtime, held.config)
    if text is not None and line in text:
        _write(path, text.replace(line, "", 1))


def _shared(held: LockedContainer) -> dict[str, str]:
    """The files of the container whose network namespace is joined; the one that joins gets a line among its hosts."""
    other = held.runtime.state.container_state(held.config.net_ns_ctr)
    files = {name: other.bind_mounts[name] for name in (RESOLV, HOSTS) if name in other.bind_mounts}
    if HOSTS in files:
        text = try_read_text(files[HOSTS]) or ""
        line = sharer_line(held.runtime, held.config)
        if line not in text:
            _write(files[HOSTS], text + line)
    return files


def _sharers(held: LockedContainer) -> list[str]:
    """The lines of the running containers that joined this one's network namespace."""
    state = held.runtime.state
    found = []
    for identity in state.dependents(held.id):
        config, other = state.container(identity)
        if config.net_ns_ctr == held.id and other.status in states.ALIVE:
            found.append(sharer_line(held.runtime, config))
    return found


def sharer_line(runtime: Runtime, config: ContainerConfig) -> str:
    """How a container in another's network namespace is found by name: it is on the same loopback."""
    return f"{_SHARER}{' '.join(dict.fromkeys([hostname(runtime, config), config.name]))}\n"


def hostname(runtime: Runtime, config: ContainerConfig) -> str:
    """The name the container sees as its host's."""
    from wherry.spec.compile import hostname as own

    host = os.uname().nodename
    shared = own(runtime.state.container_config(config.uts_ns_ctr), host=host) if config.uts_ns_ctr else ""
    by_name = runtime.settings.containers.container_name_as_hostname
    return own(config, host=host, shared=shared, name_as_hostname=by_name)


def _resolv_text(held: LockedContainer, status: Mapping[str, NetworkStatus]) -> str:
    from wherry.network.resolv import resolv_text

    config = held.config
    return resolv_text(
        config=(config.dns_servers, config.dns_search, config.dns_options),
        network_servers=[ip for block in status.values() for ip in block.dns_server_ips],
        network_search=[name for block in status.values() for name in block.dns_search_domains],
        private_namespace=config.network_mode not in ("host", ""),
        has_ipv6=_has_ipv6(status),
    )


def _hosts_text(held: LockedContainer, status: Mapping[str, NetworkStatus], root: str) -> str:
    from wherry.network.hosts import hosts_text

    config, settings = held.config, held.runtime.settings.containers
    mode = config.network_mode or "host"
    return hosts_text(
        base=_base_hosts(config.base_hosts_file or settings.base_hosts_file, root),
        additions=config.hosts_add,
        names=list(dict.fromkeys([hostname(held.runtime, config), config.name])),
        status=status,
        network_mode=mode,
        host=settings.host_containers_internal_ip or _host_address(held, status, mode),
    )


def _host_address(held: LockedContainer, status: Mapping[str, NetworkStatus], mode: str) -> str:
    """Where the container finds the host: at the gateway of its first bridge, else at an address the host has."""
    from wherry.network.hosts import gateway, local_address

    if mode == "host":
        return ""
    if mode == "bridge":
        if not status:
            return ""       # completed once there are addresses
        definitions = held.runtime.networking.definitions
        bridges = {name: block for name, block in status.items() if definitions.driver_of(name) == "bridge"}
        found = gateway(bridges)
        if found:
            return found
    elif mode == "pasta":
        return gateway(status) or local_address()
    return local_address()


def _has_ipv6(status: Mapping[str, NetworkStatus]) -> bool:
    return not status or any(
        ":" in address.ipnet
        for block in status.values()
        for interface in block.interfaces.values()
        for address in interface.subnets
    )


def _base_hosts(choice: str, root: str) -> str:
    """Text of the base hosts file: the host's by default, the image's, another file, or nothing."""
    if choice == "none":
        return ""
    if choice == "image":
        from wherry.engine.rootfs_files import read_text

        return read_text(root, "etc/hosts")
    text = try_read_text(choice or HOSTS)
    if text is None and choice:
        from wherry.errors import NotFound

        raise NotFound(f"failed to create new hosts file: open {choice}: no such file or directory")
    return text or ""


def _write(path: str, text: str) -> str:
    """Write in place: the file may be bind-mounted in a running container, so it must stay the same inode."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
    return path
