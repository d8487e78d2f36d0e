"""The native driver: netlink for interfaces, one nft transaction for rules, aardvark-dns for names.

Attaching takes a few milliseconds, the same with one container and with hundreds:

* interfaces, addresses and routes are two datagrams of netlink messages;
* the firewall (:mod:`wherry.network.firewall`) is only touched for the first container of a network and for published
  ports; nft runs while the caller does something else and is waited for in ``result()``;
* whether the rules are still there is one question to the kernel; when something flushed them they are all made again,
  for every attached container.

Detaching waits for nothing: leases end, a background program takes published ports out of the maps, and dropping the
network namespace, which the engine does, lets the kernel remove the interfaces in its own time.
"""

from __future__ import annotations

from binascii import crc32

from wherry.errors import InvalidArgument, NotFound, StateError, Unsupported, WherryError
from wherry.model.network import NetworkStatus
from wherry.network import firewall
from wherry.network.child import Child
from wherry.network.definitions import Definitions
from wherry.network.hold import Hold
from wherry.network.leases import Leases
from wherry.network.ledger import Ledger
from wherry.network.links import DRIVERS, Wiring, is_managed_bridge, remove_bridge
from wherry.network.names import DOMAIN, Entry, Names
from wherry.network.ports import is_local
from wherry.network.teardowns import Teardowns
from wherry.sys import log, nftables
from wherry.sys.files import make_dirs
from wherry.sys.processes import find_program, run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from wherry.config.settings import Settings
    from wherry.model.network import Network
    from wherry.network.forwards import Forwards
    from wherry.network.protocol import AttachRequest

NAME = "native"
_NFT_TIMEOUT = 60.0


