"""Network namespaces with real traffic, for the network contract: containers without processes, and a host outside."""

from __future__ import annotations

import os
import socket
import struct
import threading

from wherry.model import jsontext
from wherry.model.ids import generate_id
from wherry.model.network import Network, NetworkOptions, PortMapping
from wherry.network.protocol import AttachRequest
from wherry.sys import rtnetlink
from wherry.sys.mounts import detach
from wherry.sys.namespaces import call_in_netns, create_netns, remove_netns
from wherry.sys.netlink import Netlink
from wherry.sys.processes import run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, TypeVar

    from wherry.network.protocol import Driver

    T = TypeVar("T")

#: Addresses of the veth between this namespace and the one that plays the outside (documentation ranges).
HOST4, OUTSIDE4 = "192.0.2.1", "192.0.2.2"
HOST6, OUTSIDE6 = "2001:db8::1", "2001:db8::2"
TIMEOUT = 3.0


class Place:
    """Somewhere to open sockets: a network namespace, or this process's own with an empty path."""

    def __init__(self, path: str = "") -> None:
        self.path = path

    def call(self, work: Callable[[], T]) -> T:
        return call_in_netns(self.path, work) if self.path else work()

    def socket(self, family: int, kind: int) -> socket.socket:
        return self.call(lambda: socket.socket(family, kind))

    def listen(self, port: int, *, address: str = "", udp: bool = False) -> Server:
        """A server that tells every client the address it comes from."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        server = self.socket(family, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((address, port))
        return Server(server, udp)

    def echo(self, port: int, *, address: str = "") -> Server:
        """A server that sends each client back what it sends, until both have ended."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        server = self.socket(family, socket.SOCK_STREAM)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((address, port))
        return Server(server, udp=False, echo=True)

    def ask(self, address: str, port: int, *, udp: bool = False, timeout: float = TIMEOUT) -> str:
        """What the server at the address says: from where it saw us come. Raises :class:`OSError`."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with self.socket(family, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM) as client:
            client.settimeout(timeout)
            client.connect((address, port))
            if udp:
                client.send(b"?")
            return client.recv(100).decode()

    def reaches(self, address: str, port: int, timeout: float = 0.7) -> bool:
        try:
            return bool(self.ask(address, port, timeout=timeout))
        except OSError:
            return False

    def resolve(self, server: str, name: str) -> list[str] | None:
        """IPv4 addresses of *name* by the name server at *server* (RFC 1035, just enough); None without an answer."""
        question = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"
        packet = struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0) + question + struct.pack(">HH", 1, 1)
        with self.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(TIMEOUT)
            client.connect((server, 53))
            try:
                client.send(packet)
                answer = client.recv(2048)
            except OSError:
                return None     # the server is reading its files
        count = struct.unpack_from(">H", answer, 6)[0]
        # Every answer to an A question ends with its four bytes.
        rest = answer[len(packet):]
        size = len(rest) // count if count else 0
        return sorted(socket.inet_ntoa(rest[at + size - 4:at + size]) for at in range(0, size * count, size or 1))

    def json(self, *words: str) -> Any:
        """What a program that is run here prints as JSON."""
        return jsontext.loads(self.call(lambda: run(words)).stdout)

    def links(self) -> dict[str, rtnetlink.Link]:
        def look() -> list[rtnetlink.Link]:
            with Netlink() as netlink:
                return rtnetlink.links(netlink)

        return {link.name: link for link in self.call(look)}


class Server:
    """Answers each client with the client's address, or with *echo* with what it sends, until it is closed."""

    def __init__(self, listener: socket.socket, udp: bool, *, echo: bool = False) -> None:
        self._listener = listener
        self._echo = echo
        if not udp:
            listener.listen(16)
        self._thread = threading.Thread(target=self._datagrams if udp else self._streams, daemon=True)
        self._thread.start()

    def _streams(self) -> None:
        while True:
            try:
                connection, peer = self._listener.accept()
            except OSError:
                return
            if self._echo:
                threading.Thread(target=_echo, args=(connection,), daemon=True).start()
                continue
            with connection:
                connection.sendall(str(peer[0]).encode())

    def _datagrams(self) -> None:
        while True:
            try:
                data, peer = self._listener.recvfrom(100)
                if not data:
                    return
                self._listener.sendto(str(peer[0]).encode(), peer)
            except OSError:
                return

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_exc: object) -> None:
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        self._thread.join(5)


def _echo(connection: socket.socket) -> None:
    with connection:
        try:
            while data := connection.recv(65536):
                connection.sendall(data)
        except OSError:
            pass        # the client went away


class Box(Place):
    """A namespace attached by a driver: a container as far as networks are concerned."""

    def __init__(self, driver: Driver, request: AttachRequest) -> None:
        super().__init__(request.net_ns)
        self.driver = driver
        self.request = request

    @property
    def id(self) -> str:
        return self.request.container_id

    def addresses(self, network: str) -> list[str]:
        return [
            address.ipnet.partition("/")[0]
            for interface in self.request.status[network].interfaces.values() for address in interface.subnets
        ]

    def address(self, network: str) -> str:
        return self.addresses(network)[0]

    def connect(self, network: str, **options: object) -> None:
        wanted = {**self.request.networks, network: NetworkOptions(**options)}  # type: ignore[arg-type]
        request = self.request.replace(networks=wanted)
        self.request = request.replace(status=self.driver.connect(request, network))

    def disconnect(self, network: str) -> None:
        status = self.driver.disconnect(self.request, network)
        left = {name: options for name, options in self.request.networks.items() if name != network}
        self.request = self.request.replace(status=status, networks=left)

    def reload(self) -> None:
        self.request = self.request.replace(status=self.driver.reload(self.request))

    def detach(self) -> None:
        """Twice does no harm."""
        self.driver.detach(self.request)
        remove_netns(self.path)


