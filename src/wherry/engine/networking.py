"""The engine's side of networks: namespaces, attachment, ports and name resolution files of one container."""

from __future__ import annotations

import os

from wherry.errors import WherryError
from wherry.model.record import EMPTY
from wherry.sys import log
from wherry.sys.files import make_dirs, try_read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from wherry.engine.locked import LockedContainer
    from wherry.engine.runtime import Runtime
    from wherry.model.network import NetworkStatus
    from wherry.network.definitions import Definitions
    from wherry.network.protocol import AttachRequest, Driver, Pending
    from wherry.network.usermode import UserMode

#: Network modes that are a process of their own.
_USER_MODES = ("pasta", "slirp4netns")


class Networking:
    """Makes and takes away what connects containers; one per runtime."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._driver: Driver | None = None
        self._definitions: Definitions | None = None

    @property
    def driver(self) -> Driver:
        if self._driver is None:
            from wherry.network.choose import choose

            self._driver = choose(self._runtime.settings, self._runtime.paths.networks)
        return self._driver

    @property
    def definitions(self) -> Definitions:
        """The networks that are defined."""
        if self._definitions is None:
            from wherry.network.definitions import Definitions

            network = self._runtime.settings.network
            self._definitions = Definitions(
                network.network_config_dir, network.default_network, network.default_subnet
            )
        return self._definitions

    def driver_of(self, identity: str) -> Driver:
        """The driver that attached a container, whatever is configured by now; the configured one if none did."""
        backend = self.driver.backend_of(identity)
        if backend in ("", self.driver.name):
            return self.driver
        from wherry.network.choose import named

        return named(backend, self._runtime.settings, self._runtime.paths.networks)

    # -- namespace and attachment --------------------------------------------------------------------------------

    def namespace_path(self, identity: str) -> str:
        return f"{self._runtime.paths.net_namespaces}/{identity}"

    def begin(self, held: LockedContainer) -> Pending | None:
        """Make the network namespace and begin attaching it; the result is waited for with ``result()``.

        Attaching takes as long as creating the container in the OCI runtime, so both run at the same time.  Returns
        None when there is nothing to attach (a namespace with loopback only).
        """
        from wherry.sys.namespaces import create_netns

        path = self.namespace_path(held.id)
        make_dirs(self._runtime.paths.net_namespaces)
        create_netns(path)
        held.state.net_ns = path
        mode = held.config.network_mode
        if not held.config.networks and mode not in _USER_MODES:
            return None
        request = self._request(held)
        if mode in _USER_MODES:
            pending: Pending = self._user_mode().begin(request, mode, held.config.network_options)
        else:
            pending = self.driver.begin(request)
        held.state.port_mappings = request.port_mappings
        return pending

    def _request(self, held: LockedContainer) -> AttachRequest:
        from wherry.network.ports import allocate
        from wherry.network.protocol import AttachRequest

        config = held.config
        return AttachRequest(
            container_id=held.id,
            container_name=config.name,
            net_ns=held.state.net_ns,
            networks=config.networks,
            port_mappings=allocate(config.port_mappings, self._ports_in_use()) if config.port_mappings else (),
            dns_servers=config.dns_servers,
            status=held.state.network_status,
        )

    def _ports_in_use(self) -> set[tuple[str, int]]:
        """(protocol, port) of every published port of this engine's living containers."""
        used: set[tuple[str, int]] = set()
        for row in self._runtime.state.container_rows(all=False):
            for mapping in row.ports:
                for protocol in mapping.protocol.split(","):
                    used.update((protocol, mapping.host_port + offset) for offset in range(mapping.range or 1))
        return used

    def detach(self, held: LockedContainer) -> None:
        """Take the network of a stopped container away; safe when it never came up or is half there."""
        from wherry.sys.namespaces import remove_netns

        path = held.state.net_ns or self.namespace_path(held.id)
        if held.config.network_mode in _USER_MODES:
            self._user_mode().stop(held.id)
        if held.config.networks:
            try:
                self.driver_of(held.id).detach(self._current(held))
            except WherryError as error:
                log.error(f"taking the network of container {held.id} down: {error}")
        remove_netns(path)
        held.state.net_ns = ""
        held.state.network_status = {}
        held.state.port_mappings = ()

    def _user_mode(self) -> UserMode:
        from wherry.network.usermode import UserMode

        return UserMode(self._runtime.settings, self._runtime.paths.networks)

    # -- running containers --------------------------------------------------------------------------------------

    def connect(self, held: LockedContainer, network: str) -> None:
        """Give a running container an interface on *network*, which its configuration has."""
        request = self._current(held)
        self._adopt(held, self.driver_of(held.id).connect(request, network))

    def disconnect(self, held: LockedContainer, network: str) -> None:
        """Take the interface on *network* from a running container."""
        self._adopt(held, self.driver_of(held.id).disconnect(self._current(held), network))

    def reload(self, held: LockedContainer) -> None:
        """Make rules and names of a running container again."""
        self._adopt(held, self.driver_of(held.id).reload(self._current(held)))

    def _adopt(self, held: LockedContainer, status: Mapping[str, NetworkStatus]) -> None:
        """Store what networks a running container has now, and show it in its files."""
        held.state.network_status = status
        held.save()
        files = held.state.bind_mounts
        if "/etc/hosts" in files:
            _write(files["/etc/hosts"], self._hosts_text(held, status))
        if "/etc/resolv.conf" in files:
            _write(files["/etc/resolv.conf"], self._resolv_text(held, status))

    def _current(self, held: LockedContainer) -> AttachRequest:
        """The attachment of a container as it is."""
        from wherry.network.protocol import AttachRequest

        return AttachRequest(
            container_id=held.id,
            container_name=held.config.name,
            net_ns=held.state.net_ns or self.namespace_path(held.id),
            networks=held.config.networks,
            port_mappings=held.state.port_mappings,
            dns_servers=held.config.dns_servers,
            status=held.state.network_status,
        )

    def owner_namespace(self, identity: str) -> str:
        """Path of the network namespace of the running container *identity* (``--network container:``)."""
        state = self._runtime.state.container_state(identity)
        return state.net_ns or (f"/proc/{state.pid}/ns/net" if state.pid else "")

    # -- files ---------------------------------------------------------------------------------------------------

    def write_files(self, held: LockedContainer, run_dir: str) -> dict[str, str]:
        """Write hosts, resolv.conf and hostname files; returns destination in the container -> file on the host.

        The hosts file is written again by :meth:`update_hosts` once addresses are known: a bind mount shows that.
        """
        config = held.config
        files: dict[str, str] = {}
        shared = self._shared_files(held)
        if shared:
            return shared
        if not config.use_image_resolv_conf:
            files["/etc/resolv.conf"] = _write(f"{run_dir}/resolv.conf", self._resolv_text(held, EMPTY))
        if not config.use_image_hosts:
            files["/etc/hosts"] = _write(f"{run_dir}/hosts", self._hosts_text(held, EMPTY))
        if not config.use_image_hostname:
            hostname = held.config.spec.get("hostname") or os.uname().nodename
            files["/etc/hostname"] = _write(f"{run_dir}/hostname", hostname + "\n")
        return files

    def update_files(self, held: LockedContainer) -> None:
        """Write addresses into the hosts file, and name servers that attaching gave into resolv.conf."""
        files = held.state.bind_mounts
        status = held.state.network_status
        if "/etc/hosts" in files:
            _write(files["/etc/hosts"], self._hosts_text(held, status))
        if "/etc/resolv.conf" in files and any(block.dns_server_ips for block in status.values()):
            _write(files["/etc/resolv.conf"], self._resolv_text(held, status))

    def _shared_files(self, held: LockedContainer) -> dict[str, str]:
        """A container in another's network namespace uses that one's files."""
        config = held.config
        if not config.net_ns_ctr:
            return {}
        other = self._runtime.state.container_state(config.net_ns_ctr)
        names = ("/etc/resolv.conf", "/etc/hosts")
        return {name: other.bind_mounts[name] for name in names if name in other.bind_mounts}

    def _resolv_text(self, held: LockedContainer, status: Mapping[str, NetworkStatus]) -> str:
        from wherry.network.resolv import resolv_text

        config = held.config
        servers = [ip for block in status.values() for ip in block.dns_server_ips]
        domains = [name for block in status.values() for name in block.dns_search_domains]
        return resolv_text(
            config=(config.dns_servers, config.dns_search, config.dns_options),
            network_servers=servers,
            network_search=domains,
            private_namespace=config.network_mode not in ("host", ""),
            has_ipv6=_has_ipv6(status),
        )

    def _hosts_text(self, held: LockedContainer, status: Mapping[str, NetworkStatus]) -> str:
        from wherry.network.hosts import hosts_text

        config = held.config
        return hosts_text(
            base=_base_hosts(config.base_hosts_file or self._runtime.settings.containers.base_hosts_file),
            additions=config.hosts_add,
            names=[name for name in (config.spec.get("hostname") or "", config.name) if name],
            status=status,
            network_mode=config.network_mode,
            internal_ip=self._runtime.settings.containers.host_containers_internal_ip,
        )


def _has_ipv6(status: Mapping[str, NetworkStatus]) -> bool:
    return not status or any(
        ":" in address.ipnet
        for block in status.values()
        for interface in block.interfaces.values()
        for address in interface.subnets
    )


def _base_hosts(choice: str) -> str:
    """Text of the base hosts file: the host's by default, another file, or nothing."""
    if choice == "none":
        return ""
    return try_read_text(choice or "/etc/hosts") or ""


def _write(path: str, text: str) -> str:
    """Write in place: the file may be bind-mounted in a running container, so it must stay the same inode."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
    return path