class NativeDriver:
    """Connects network namespaces without netavark; one per runtime."""

    name = NAME
    lost_rules = False      # they are made again while attaching

    def __init__(self, settings: Settings, run_dir: str) -> None:
        self._settings = settings
        self._directory = run_dir
        self.ledger = Ledger(run_dir)
        self.leases = Leases(run_dir, self.ledger)
        network = settings.network
        self.definitions = Definitions(network.network_config_dir, network.default_network, network.default_subnet)
        self.nft = find_program("nft")
        #: What marks this engine's elements in the table all engines of the host share.
        self.engine = f"{crc32(run_dir.encode()):08x}"
        self.teardowns = Teardowns(run_dir, self.nft)
        self.filters = network.firewall_driver != "none"
        self._names: Names | None = None

    @property
    def names(self) -> Names:
        if self._names is None:
            from wherry.config.helpers import find

            program = find(self._settings, "aardvark-dns")
            self._names = Names(self._directory, program, self._settings.network.dns_bind_port)
        return self._names

    @property
    def forwards(self) -> Forwards:
        """The processes of published ports that need one."""
        from wherry.network.forwards import Forwards

        return Forwards(self._directory)

    def backend_of(self, container: str) -> str:
        """Name of the driver that attached *container*, empty when none did."""
        return self.ledger.backend(container)

    # -- attaching -----------------------------------------------------------------------------------------------

    def begin(self, request: AttachRequest) -> PendingAttachment:
        """Attach; only the firewall is still being changed on return. Raises ``NoSuchNetwork``, ``WherryError``."""
        return self._begin(request, request)

    def _begin(self, request: AttachRequest, wanted: AttachRequest) -> PendingAttachment:
        """Attach *wanted*, the whole of *request* or the networks a running container joins."""
        networks = {name: self._network(name) for name in wanted.networks}
        with self._hold(exclusive=False):
            addresses = self.leases.lease(request.container_id, networks, wanted.networks)
            status = dict(request.status) if request is not wanted else {}
            try:
                made = self._wire(wanted, networks, addresses, status)
                attached = request.replace(status=status)
                self.ledger.attach(NAME, attached)
                self._tell_names(attached, networks)
                self.forward(attached)
                return PendingAttachment(self, attached, wanted, self._change_firewall(attached, networks, made))
            except BaseException:
                self._undo(request, wanted, networks, status)
                raise

    def _network(self, name: str) -> Network:
        network = self.definitions.get(name)
        if network.driver not in DRIVERS:
            raise InvalidArgument(f"unsupported driver {network.driver}: invalid argument")
        if network.ipam_options.get("driver") == "dhcp":
            raise Unsupported(
                f"network {network.name} gives addresses by DHCP, which the native network back end does not do",
                hint="name that network when the container is created: netavark then attaches all of its networks",
            )
        return network

    def _wire(
        self,
        wanted: AttachRequest,
        networks: Mapping[str, Network],
        addresses: Mapping[str, Sequence[str]],
        status: dict[str, NetworkStatus],
    ) -> set[str]:
        """Make the interfaces, filling *status*; returns the networks whose bridge was made."""
        made = set()
        with Wiring(wanted.net_ns) as wiring:
            for number, (name, network) in enumerate(networks.items()):
                options = wanted.networks[name]
                if not options.interface_name:
                    options = options.replace(interface_name=f"eth{number}")
                publishes = bool(wanted.port_mappings)
                link, fresh = wiring.attach(network, options, addresses[name], publishes=publishes)
                servers: list[str] = []
                if self._has_names(network):
                    servers = [subnet.gateway for subnet in network.subnets if subnet.gateway]
                status[name] = NetworkStatus(
                    interfaces={options.interface_name: link},
                    dns_server_ips=servers,
                    dns_search_domains=[DOMAIN] if self._has_names(network) else (),
                )
                if fresh:
                    made.add(name)
        return made

    def _has_names(self, network: Network) -> bool:
        """Can containers of the network find each other by name? The name server listens on the bridge."""
        if not network.dns_enabled or network.driver != "bridge":
            return False
        if not self.names.available:
            log.once("warning", "aardvark-dns binary not found, container name resolution will not work")
        return self.names.available

    def _tell_names(self, request: AttachRequest, networks: Mapping[str, Network]) -> None:
        entries = {}
        for name, network in networks.items():
            if self._has_names(network):
                entries[name] = (network, entry(request, name))
        if entries:
            self.names.change(entries, {})

    def _undo(
        self,
        request: AttachRequest,
        wanted: AttachRequest,
        networks: Mapping[str, Network],
        status: Mapping[str, NetworkStatus],
    ) -> None:
        """Take back an attachment that failed: interfaces, names, leases."""
        names = [name for name in networks if name in status]
        try:
            with Wiring(wanted.net_ns) as wiring:
                for name in names:
                    for interface in status[name].interfaces:
                        wiring.detach(interface)
        except OSError as error:
            log.warning(f"undoing the network of container {request.container_id}: {error}")
        self.drop_names(request.container_id, networks)
        if request is wanted:
            self._stop_forwarding(request)
            self.ledger.detach(request.container_id)
            return
        self.ledger.attach(NAME, request)
        for name in networks:
            self.leases.release_one(request.container_id, name)

    def drop_names(self, container: str, networks: Iterable[str]) -> None:
        try:
            self.names.change({}, dict.fromkeys(networks, container))
        except (OSError, WherryError) as error:
            log.warning(f"names of container {container} stay: {error}")

    # -- firewall ------------------------------------------------------------------------------------------------

    def _change_firewall(
        self, request: AttachRequest, networks: Mapping[str, Network], made: Collection[str] = ()
    ) -> Child | None:
        """Start the one transaction this attachment needs, if any."""
        if not self.filters:
            return None
        known = self.ledger.networks_with_rules()
        new = [net for name, net in networks.items() if is_managed_bridge(net) and (name in made or name not in known)]
        if new or not self.rules_present():
            self._prepare_rules(request, new)
        ports = self.ports(request)
        if not ports:
            return None
        self.teardowns.settle([_mention(port) for port in ports])
        return self._nft_child(firewall.add_ports(ports, self._owner(request)))

    def _prepare_rules(self, request: AttachRequest, new: Sequence[Network]) -> None:
        """Make the rules if they are not there, and the elements of the networks *new*.

        One process at a time: nft compares intervals with what it read a moment ago, and fails if that changed.
        """
        with Hold(f"{self._directory}/rules.lock", exclusive=True):
            if not self.rules_present():
                self._rebuild(request)
                return
            self._run_nft("".join([self._network_script(network) for network in new]), request)
            for network in new:
                self.ledger.set_rules(network.name, True)

    def _rebuild(self, request: AttachRequest) -> None:
        """Make everything anew. The caller holds the lock of the rules."""
        for port in self.ports(request):
            run([self.nft, "-f", "-"], input=firewall.clear_port(port).encode(), timeout=_NFT_TIMEOUT)
        self._run_nft(self._everything(), request)

    def _run_nft(self, script: str, request: AttachRequest) -> None:
        done = run([self.nft, "-f", "-"], input=script.encode(), timeout=_NFT_TIMEOUT)
        if done.returncode and b"interval overlaps" in done.stderr:
            # A network of an engine that is gone had such a subnet.
            script = firewall.flush_subnets() + self._everything()
            done = run([self.nft, "-f", "-"], input=script.encode(), timeout=_NFT_TIMEOUT)
        if done.returncode:
            for name in request.status:
                self.ledger.set_rules(name, False)
            said = done.stderr.decode(errors="replace").strip().partition("\n")[0]
            raise WherryError(f"nft: {said or 'it failed without saying why'}")

    def rules_present(self) -> bool:
        """Are the table and its rules there?"""
        found = nftables.chain_uses(nftables.NFPROTO_INET, firewall.TABLE, firewall.WITNESS)
        return found >= firewall.WITNESS_RULES

    def ports(self, request: AttachRequest) -> list[tuple[str, str, str]]:
        """Map elements of what the attached container publishes."""
        if not request.port_mappings:
            return []
        return firewall.port_elements(request, self._closed(request))

    def _closed(self, request: AttachRequest) -> list[str]:
        """The networks of the request on which nothing can be published."""
        closed = []
        for name in request.status:
            try:
                network = self.definitions.get(name)
            except NotFound:
                continue
            if network.internal or network.driver != "bridge":
                closed.append(name)
        return closed

    def forward(self, attached: AttachRequest) -> None:
        """Start, change or end the process of published ports that need one."""
        if any(is_local(mapping) for mapping in attached.port_mappings):
            from wherry.network.forwards import local_forwards

            found = local_forwards(attached, firewall.targets(attached, self._closed(attached)))
            self.forwards.follow(attached.container_id, found)

    def _stop_forwarding(self, request: AttachRequest) -> None:
        if any(is_local(mapping) for mapping in request.port_mappings):
            self.forwards.stop(request.container_id)

    def _everything(self) -> str:
        """The script that makes all rules, for every network in use and every attached container."""
        attached = self.ledger.attachments(NAME)
        names = sorted({name for request in attached for name in request.status})
        script = firewall.rules()
        for name in names:
            try:
                network = self.definitions.get(name)
            except NotFound:
                continue
            if is_managed_bridge(network):
                script += self._network_script(network)
                self.ledger.set_rules(name, True)
        return script + "".join(
            [firewall.add_ports(self.ports(request), self._owner(request)) for request in attached]
        )

    def _owner(self, request: AttachRequest) -> str:
        return f"{self.engine}/{request.container_id[:12]}"

    def _network_script(self, network: Network) -> str:
        return firewall.add(firewall.network_elements(network), f"{self.engine}/{network.name}")

    def _nft_child(self, script: str) -> Child:
        try:
            return Child([self.nft, "-f", "-"], script.encode(), errors=True)
        except OSError as error:
            raise WherryError(f"nft: {(error.strerror or str(error)).lower()}") from None

    def apply(self, child: Child | None, request: AttachRequest) -> None:
        """Wait for a transaction; a port that still leads to a container that is gone is taken from it."""
        if child is None:
            return
        status, _output = child.finish()
        if status:
            self.restore(request)

    def restore(self, request: AttachRequest) -> None:
        with Hold(f"{self._directory}/rules.lock", exclusive=True):
            self._rebuild(request)

    # -- detaching -----------------------------------------------------------------------------------------------

    def detach(self, request: AttachRequest) -> None:
        """End the leases at once; published ports go in the background, interfaces with the namespace."""
        attached = self.ledger.attachment(request.container_id)
        if attached is not None:
            self._forget_outside(attached)
        self.ledger.detach(request.container_id)

    def _forget_outside(self, attached: AttachRequest) -> None:
        """Ports and names of a container."""
        self._stop_forwarding(attached)
        ports = self.ports(attached)
        if ports and self.filters:
            self.teardowns.begin(attached.container_id, firewall.remove_ports(ports))
        if any(block.dns_server_ips for block in attached.status.values()):
            self.drop_names(attached.container_id, attached.status)

    # -- running containers --------------------------------------------------------------------------------------

    def connect(self, request: AttachRequest, network: str) -> Mapping[str, NetworkStatus]:
        """Join *network*, one of ``request.networks``; returns the whole new status."""
        if not request.networks[network].interface_name:
            with Wiring(request.net_ns) as wiring:
                options = request.networks[network].replace(interface_name=wiring.free_name())
            request = request.replace(networks={**request.networks, network: options})
        before = self.ports(request)
        pending = self._begin(request, request.replace(networks={network: request.networks[network]}))
        status = pending.result()
        self._change_ports(before, request.replace(status=status))
        return status

    def disconnect(self, request: AttachRequest, network: str) -> Mapping[str, NetworkStatus]:
        """Leave *network*; returns the status that is left."""
        left = {name: block for name, block in request.status.items() if name != network}
        after = request.replace(
            status=left, networks={name: options for name, options in request.networks.items() if name != network}
        )
        with self._hold(exclusive=False):
            block = request.status.get(network)
            if block is not None:
                with Wiring(request.net_ns) as wiring:
                    for interface in block.interfaces:
                        wiring.detach(interface)
            self.drop_names(request.container_id, [network])
            self.ledger.attach(NAME, after)
            self.leases.release_one(request.container_id, network)
            self._change_ports(self.ports(request), after)
        return left

    def _change_ports(self, before: Sequence[tuple[str, str, str]], request: AttachRequest) -> None:
        """Let published ports lead where ``request.status`` says."""
        self.forward(request)
        after = self.ports(request)
        if not self.filters or sorted(before) == sorted(after):
            return
        gone = [port for port in before if port not in after]
        new = [port for port in after if port not in before]
        script = firewall.remove_ports(gone) + firewall.add_ports(new, self._owner(request))
        self.apply(self._nft_child(script), request)

    def reload(self, request: AttachRequest) -> Mapping[str, NetworkStatus]:
        """Make rules and names of an attached container again, whatever became of them."""
        attached = self.ledger.attachment(request.container_id) or request
        if self.filters:
            self.restore(attached)
        self.forward(attached)
        self._tell_names(attached, {name: self._network(name) for name in attached.status})
        return attached.status

    # -- checking ------------------------------------------------------------------------------------------------

    def check(self, alive: Collection[str]) -> list[str]:
        """Leases, rules and names of containers that do not run, rules that are missing, rules of lost networks."""
        from wherry.network.native_check import check

        return check(self, alive)

    def repair(self, alive: Collection[str]) -> None:
        """Detach what is gone, finish deletions, restore rules, and remove bridges nobody is attached to."""
        from wherry.network.native_check import repair

        with self._hold(exclusive=True):
            repair(self, alive)

    def remove_empty_table(self) -> None:
        """Take the table away when no engine of this host has a bridge in it; the next attachment makes it again."""
        with Hold(f"{self._directory}/rules.lock", exclusive=True):
            shown = run([self.nft, "list", "set", "inet", firewall.TABLE, "bridges"], timeout=_NFT_TIMEOUT)
            if shown.returncode == 0 and b"elements" not in shown.stdout:
                run([self.nft, "delete", "table", "inet", firewall.TABLE], timeout=_NFT_TIMEOUT)

    def settle(self) -> None:
        """Wait for deletions in the background."""
        self.teardowns.settle()

    def forget_network(self, network: Network) -> None:
        """A definition is being removed: take its bridge and its rules away. Raises ``StateError`` while in use."""
        with self._hold(exclusive=True):
            if network.name in self.leases.networks_in_use():
                raise StateError(f'"{network.name}" has associated containers with it')
            self.remove_bridge(network)

    def remove_bridge(self, network: Network) -> None:
        """Remove the bridge and the rules of a network, unless another engine's containers are on it."""
        if not is_managed_bridge(network):
            return
        if not remove_bridge(network.network_interface):
            return
        if network.name in self.ledger.networks_with_rules():
            if self.rules_present():
                script = firewall.remove(firewall.network_elements(network))
                with Hold(f"{self._directory}/rules.lock", exclusive=True):
                    run([self.nft, "-f", "-"], input=script.encode(), timeout=_NFT_TIMEOUT)
            self.ledger.set_rules(network.name, False)

    def _hold(self, *, exclusive: bool) -> Hold:
        make_dirs(self._directory)
        return Hold(f"{self._directory}/native.lock", exclusive)


