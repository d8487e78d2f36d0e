"""What the engine asks of a network driver."""

from __future__ import annotations

from wherry.model.network import NetworkOptions, NetworkStatus, PortMapping
from wherry.model.record import EMPTY, Record, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from typing import Protocol

    from wherry.model.network import Network
    from wherry.network.definitions import Definitions
    from wherry.network.leases import Leases

    class Pending(Protocol):
        """An attachment under way."""

        def result(self) -> Mapping[str, NetworkStatus]:
            """Wait for it; raises ``WherryError`` and leaves nothing behind when it failed."""

        def cancel(self) -> None:
            """Give up: wait for it and undo what it made."""

    class Driver(Protocol):
        """Connects network namespaces to networks.  Stateless but for its leases; safe in many processes at once."""

        name: str
        definitions: Definitions
        leases: Leases
        @property
        def lost_rules(self) -> bool:
            """Were rules of running containers gone, and still are, when the last attachment began?"""

        def backend_of(self, container: str) -> str:
            """Name of the driver that attached *container* (they share their leases), empty when none did."""

        def begin(self, request: AttachRequest) -> Pending:
            """Start attaching ``request.net_ns`` to every network of the request."""

        def detach(self, request: AttachRequest) -> None:
            """Undo an attachment: addresses, rules, names. Idempotent; also after a crash half-way or a reboot."""

        def connect(self, request: AttachRequest, network: str) -> Mapping[str, NetworkStatus]:
            """Let a running container join *network*, which ``request.networks`` has; returns its whole new status."""

        def disconnect(self, request: AttachRequest, network: str) -> Mapping[str, NetworkStatus]:
            """Let a running container leave *network*; returns the status that is left."""

        def reload(self, request: AttachRequest) -> Mapping[str, NetworkStatus]:
            """Make firewall rules and names of a running container again; returns its status."""

        def forget_network(self, network: Network) -> None:
            """Take away what a network that nobody uses any more left: its bridge and its rules."""

        def settle(self) -> None:
            """Wait for what detaching left to the background."""

        def check(self, alive: Collection[str]) -> list[str]:
            """What is left of containers that are not in *alive* (ids), one sentence each."""

        def repair(self, alive: Collection[str]) -> None:
            """Remove what :meth:`check` finds, and networks' interfaces that nobody uses."""


class AttachRequest(Record):
    """One container and the networks it joins."""

    container_id: str = ""
    container_name: str = ""
    net_ns: str = ""                     # path of the network namespace
    networks: Mapping[str, NetworkOptions] = field(default=EMPTY, table=NetworkOptions)
    port_mappings: Sequence[PortMapping] = field(default=(), records=PortMapping)
    dns_servers: Sequence[str] = ()
    status: Mapping[str, NetworkStatus] = field(default=EMPTY, table=NetworkStatus)   # what attaching gave, to detach
