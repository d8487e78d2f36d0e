"""Network definitions: the JSON files of the network configuration directory, in Podman's netavark form.

Podman takes the lock file ``netavark.lock`` of that directory around its reads and writes; so does writing here.
"""

from __future__ import annotations

import os

from wherry.errors import Corrupt, InvalidArgument, NoSuchNetwork, WherryError
from wherry.model import jsontext
from wherry.model.ids import is_hex
from wherry.model.network import Network, Subnet
from wherry.sys.files import atomic_write, make_dirs, read_bytes

DEFAULT_NAME = "podman"
#: Id of the default network on every host (containers/common, ``libnetwork/types``).
DEFAULT_ID = "2f259bab93aaaaa2542ba43ef33eb990d0999ee1b9924b557b7be53c0b7a1bb9"
DEFAULT_BRIDGE = "podman0"


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.sys.locks import FileLock


def document(network: Network) -> dict[str, Any]:
    """The JSON object of a definition, with the keys Podman and netavark insist on in Podman's order."""
    out: dict[str, Any] = {
        "name": network.name,
        "id": network.id,
        "driver": network.driver,
        "network_interface": network.network_interface,
        "created": network.created,
        "subnets": [subnet.to_json() for subnet in network.subnets],
        "routes": [route.to_json() for route in network.routes],
        "ipv6_enabled": network.ipv6_enabled,
        "internal": network.internal,
        "dns_enabled": network.dns_enabled,
        "network_dns_servers": list(network.network_dns_servers),
        "labels": {key: network.labels[key] for key in sorted(network.labels)},
        "options": {key: network.options[key] for key in sorted(network.options)},
        "ipam_options": dict(network.ipam_options) or {"driver": "host-local"},
    }
    return {key: value for key, value in out.items() if value or isinstance(value, bool)}


class Definitions:
    """The networks of one configuration directory.

    The default network exists without a file; a file of its name replaces it.
    """

    def __init__(self, directory: str, default_name: str = DEFAULT_NAME, default_subnet: str = "10.88.0.0/16") -> None:
        self.directory = directory
        self.default_name = default_name or DEFAULT_NAME
        self._default_subnet = default_subnet

    def names(self) -> list[str]:
        """Names of all networks, sorted."""
        try:
            found = {name[:-5] for name in os.listdir(self.directory) if name.endswith(".json")}
        except FileNotFoundError:
            found = set()
        return sorted(found | {self.default_name})

    def list(self) -> list[Network]:
        return [self._load(name) for name in self.names()]

    def get(self, text: str) -> Network:
        """The network of this name, id or unique id prefix. Raises ``NoSuchNetwork``, ``Corrupt``."""
        if text in self.names():
            return self._load(text)
        found = [network for network in self.list() if network.id.startswith(text)] if is_hex(text) else []
        if len(found) == 1:
            return found[0]
        if found:
            raise InvalidArgument(f"more than one result for network ID {text}: network already exists")
        raise NoSuchNetwork(f"unable to find network with name or ID {text}")

    def driver_of(self, name: str) -> str:
        """The driver of a network by its name, empty when there is none or it cannot be read."""
        try:
            return self._load(name).driver
        except WherryError:
            return ""

    def lock(self) -> FileLock:
        """The lock to hold while a definition is chosen and written: ``with definitions.lock().exclusive():``."""
        from wherry.sys.locks import FileLock

        make_dirs(self.directory, 0o755)
        return FileLock(f"{self.directory}/netavark.lock")

    def save(self, network: Network) -> None:
        """Write a definition; the lock is held."""
        text = jsontext.dumps_pretty(document(network), 5) + "\n"
        atomic_write(f"{self.directory}/{network.name}.json", text.encode(), 0o644)

    def remove(self, name: str) -> None:
        """Delete a definition; missing is fine."""
        try:
            os.unlink(f"{self.directory}/{name}.json")
        except FileNotFoundError:
            pass

    def _load(self, name: str) -> Network:
        path = f"{self.directory}/{name}.json"
        try:
            data = jsontext.loads(read_bytes(path))
        except FileNotFoundError:
            if name == self.default_name:
                return self._default()
            raise NoSuchNetwork(f"unable to find network with name or ID {name}") from None
        except jsontext.JSONError as error:
            raise Corrupt(f"network configuration {path} cannot be read: {error}") from None
        network = Network.from_json(data)
        if network.name != name or not network.driver:
            raise Corrupt(f"network configuration {path} must be named {network.name}.json and have a driver")
        return network

    def _default(self) -> Network:
        from wherry.network.addresses import first_host

        return Network(
            name=self.default_name,
            id=DEFAULT_ID,
            driver="bridge",
            network_interface=DEFAULT_BRIDGE,
            created="2026-01-01T00:00:00Z",
            subnets=[Subnet(subnet=self._default_subnet, gateway=first_host(self._default_subnet))],
            ipam_options={"driver": "host-local"},
        )