class World:
    """A driver's surroundings: definitions, boxes on its networks, and a neighbour of the host. Close it."""

    def __init__(self, driver: Driver, directory: str, another: Callable[[], Driver] | None = None) -> None:
        self.driver = driver
        #: A further driver of the same engine, as another process would have.
        self.another = another or (lambda: driver)
        self._directory = directory
        self._boxes: list[Box] = []
        self._networks: list[Network] = []
        self.host = Place()
        #: Where bridges and rules are, and whether packets are routed between there and the host unchanged.
        self.inner = self.host
        self.routed = True
        self._outside = f"{directory}/outside"
        create_netns(self._outside)
        self.outside = Place(self._outside)
        self._wire_outside()

    def _wire_outside(self) -> None:
        fd = os.open(self._outside, os.O_RDONLY)
        with Netlink() as here:
            here.change([rtnetlink.bridge("uplink", mac="02:00:00:00:00:01")])
            uplink = rtnetlink.find(here, "uplink")
            assert uplink is not None
            here.change(
                [
                    rtnetlink.veth(
                        "outveth", master=uplink.index, peer="eth0", namespace=fd, mac="02:00:00:00:00:02"
                    ),
                    rtnetlink.up(uplink.index),
                    rtnetlink.address(uplink.index, f"{HOST4}/24"),
                    rtnetlink.address(uplink.index, f"{HOST6}/64"),
                ]
            )
        os.close(fd)
        with rtnetlink.open_in(self._outside) as there:
            link = rtnetlink.find(there, "eth0")
            assert link is not None
            there.change(
                [
                    rtnetlink.up(link.index),
                    rtnetlink.address(link.index, f"{OUTSIDE4}/24"),
                    rtnetlink.address(link.index, f"{OUTSIDE6}/64"),
                ]
            )
        with Netlink() as here:
            here.change([rtnetlink.route(uplink.index, OUTSIDE4), rtnetlink.route(uplink.index, OUTSIDE6)])

    def came_from(self, seen: str, address: str) -> bool:
        """Did what a published port let in arrive with the client's address? Where ports are forwarded it cannot."""
        return seen == address if self.routed else bool(seen)

    def rules(self) -> str:
        """All rules, of nftables and of iptables."""
        shown = [
            self.inner.call(lambda words=words: run(words)).stdout  # type: ignore[misc]
            for words in (["nft", "list", "ruleset"], ["iptables-save"], ["ip6tables-save"])
        ]
        return b"".join(shown).decode()

    def flush(self) -> None:
        """What a firewall's reload may do: remove all rules."""
        self.inner.call(lambda: run(["nft", "flush", "ruleset"]))

    def network(self, name: str, *subnets: str, **fields: object) -> Network:
        """Define a network; the first address of each subnet is its gateway."""
        from wherry.model.network import Subnet
        from wherry.network.addresses import first_host

        network = Network(
            name=name,
            id=generate_id(),
            subnets=[Subnet(subnet=subnet, gateway=first_host(subnet)) for subnet in subnets],
            ipv6_enabled=any(":" in subnet for subnet in subnets),
            **{"driver": "bridge", "network_interface": f"br-{name}", **fields},  # type: ignore[arg-type]
        )
        with self.driver.definitions.lock().exclusive():
            self.driver.definitions.save(network)
        self._networks.append(network)
        return network

    def box(
        self,
        *networks: str,
        name: str = "",
        ports: Sequence[PortMapping] = (),
        driver: Driver | None = None,
        **options: object,
    ) -> Box:
        """Attach a new namespace to *networks*; *options* are :class:`NetworkOptions` of the first of them."""
        driver = driver or self.driver
        identity = generate_id()
        path = f"{self._directory}/{identity[:12]}"
        create_netns(path)
        wanted = {
            network: NetworkOptions(**{"interface_name": f"eth{number}", **(options if number == 0 else {})})  # type: ignore[arg-type]
            for number, network in enumerate(networks)
        }
        request = AttachRequest(
            container_id=identity, container_name=name or identity[:8], net_ns=path, networks=wanted,
            port_mappings=list(ports),
        )
        try:
            status = driver.begin(request).result()
        except BaseException:
            remove_netns(path)
            raise
        box = Box(self.driver, request.replace(status=status))
        self._boxes.append(box)
        return box

    def close(self) -> None:
        """Take everything away."""
        try:
            for box in self._boxes:
                box.detach()
            self.driver.settle()
            for network in self._networks:
                self.driver.forget_network(network)
                self.driver.definitions.remove(network.name)
        finally:
            with Netlink() as netlink:
                netlink.change([rtnetlink.delete("outveth"), rtnetlink.delete("uplink")])
            remove_netns(self._outside)
            detach(self._directory)     # it was made a mount of its own for the namespaces in it
