"""The engine's side of networks: namespaces, attachment and ports of one container."""

from __future__ import annotations

from wherry.errors import WherryError
from wherry.sys import log
from wherry.sys.files import make_dirs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from wherry.engine.locked import LockedContainer
    from wherry.engine.runtime import Runtime
    from wherry.model.network import NetworkStatus
    from wherry.network.definitions import Definitions
    from wherry.network.ports import PortUse
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

    def _driver_for(self, networks: Iterable[str]) -> Driver:
        """The driver to attach a container with: only netavark gets addresses by DHCP."""
        if self.driver.name != "netavark":
            for name in networks:
                if self.definitions.get(name).ipam_options.get("driver") == "dhcp":
                    from wherry.network.choose import named

                    return named("netavark", self._runtime.settings, self._runtime.paths.networks)
        return self.driver

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
        return self._begin(held)

    def begin_in(self, held: LockedContainer, pid: int) -> Pending | None:
        """:meth:`begin` for the network namespace the OCI runtime has made around *pid*, which is kept by its path."""
        from wherry.sys.namespaces import keep_netns

        path = self.namespace_path(held.id)
        make_dirs(self._runtime.paths.net_namespaces)
        keep_netns(pid, path)
        held.state.net_ns = path
        return self._begin(held)

    def _begin(self, held: LockedContainer) -> Pending | None:
        mode = held.config.network_mode
        if not held.config.networks and mode not in _USER_MODES:
            return None
        request = self._request(held)
        if mode in _USER_MODES:
            pending: Pending = self._user_mode().begin(request, mode, held.config.network_options)
        else:
            driver = self._driver_for(held.config.networks)
            pending = driver.begin(request)
            if driver.lost_rules:
                self._reload_others()
        held.state.port_mappings = request.port_mappings
        return pending

    def _reload_others(self) -> None:
        """Let another process bring back the rules of running containers: it waits for the lock of each."""
        from wherry.engine.exit_command import global_words
        from wherry.network.child import start_unattended
        from wherry.sys.program import command

        log.warning("the firewall rules of running containers are gone and are being made again")
        start_unattended([*command(), *global_words(self._runtime), "network", "reload", "--all"])

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

    def _ports_in_use(self) -> PortUse:
        """The published ports of this engine's living containers."""
        from wherry.network.ports import PortUse

        return PortUse(mapping for row in self._runtime.state.container_rows(all=False) for mapping in row.ports)

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
        from wherry.engine.network_files import refresh

        held.state.network_status = status
        held.save()
        refresh(held)

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
