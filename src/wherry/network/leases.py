"""Address leases: which container has which address of which network.

Kept in SQLite on the run directory's tmpfs: a reboot ends every lease.  Podman keeps its own leases elsewhere and may
hand out addresses on the same bridge; where the network defines no lease range, wherry therefore first gives addresses
of the upper half of a subnet while Podman starts at the bottom.
"""

from __future__ import annotations

from wherry.errors import AlreadyExists, InvalidArgument, WherryError
from wherry.network.addresses import Cidr, parse_address, parse_cidr, to_text
from wherry.network.ledger import Ledger
from wherry.sys.sqlite import IntegrityError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from sqlite3 import Connection

    from wherry.model.network import Network, NetworkOptions, Subnet


class Leases:
    """The leases of one engine. Each call is one transaction, safe among processes."""

    def __init__(self, directory: str, ledger: Ledger | None = None) -> None:
        self._ledger = ledger or Ledger(directory)

    def lease(
        self, container: str, networks: Mapping[str, Network], options: Mapping[str, NetworkOptions]
    ) -> dict[str, list[str]]:
        """Lease one address per subnet of every network, the static ones of *options* where given.

        Returns network -> addresses, in the order of the subnets.  All or nothing.  Raises ``WherryError`` when a
        static address is taken or a subnet exhausted.
        """
        connection = self._ledger.open()
        connection.execute("BEGIN IMMEDIATE")
        try:
            given = {
                name: self._lease_network(connection, container, network, options[name].static_ips)
                for name, network in networks.items()
            }
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        return given

    def _lease_network(
        self, connection: Connection, container: str, network: Network, static: Sequence[str]
    ) -> list[str]:
        wanted = [parse_address(text) for text in static]
        found: list[str] = []
        for subnet in network.subnets:
            cidr = parse_cidr(subnet.subnet)
            fixed = [number for number, width in wanted if width == cidr.width and cidr.contains(number)]
            wanted = [entry for entry in wanted if entry[0] not in fixed or entry[1] != cidr.width]
            if not fixed:
                fixed = [self._next(connection, network, subnet, cidr)]
                connection.execute(
                    "INSERT OR REPLACE INTO last VALUES (?, ?, ?)",
                    (network.name, subnet.subnet, to_text(fixed[0], cidr.width)),
                )
            for number in fixed:
                self._insert(connection, network.name, to_text(number, cidr.width), container)
                found.append(to_text(number, cidr.width))
        if wanted:
            text = to_text(*wanted[0])
            raise InvalidArgument(f"requested static ip {text} not in any subnet on network {network.name}")
        return found

    def _insert(self, connection: Connection, network: str, address: str, container: str) -> None:
        try:
            connection.execute("INSERT INTO leases VALUES (?, ?, ?)", (network, address, container))
        except IntegrityError:
            holder = connection.execute(
                "SELECT container FROM leases WHERE network = ? AND address = ?", (network, address)
            ).fetchone()[0]
            raise AlreadyExists(
                f"IPAM error: requested ip address {address} is already allocated to container ID {holder}"
            ) from None

    def _next(self, connection: Connection, network: Network, subnet: Subnet, cidr: Cidr) -> int:
        """The next free address after the one given last, so that an address is not reused at once."""
        low, high = lease_range(subnet, cidr)
        gateway = parse_address(subnet.gateway)[0] if subnet.gateway else -1
        row = connection.execute(
            "SELECT address FROM last WHERE network = ? AND subnet = ?", (network.name, subnet.subnet)
        ).fetchone()
        start = parse_address(row[0])[0] + 1 if row else low
        if not low <= start <= high:
            start = low
        taken = "SELECT 1 FROM leases WHERE network = ? AND address = ?"
        # What is left to other engines is still better than nothing.
        lowest = low if subnet.lease_range is not None else cidr.base + 1
        for number in _cycle(start, low, high, lowest):
            row = (network.name, to_text(number, cidr.width))
            if number != gateway and not connection.execute(taken, row).fetchone():
                return number
        span = f"{to_text(lowest, cidr.width)} - {to_text(high, cidr.width)}"
        raise WherryError(f"IPAM error: failed to find free IP in range: {span}", kind="no-space")

    def release(self, container: str) -> None:
        """End every lease of *container*."""
        if self._ledger.exists():
            self._ledger.open().execute("DELETE FROM leases WHERE container = ?", (container,))

    def of(self, container: str) -> dict[str, list[str]]:
        """network -> addresses leased to *container*."""
        found: dict[str, list[str]] = {}
        if self._ledger.exists():
            query = "SELECT network, address FROM leases WHERE container = ?"
            for network, address in self._ledger.open().execute(query, (container,)):
                found.setdefault(network, []).append(address)
        return found

    def holders(self) -> set[str]:
        """Ids of all containers that have a lease."""
        if not self._ledger.exists():
            return set()
        return {row[0] for row in self._ledger.open().execute("SELECT DISTINCT container FROM leases")}

    def networks_in_use(self, without: Collection[str] = ()) -> set[str]:
        """Names of networks on which a container that is not in *without* has an address."""
        if not self._ledger.exists():
            return set()
        rows = self._ledger.open().execute("SELECT DISTINCT network, container FROM leases")
        return {network for network, container in rows if container not in without}

    def release_one(self, container: str, network: str) -> None:
        """End the leases of *container* on one network."""
        if self._ledger.exists():
            query = "DELETE FROM leases WHERE container = ? AND network = ?"
            self._ledger.open().execute(query, (container, network))

    def close(self) -> None:
        self._ledger.close()


def lease_range(subnet: Subnet, cidr: Cidr) -> tuple[int, int]:
    """First and last address to give out: the defined range, or the upper half of the subnet."""
    high = cidr.last - 1 if cidr.width == 32 else cidr.last
    size = cidr.last - cidr.base + 1
    low = cidr.base + (size // 2 if size > 8 else 1)
    if subnet.lease_range is not None:
        start = subnet.lease_range.start_ip
        low = parse_address(start)[0] if start else cidr.base + 1
        if subnet.lease_range.end_ip:
            high = parse_address(subnet.lease_range.end_ip)[0]
    return low, high


def _cycle(start: int, low: int, high: int, lowest: int) -> Iterator[int]:
    """The numbers low..high, beginning at *start* and wrapping around, then those from *lowest* to before *low*."""
    yield from range(start, high + 1)
    yield from range(low, start)
    yield from range(lowest, low)
