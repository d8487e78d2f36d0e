"""The handle of one network."""

from __future__ import annotations

from wherry.errors import InUse, InvalidArgument, NoSuchContainer
from wherry.model.event import Event
from wherry.model.timestamps import now_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from wherry.engine.runtime import Runtime
    from wherry.model import network as model


class NetworkInUse(InUse):
    cause = "network is being used"


class Network:
    """A network of this engine. Attributes are a snapshot of its definition."""

    def __init__(self, runtime: Runtime, definition: model.Network) -> None:
        self._runtime = runtime
        self._definition = definition

    # -- identity ------------------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """64 hex digits."""
        return self._definition.id

    @property
    def name(self) -> str:
        return self._definition.name

    @property
    def driver(self) -> str:
        """bridge, macvlan or ipvlan."""
        return self._definition.driver

    @property
    def labels(self) -> Mapping[str, str]:
        return self._definition.labels

    @property
    def definition(self) -> model.Network:
        """Everything the definition's file says."""
        return self._definition

    def containers(self) -> list[str]:
        """Ids of the containers, running or not, that are connected to the network."""
        return self._runtime.state.network_users(self.name)

    # -- verbs ---------------------------------------------------------------------------------------------------

    def connect(
        self,
        container: str,
        *,
        aliases: Sequence[str] = (),
        ips: Sequence[str] = (),
        mac: str = "",
        interface_name: str = "",
    ) -> None:
        """Connect a container (name or id), running or not. Raises ``AlreadyExists`` when it is connected."""
        from wherry.engine.connections import connect
        from wherry.model.network import NetworkOptions

        options = NetworkOptions(
            static_ips=list(ips), aliases=list(aliases), static_mac=mac, interface_name=interface_name
        )
        connect(self._runtime, self._runtime.containers.get(container).id, self.name, options)

    def disconnect(self, container: str) -> None:
        """Disconnect a container (name or id). Raises ``InvalidArgument`` when it is not connected."""
        from wherry.engine.connections import disconnect

        identity = self._runtime.containers.get(container).id
        if identity not in self.containers():
            raise InvalidArgument(f"container {container} is not connected to network {self.name}")
        disconnect(self._runtime, identity, self.name)

    def update(self, *, add_dns: Sequence[str] = (), drop_dns: Sequence[str] = ()) -> None:
        """Change the name servers of the network. Raises ``InvalidArgument``."""
        check_servers(add_dns, "AddDNSServer")
        check_servers(drop_dns, "RemoveDNSServer")
        definitions = self._runtime.networking.definitions
        with definitions.lock().exclusive():
            definition = definitions.get(self.name)
            servers = [server for server in definition.network_dns_servers if server not in drop_dns]
            servers += [server for server in add_dns if server not in servers]
            self._definition = definition.replace(network_dns_servers=servers)
            definitions.save(self._definition)

    def remove(self, *, force: bool = False, timeout: int | None = None) -> None:
        """Remove the network; with *force* also the containers connected to it. Raises :class:`NetworkInUse`."""
        definitions = self._runtime.networking.definitions
        if self.name == definitions.default_name:
            raise InvalidArgument(f"default network {self.name} cannot be removed")
        users = self.containers()
        if users and not force:
            raise NetworkInUse(
                f'"{self.name}" has associated containers with it. Use -f to forcibly delete containers and pods'
            )
        for identity in users:
            from wherry.engine.remove import remove

            try:
                remove(self._runtime, identity, force=True, volumes=True, timeout=timeout)
            except NoSuchContainer:
                continue
        with definitions.lock().exclusive():
            self._runtime.networking.driver.forget_network(self._definition)
            definitions.remove(self.name)
        self._runtime.state.add_events(network_event(self._definition, "remove"))
        self._runtime.publish()

    # -- information ---------------------------------------------------------------------------------------------

    def inspect(self) -> dict[str, Any]:
        """The tree ``wherry network inspect`` prints: the definition, and the running containers on the network."""
        tree = self.summary()
        tree["containers"] = self._attached()
        return tree

    def summary(self) -> dict[str, Any]:
        """The definition as JSON, as ``wherry network ls --format json`` shows it."""
        from wherry.network.definitions import document

        return document(self._definition)

    def _attached(self) -> dict[str, Any]:
        found = {}
        for identity in self.containers():
            config, state = self._runtime.state.container(identity)
            block = state.network_status.get(self.name)
            if block is not None:
                interfaces = {name: interface.to_json() for name, interface in block.interfaces.items()}
                found[identity] = {"name": config.name, "interfaces": interfaces}
        return found

    # -- context manager -----------------------------------------------------------------------------------------

    def __enter__(self) -> Network:
        return self

    def __exit__(self, *_exc: object) -> None:
        """Remove the network, and the containers still connected to it."""
        if self._runtime.networks.exists(self.name):
            self.remove(force=True, timeout=0)

    def __repr__(self) -> str:
        return f"<Network {self.id[:12]} {self.name}>"


def check_servers(servers: Sequence[str], field: str) -> None:
    """Raise ``InvalidArgument`` unless all of *servers* are addresses; *field* is Podman's name for them."""
    from wherry.network.addresses import is_address

    for server in servers:
        if not is_address(server):
            raise InvalidArgument(f"unable to parse ip {server} specified in {field}: invalid argument")


def network_event(definition: model.Network, what: str) -> Event:
    return Event(
        id=definition.id, name=definition.name, network=definition.name, type="network", status=what,
        time_ns=now_ns(), attributes={"driver": definition.driver},
    )
