"""Network definitions: the JSON files of the network configuration directory, in Podman's netavark form."""

from __future__ import annotations

import os

from wherry.errors import Corrupt, InvalidArgument, NoSuchNetwork
from wherry.model import jsontext
from wherry.model.ids import is_hex
from wherry.model.network import Network, Subnet
from wherry.sys.files import read_bytes

DEFAULT_NAME = "podman"
#: Id of the default network on every host (containers/common, ``libnetwork/types``).
DEFAULT_ID = "2f259bab93aaaaa2542ba43ef33eb990d0999ee1b9924b557b7be53c0b7a1bb9"
DEFAULT_BRIDGE = "podman0"


class Definitions:
    """Read access to the networks of one configuration directory.

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
