"""The netavark driver: bridges, veths, addresses and firewall rules by the program Podman uses.

Setting up takes netavark some 20 ms, so :meth:`NetavarkDriver.begin` only starts it and the caller does something else
meanwhile.  Tearing down takes it 130-160 ms, nearly all of it waiting for the kernel (one grace period per deleted
interface and rule), so nobody waits for it:

* without published ports and without DNS a container has nothing of its own outside its network namespace but the
  lease (masquerading and forwarding rules belong to the subnet): dropping the namespace is all;
* otherwise a small shell runs ``netavark teardown`` in the background on a second mount of the namespace.  What it is
  to do was written down before netavark was asked to set anything up, and is moved to the directory of teardowns,
  so that a crash at any moment loses nothing (:meth:`NetavarkDriver.settle`).

netavark 1.x expects its caller to run one at a time; a flock on the run directory sees to that.
"""

from __future__ import annotations

import fcntl
import os
import time

from wherry.errors import NotFound, Unavailable, WherryError
from wherry.model import jsontext
from wherry.model.network import NetworkStatus
from wherry.network import dhcp
from wherry.network.child import Child, start_unattended
from wherry.network.definitions import Definitions
from wherry.network.definitions import document as definition
from wherry.network.leases import Leases
from wherry.network.ledger import Ledger
from wherry.network.links import wait_for_ports
from wherry.network.ports import is_local
from wherry.network.protocol import AttachRequest
from wherry.sys import log, nftables
from wherry.sys.files import atomic_write, make_dirs, read_bytes
from wherry.sys.processes import run, wait_gone, with_argument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from typing import Any

    from wherry.config.settings import Settings
    from wherry.model.network import Network, NetworkOptions
    from wherry.network.forwards import Forwards

#: Arguments: lock file, request file, namespace mount, then the netavark command. Removes file and mount at the end.
_TEARDOWN = (
    'lock=$1 request=$2 namespace=$3; shift 3; '
    'flock "$lock" "$@" <"$request" >/dev/null 2>&1; umount -l "$namespace"; rm -f "$namespace" "$request"'
)
#: Seconds after which it is looked whether a teardown's process is alive.
_DOUBTFUL = 1.0
#: Seconds that a netavark may still take whose starter was killed.
_STRAY_TIMEOUT = 20.0


NAME = "netavark"
#: A chain that is there while any port is published, and the tables it may be in: iptables' or netavark's own.
_WITNESS = "NETAVARK-HOSTPORT-DNAT"
_WITNESS_TABLES = ((nftables.NFPROTO_IPV4, "nat"), (nftables.NFPROTO_INET, "netavark"))


