"""Bridge networks without privileges over the host: in a network namespace all containers of the engine share.

The namespace is made for the first container and dropped after the last; pasta(1) connects it to the host.  Inside, the
native driver or netavark makes bridges, addresses, rules and names as it would on the host: the engine's user namespace
owns the namespace, so it may.  Published ports are forwarded by a process that listens on the host and connects inside,
so containers see the bridge's address as the source, as with Podman's port forwarder.

Work inside is done in threads that enter the namespace and end: without privileges there is no way back.
"""

from __future__ import annotations

import os

from wherry.network.forwards import Forward, Forwards, each
from wherry.network.hold import Hold
from wherry.network.usermode import DNS_FORWARD, SHARED, UserMode
from wherry.sys.files import make_dirs
from wherry.sys.namespaces import call_in_netns, create_netns, remove_netns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from typing import TypeVar

    from wherry.config.settings import Settings
    from wherry.model.network import Network, NetworkStatus
    from wherry.network.definitions import Definitions
    from wherry.network.leases import Leases
    from wherry.network.protocol import AttachRequest, Driver, Pending

    T = TypeVar("T")


_HAS_IPV6 = "/proc/net/if_inet6"


class SharedNamespace:
    """The network namespace of one engine's rootless bridges, and the process that connects it."""

    def __init__(self, settings: Settings, run_dir: str) -> None:
        self.path = run_dir + "/rootless/netns"
        self._lock = run_dir + "/rootless.lock"
        self._directory = run_dir
        self._uplink = UserMode(settings, run_dir)

    def exists(self) -> bool:
        return os.path.exists(self.path)

    def connected(self) -> bool:
        """Does the process that connects it run?"""
        return self._uplink.alive(SHARED)

    def hold(self) -> Hold:
        """The lock to hold while it is made, joined or dropped."""
        make_dirs(self._directory)
        return Hold(self._lock)

    def make(self) -> None:
        """Make it, or connect it again, unless it is there and connected. The lock is held."""
        if self.exists() and self.connected():
            return
        fresh = not self.exists()
        if fresh:
            create_netns(self.path)
        try:
            self._uplink.connect_shared(self.path)
        except BaseException:
            if fresh:
                remove_netns(self.path)
            raise

    def drop(self) -> None:
        """End its process and let go of it. The lock is held."""
        self._uplink.stop(SHARED)
        remove_netns(self.path)

    def call(self, work: Callable[[], T]) -> T:
        """Do *work* inside, in a thread that ends."""
        return call_in_netns(self.path, work)