class PendingAttachment:
    """Interfaces are there; the firewall may still be changing."""

    def __init__(
        self, driver: NativeDriver, attached: AttachRequest, wanted: AttachRequest, child: Child | None
    ) -> None:
        self._driver = driver
        self._attached = attached
        self._wanted = wanted
        self._child = child

    def result(self) -> Mapping[str, NetworkStatus]:
        """Wait; returns network -> status. Raises ``WherryError``, everything undone."""
        child, self._child = self._child, None
        try:
            self._driver.apply(child, self._attached)
        except BaseException:
            self._driver.detach(self._attached)
            raise
        return self._attached.status

    def cancel(self) -> None:
        """Give up: wait, then undo."""
        if self._child is not None:
            self._child.finish()
            self._child = None
        self._driver.detach(self._attached)


def entry(request: AttachRequest, network: str) -> Entry:
    """What the name server is told of a container on *network*."""
    addresses = [
        address.ipnet.partition("/")[0]
        for interface in request.status[network].interfaces.values() for address in interface.subnets
    ]
    options = request.networks[network]
    names = [request.container_name, *options.aliases, request.container_id[:12]]
    return Entry(request.container_id, addresses, names, request.dns_servers)


def _mention(port: tuple[str, str, str]) -> str:
    """How a pending deletion mentions the key of *port*."""
    return f"{{ {port[1]} }}"