class NetavarkDriver:
    """Drives netavark; one per runtime."""

    name = NAME

    def __init__(self, settings: Settings, run_dir: str) -> None:
        self._settings = settings
        self._directory = run_dir
        self._attached = run_dir + "/attached"     # what to take down, of every container that has rules or names
        self._pending = run_dir + "/teardown"
        self._lock = run_dir + "/netavark.lock"
        self._ledger = Ledger(run_dir)
        self.leases = Leases(run_dir, self._ledger)
        network = settings.network
        self.definitions = Definitions(network.network_config_dir, network.default_network, network.default_subnet)
        self._program = ""
        #: Were the rules of running containers gone when the last attachment began? Then they need :meth:`reload`.
        self.lost_rules = False

    def backend_of(self, container: str) -> str:
        """Name of the driver that attached *container*, empty when none did."""
        return self._ledger.backend(container)

    # -- attaching -----------------------------------------------------------------------------------------------

    def begin(self, request: AttachRequest) -> PendingSetup:
        """Lease addresses and start netavark. Raises ``NoSuchNetwork``, ``Unavailable``, ``WherryError``."""
        networks = {name: self.definitions.get(name) for name in request.networks}
        program = self._find_program()
        self.settle(request)
        self.lost_rules = self._rules_are_lost()
        addresses = self.leases.lease(request.container_id, networks, request.networks)
        try:
            document = self._document(request, networks, addresses)
            self._ledger.attach(NAME, request)
            if any(dhcp.wanted(network) for network in networks.values()):
                dhcp.ensure(program)
                lasting = True
            else:
                lasting = bool(request.port_mappings) or any(network.dns_enabled for network in networks.values())
            if lasting:
                make_dirs(self._attached)
                atomic_write(self._record(request.container_id), jsontext.dumps(document).encode(), sync=False)
            return PendingSetup(self, request, document, program)
        except BaseException:
            self.leases.release(request.container_id)
            raise

    def _rules_are_lost(self) -> bool:
        """Did something flush the rules while containers with published ports run? Only nf_tables can be asked."""
        if not any(request.port_mappings for request in self._ledger.attachments(NAME)) or not nftables.available():
            return False
        return all(nftables.chain_uses(family, table, _WITNESS) < 0 for family, table in _WITNESS_TABLES)

    def _record(self, container: str) -> str:
        return f"{self._attached}/{container}.json"

    def _document(
        self, request: AttachRequest, networks: Mapping[str, Network], addresses: Mapping[str, list[str]]
    ) -> dict[str, Any]:
        """What netavark reads on standard input."""
        options = {}
        for number, (name, wanted) in enumerate(request.networks.items()):
            entry = wanted.replace(
                static_ips=addresses[name],
                interface_name=wanted.interface_name or f"eth{number}",
                aliases=[*wanted.aliases, request.container_id[:12]],
            ).to_json()
            options[name] = entry
        document: dict[str, Any] = {
            "container_id": request.container_id,
            "container_name": request.container_name,
            "networks": options,
            "network_info": {name: definition(network) for name, network in networks.items()},
        }
        if request.port_mappings:
            document["port_mappings"] = [
                {
                    "host_ip": mapping.host_ip,
                    "container_port": mapping.container_port,
                    "host_port": mapping.host_port,
                    "range": mapping.range or 1,
                    "protocol": mapping.protocol,
                }
                for mapping in request.port_mappings if not is_local(mapping)
            ]
        if request.dns_servers:
            document["dns_servers"] = list(request.dns_servers)
        return document

    def _find_program(self) -> str:
        if not self._program:
            from wherry.config.helpers import find

            self._program = find(self._settings, "netavark")
            if not self._program:
                raise Unavailable(
                    "could not find netavark: exec: \"netavark\": executable file not found in "
                    f"[{' '.join(self._settings.engine.helper_binaries_dir)}]",
                    hint="install netavark, or use --network none or --network host",
                )
        return self._program

    def arguments(self, program: str, action: str, namespace: str) -> list[str]:
        words = [program, "--config", self._directory]
        firewall = self._settings.network.firewall_driver
        if firewall:
            # Every netavark knows the variable, only newer ones the option.
            words = ["/usr/bin/env", f"NETAVARK_FW={firewall}", *words]
        aardvark = self._aardvark()
        if aardvark:
            words += ["--aardvark-binary", aardvark]
        return [*words, action, namespace]

    def _aardvark(self) -> str:
        from wherry.config.helpers import find

        return find(self._settings, "aardvark-dns")

    def lock(self) -> int:
        """Wait for netavark's turn; closing the descriptor ends it."""
        make_dirs(self._directory)
        fd = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        return fd

    def succeeded(self, request: AttachRequest, status: Mapping[str, NetworkStatus]) -> None:
        """Remember what attaching gave, and forward what only a process can; undone when that fails."""
        attached = request.replace(status=status)
        self._ledger.attach(NAME, attached)
        try:
            self._forward(attached)
        except BaseException:
            self.detach(attached)
            raise

    @property
    def forwards(self) -> Forwards:
        """The processes of published ports that need one."""
        from wherry.network.forwards import Forwards

        return Forwards(self._directory)

    def _forward(self, attached: AttachRequest) -> None:
        """Start, change or end the process of published ports that need one."""
        if any(is_local(mapping) for mapping in attached.port_mappings):
            from wherry.network.firewall import targets
            from wherry.network.forwards import local_forwards

            closed = [name for name in attached.status if self.definitions.get(name).internal]
            self.forwards.follow(attached.container_id, local_forwards(attached, targets(attached, closed)))

    def failed(self, request: AttachRequest) -> None:
        """Return the leases of an attachment that failed; what there is to take down stays known."""
        self.leases.release(request.container_id)

    # -- detaching -----------------------------------------------------------------------------------------------

    def detach(self, request: AttachRequest) -> None:
        """Release leases at once; rules and names of the container go in the background."""
        record = self._record(request.container_id)
        if os.path.exists(record):
            if not request.status:
                _wait_for_setup(request)
            if os.path.exists(request.net_ns):
                self._teardown(request, record)
            else:
                os.unlink(record)       # a reboot, or it was taken down by a process that was killed then
        if any(is_local(mapping) for mapping in request.port_mappings):
            self.forwards.stop(request.container_id)
        self._ledger.detach(request.container_id)

    def _teardown(self, request: AttachRequest, record: str) -> None:
        from wherry.sys.mounts import bind, is_mount_point

        try:
            program = self._find_program()
        except Unavailable as error:
            log.warning(f"rules of container {request.container_id} stay: {error}")
            return
        make_dirs(self._pending)
        namespace = f"{self._pending}/{request.container_id}"
        intent = namespace + ".json"
        os.close(os.open(namespace, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        if not is_mount_point(namespace):
            bind(request.net_ns, namespace)
        os.rename(record, intent)
        os.utime(intent)
        self._run_teardown(program, intent, namespace)

    def _run_teardown(self, program: str, intent: str, namespace: str) -> None:
        words = ["/bin/sh", "-c", _TEARDOWN, "sh", self._lock, intent, namespace]
        start_unattended([*words, *self.arguments(program, "teardown", namespace)])

    def settle(self, request: AttachRequest | None = None) -> None:
        """Wait for teardowns under way that concern the request's ports; do again those whose process died."""
        try:
            names = [name for name in os.listdir(self._pending) if name.endswith(".json")]
        except FileNotFoundError:
            return
        ports = set() if request is None else _ports(request.port_mappings)
        for name in names:
            path = f"{self._pending}/{name}"
            try:
                age = time.time() - os.stat(path).st_mtime
                other = jsontext.loads(read_bytes(path))
            except (FileNotFoundError, jsontext.JSONError):
                continue
            wanted = request is None or bool(ports & _document_ports(other))
            if wanted and age < _DOUBTFUL:
                _wait_for_removal(path, _DOUBTFUL - age)
            if (wanted or age > _DOUBTFUL) and os.path.exists(path) and not with_argument(path):
                self._run_teardown(self._find_program(), path, path.removesuffix(".json"))
            if wanted:
                _wait_for_removal(path)

    # -- running containers --------------------------------------------------------------------------------------

    def connect(self, request: AttachRequest, network: str) -> dict[str, NetworkStatus]:
        """Join *network*, one of ``request.networks``; returns the whole new status."""
        options = request.networks[network]
        if not options.interface_name:
            taken = {name for block in request.status.values() for name in block.interfaces}
            name = next(free for free in map("eth{}".format, range(len(taken) + 1)) if free not in taken)
            request = request.replace(networks={**request.networks, network: options.replace(interface_name=name)})
        try:
            return self._set_up(request, [network])
        except BaseException:
            self.leases.release_one(request.container_id, network)
            raise

    def _set_up(self, request: AttachRequest, names: Collection[str]) -> dict[str, NetworkStatus]:
        """Attach a running container to some of its networks; returns its whole status."""
        networks = {name: self.definitions.get(name) for name in request.networks}
        wanted = {name: request.networks[name] for name in names}
        if any(dhcp.wanted(networks[name]) for name in names):
            dhcp.ensure(self._find_program())
        one = request.replace(networks=wanted)
        leased = self.leases.lease(request.container_id, {name: networks[name] for name in names}, wanted)
        child = PendingSetup(self, one, self._document(one, {name: networks[name] for name in names}, leased),
                             self._find_program())
        status = {**request.status, **child.finish()}
        self._keep(request.replace(status=status), networks)
        return status

    def _keep(self, attached: AttachRequest, networks: Mapping[str, Network]) -> None:
        """Remember an attachment that has changed, and what taking it down will need."""
        self._ledger.attach(NAME, attached)
        addresses = {name: _addresses(attached.status.get(name)) for name in attached.networks}
        named = attached.replace(networks=_with_interfaces(attached))
        document = self._document(named, {name: networks[name] for name in attached.networks}, addresses)
        make_dirs(self._attached)
        atomic_write(self._record(attached.container_id), jsontext.dumps(document).encode(), sync=False)
        self._forward(attached)

    def disconnect(self, request: AttachRequest, network: str) -> dict[str, NetworkStatus]:
        """Leave *network*; returns the status that is left."""
        self._tear_down_now(request, [network])
        left = {name: block for name, block in request.status.items() if name != network}
        options = {name: wanted for name, wanted in request.networks.items() if name != network}
        after = request.replace(status=left, networks=options)
        self._keep(after, {name: self.definitions.get(name) for name in options})
        self.leases.release_one(request.container_id, network)
        return left

    def _tear_down_now(self, request: AttachRequest, names: Collection[str]) -> None:
        networks = {}
        for name in names:
            try:
                networks[name] = self.definitions.get(name)
            except NotFound:
                log.warning(f"network {name} of container {request.container_id} no longer exists")
        addresses = {name: _addresses(request.status.get(name)) for name in networks}
        options = _with_interfaces(request)
        wanted = request.replace(networks={name: options[name] for name in networks})
        document = jsontext.dumps(self._document(wanted, networks, addresses)).encode()
        turn = self.lock()
        try:
            done = run(self.arguments(self._find_program(), "teardown", request.net_ns), input=document, timeout=60)
        finally:
            os.close(turn)
        if done.returncode:
            log.warning(f"netavark: {_error_text(done.stdout)}")

    def reload(self, request: AttachRequest) -> dict[str, NetworkStatus]:
        """Take the network down and set it up again with the same addresses, as Podman does."""
        request = self._ledger.attachment(request.container_id) or request
        self._tear_down_now(request, list(request.networks))
        same = {
            name: options.replace(
                static_ips=_addresses(request.status.get(name)), static_mac=_mac(request.status.get(name))
            )
            for name, options in _with_interfaces(request).items()
        }
        self.leases.release(request.container_id)
        return self._set_up(request.replace(networks=same, status={}), list(same))

    def forget_network(self, network: Network) -> None:
        """Take away the bridge and the rules of a network nobody uses."""
        self.settle()
        bridge = network.network_interface
        if network.driver == "bridge" and _exists(bridge) and wait_for_ports(bridge):
            self._remove_bridge(network)

    # -- checking ------------------------------------------------------------------------------------------------

    def check(self, alive: Collection[str]) -> list[str]:
        """Leases of containers that do not run, and teardowns nobody finished."""
        found = [
            f"container {holder[:12]} has an address lease but does not run"
            for holder in sorted((self.leases.holders() | set(self._recorded())) - set(alive))
        ]
        try:
            for name in os.listdir(self._pending):
                path = f"{self._pending}/{name}"
                old = name.endswith(".json") and time.time() - os.stat(path).st_mtime > _DOUBTFUL
                if old and not with_argument(path):
                    found.append(f"the network of container {name[:12]} was not taken down")
        except FileNotFoundError:
            pass
        return found + self.forwards.problems(alive)

    def _recorded(self) -> list[str]:
        """Ids of the containers whose rules or names netavark made and has not been asked to take down."""
        try:
            return [name.removesuffix(".json") for name in os.listdir(self._attached) if name.endswith(".json")]
        except FileNotFoundError:
            return []

    def _tear_down_lost(self, container: str) -> None:
        """Take down what a container left that was never detached; netavark needs some namespace to look into."""
        from wherry.sys.namespaces import create_netns, remove_netns

        record = self._record(container)
        attached = self._ledger.attachment(container)
        if attached is not None and os.path.exists(attached.net_ns):
            self.detach(attached)
            return
        namespace = f"{self._directory}/lost"
        create_netns(namespace)
        turn = self.lock()
        try:
            # That there is no interface any more is an error to netavark, but the rules go.
            words = self.arguments(self._find_program(), "teardown", namespace)
            done = run(words, input=read_bytes(record), timeout=60)
            log.debug(f"netavark: {done.stdout.decode(errors='replace').strip()}")
        finally:
            os.close(turn)
            remove_netns(namespace)
        os.unlink(record)
        self._ledger.detach(container)

    def repair(self, alive: Collection[str]) -> None:
        """End stale leases, finish teardowns, and remove bridges and rules of networks nobody is attached to."""
        for container in self._recorded():
            if container not in alive:
                self._tear_down_lost(container)
        for holder in self.leases.holders() - set(alive):
            self._ledger.detach(holder)
        for container in self.forwards.stale(alive):
            self.forwards.stop(container)
        for request in self._ledger.attachments(NAME):
            self._forward(request)
        self.settle()
        used = self.leases.networks_in_use()
        for network in self.definitions.list():
            bridge = network.network_interface
            # A bridge with interfaces has another engine's containers on it.
            if network.name not in used and network.driver == "bridge" and _exists(bridge) and wait_for_ports(bridge):
                self._remove_bridge(network)

    def _remove_bridge(self, network: Network) -> None:
        """netavark removes bridge and subnet rules with a network's last container, so give it one and take it away."""
        from wherry.model.network import NetworkOptions
        from wherry.sys.namespaces import create_netns, remove_netns

        identity = "0" * 64
        namespace = f"{self._directory}/last"
        create_netns(namespace)
        request = AttachRequest(container_id=identity, net_ns=namespace, networks={network.name: NetworkOptions()})
        try:
            pending = self.begin(request)
            pending.result()
            turn = self.lock()
            try:
                document = jsontext.dumps(pending.document).encode()
                run(self.arguments(self._find_program(), "teardown", namespace), input=document, timeout=60)
            finally:
                os.close(turn)
        except WherryError as error:
            log.warning(f"removing bridge {network.network_interface}: {error}")
        finally:
            self._ledger.detach(identity)
            remove_netns(namespace)


class PendingSetup:
    """netavark at work on one container."""

    def __init__(
        self, driver: NetavarkDriver, request: AttachRequest, document: dict[str, Any], program: str
    ) -> None:
        self._driver = driver
        self._request = request
        self.document = document
        self._turn = driver.lock()
        try:
            self._child = Child(
                driver.arguments(program, "setup", request.net_ns), jsontext.dumps(document).encode()
            )
        except BaseException:
            os.close(self._turn)
            raise

    def result(self) -> dict[str, NetworkStatus]:
        """Wait; returns network -> status. Raises ``WherryError`` with netavark's words, leases returned."""
        try:
            status = self.finish()
        except WherryError:
            self._driver.failed(self._request)
            raise
        self._driver.succeeded(self._request, status)
        return status

    def finish(self) -> dict[str, NetworkStatus]:
        """Wait; returns network -> status. Raises ``WherryError`` with netavark's words."""
        code, data = self._child.finish()
        os.close(self._turn)
        if code == 0:
            try:
                return {name: NetworkStatus.from_json(block) for name, block in jsontext.loads(data).items()}
            except (jsontext.JSONError, AttributeError):
                pass
        raise WherryError(f"netavark: {_error_text(data)}")

    def cancel(self) -> None:
        """Give up: wait, then undo."""
        try:
            status = self.result()
        except WherryError:
            return
        self._driver.detach(self._request.replace(status=status))


def _wait_for_setup(request: AttachRequest) -> None:
    """Wait for a netavark that was started by a process that is dead: it may still be making rules."""
    deadline = time.monotonic() + _STRAY_TIMEOUT
    for pid, argv in with_argument(request.net_ns).items():
        if argv[-2:] == ["setup", request.net_ns]:
            wait_gone(pid, timeout=max(0.0, deadline - time.monotonic()))


def _error_text(data: bytes) -> str:
    text = data.decode(errors="replace").strip()
    try:
        return str(jsontext.loads(text)["error"])
    except (jsontext.JSONError, KeyError, TypeError):
        return text or "it failed without saying why"


def _addresses(status: NetworkStatus | None) -> list[str]:
    if status is None:
        return []
    return [
        address.ipnet.partition("/")[0] for interface in status.interfaces.values() for address in interface.subnets
    ]


def _with_interfaces(request: AttachRequest) -> dict[str, NetworkOptions]:
    """The networks of a running container, each with the interface it really has."""
    found = {}
    for name, options in request.networks.items():
        block = request.status.get(name)
        have = next(iter(block.interfaces), "") if block is not None else ""
        found[name] = options.replace(interface_name=have or options.interface_name)
    return found


def _mac(status: NetworkStatus | None) -> str:
    for interface in status.interfaces.values() if status is not None else ():
        return interface.mac_address
    return ""


def _ports(mappings: Collection[Any]) -> set[tuple[str, int]]:
    return {
        (protocol, mapping.host_port + offset)
        for mapping in mappings
        for protocol in mapping.protocol.split(",")
        for offset in range(mapping.range or 1)
    }


def _document_ports(document: Mapping[str, Any]) -> set[tuple[str, int]]:
    return {
        (protocol, entry["host_port"] + offset)
        for entry in document.get("port_mappings") or ()
        for protocol in entry["protocol"].split(",")
        for offset in range(entry.get("range") or 1)
    }


def _wait_for_removal(path: str, timeout: float = 10.0) -> None:
    deadline = time.monotonic() + timeout
    while os.path.exists(path) and time.monotonic() < deadline:
        time.sleep(0.005)


def _exists(interface: str) -> bool:
    from _socket import if_nametoindex

    try:
        if_nametoindex(interface)
    except OSError:
        return False
    return True