class RootlessDriver:
    """Another driver at work in a shared namespace."""

    def __init__(self, inner: Driver, settings: Settings, run_dir: str) -> None:
        self._inner = inner
        self.name = inner.name
        self.definitions: Definitions = inner.definitions
        self.leases: Leases = inner.leases
        self.shared = SharedNamespace(settings, run_dir)
        self._forwards = Forwards(run_dir)

    @property
    def lost_rules(self) -> bool:
        """Did the inner driver find the rules of running containers gone?"""
        return self._inner.lost_rules

    def backend_of(self, container: str) -> str:
        return self._inner.backend_of(container)

    # -- attaching -----------------------------------------------------------------------------------------------

    def begin(self, request: AttachRequest) -> PendingRootless:
        """Make the namespace if it is not there, and begin attaching inside it."""
        with self.shared.hold():
            self.shared.make()
            try:
                pending = self.shared.call(lambda: self._inner.begin(_inside(request)))
            except BaseException:
                self._drop_unused()
                raise
        return PendingRootless(self, request, pending)

    def publish(self, request: AttachRequest, status: Mapping[str, NetworkStatus]) -> None:
        """Let the container's published ports lead to where *status* says."""
        found = forwards(request, status)
        if found:
            self._forwards.follow(request.container_id, found, self.shared.path)
        else:
            self._forwards.stop(request.container_id)

    def detach(self, request: AttachRequest) -> None:
        """Undo an attachment; the namespace goes with the last container."""
        self._forwards.stop(request.container_id)
        with self.shared.hold():
            if self.shared.exists():
                self.shared.call(lambda: self._inner.detach(_inside(request)))
            else:
                self._inner.detach(_inside(request))        # only leases are left
            self._drop_unused()

    def _drop_unused(self) -> None:
        if self.shared.exists() and not self.leases.holders():
            self.shared.call(self._inner.settle)
            self.shared.drop()

    # -- running containers --------------------------------------------------------------------------------------

    def connect(self, request: AttachRequest, network: str) -> Mapping[str, NetworkStatus]:
        status = self.shared.call(lambda: self._inner.connect(_inside(request), network))
        self.publish(request, status)
        return status

    def disconnect(self, request: AttachRequest, network: str) -> Mapping[str, NetworkStatus]:
        status = self.shared.call(lambda: self._inner.disconnect(_inside(request), network))
        self.publish(request, status)
        return status

    def reload(self, request: AttachRequest) -> Mapping[str, NetworkStatus]:
        """Rules, names, forwarded ports and, should it have died, the namespace's connection again."""
        with self.shared.hold():
            self.shared.make()
            status = self.shared.call(lambda: self._inner.reload(_inside(request)))
        self.publish(request, status)
        return status

    def forget_network(self, network: Network) -> None:
        if self.shared.exists():
            self.shared.call(lambda: self._inner.forget_network(network))

    def settle(self) -> None:
        if self.shared.exists():
            self.shared.call(self._inner.settle)

    # -- checking ------------------------------------------------------------------------------------------------

    def check(self, alive: Collection[str]) -> list[str]:
        """What the inner driver finds, ports of dead containers, and a namespace that is cut off or used by nobody."""
        found = self.shared.call(lambda: self._inner.check(alive)) if self.shared.exists() else []
        found = list(dict.fromkeys([*found, *self._forwards.problems(alive)]))
        if self.shared.exists() and not self.leases.holders():
            found.append("the network namespace of rootless bridges is used by nobody")
        elif self.shared.exists() and not self.shared.connected():
            found.append("the network namespace of rootless bridges is not connected to the host")
        return found

    def repair(self, alive: Collection[str]) -> None:
        for container in self._forwards.stale(alive):
            self._forwards.stop(container)
        with self.shared.hold():
            if self.shared.exists():
                self.shared.call(lambda: self._inner.repair(alive))
            self._drop_unused()
            if self.shared.exists():
                self.shared.make()


class PendingRootless:
    """An attachment inside the shared namespace."""

    def __init__(self, driver: RootlessDriver, request: AttachRequest, pending: Pending) -> None:
        self._driver = driver
        self._request = request
        self._pending = pending

    def result(self) -> Mapping[str, NetworkStatus]:
        """Wait, then open the published ports; raises ``WherryError``, everything undone."""
        try:
            status = self._driver.shared.call(self._pending.result)
            self._driver.publish(self._request, status)
        except BaseException:
            self._driver.detach(self._request)
            raise
        return status

    def cancel(self) -> None:
        """Give up: wait, then undo."""
        self._driver.shared.call(self._pending.cancel)
        self._driver.detach(self._request)


def forwards(request: AttachRequest, status: Mapping[str, NetworkStatus]) -> list[Forward]:
    """One socket per published port and host address; without an address, all of either IP version."""
    from wherry.network.firewall import targets

    found = targets(request.replace(status=status))
    target = found.get(4) or found.get(6)
    if not target:
        return []
    everywhere = ["0.0.0.0", "::"] if os.path.exists(_HAS_IPV6) else ["0.0.0.0"]
    return [
        Forward(protocol, host_ip, mapping.host_port + offset, _target(host_ip, found, target),
                mapping.container_port + offset)
        for mapping in request.port_mappings
        for host_ip in ([mapping.host_ip] if mapping.host_ip else everywhere)
        for protocol, offset in each(mapping)
    ]


def _target(host_ip: str, found: Mapping[int, str], otherwise: str) -> str:
    return found.get(6 if ":" in host_ip else 4) or otherwise


def _inside(request: AttachRequest) -> AttachRequest:
    """What the inner driver is told: no ports to publish, and name servers that can be reached from inside."""
    return request.replace(port_mappings=(), dns_servers=request.dns_servers or [DNS_FORWARD])
