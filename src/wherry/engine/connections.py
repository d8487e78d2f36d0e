"""Networks of containers that exist already: connect, disconnect, reload."""

from __future__ import annotations

from wherry.errors import InvalidArgument, StateError
from wherry.model import status
from wherry.model.event import Event
from wherry.model.timestamps import now_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.engine.locked import LockedContainer
    from wherry.engine.runtime import Runtime
    from wherry.model.network import NetworkOptions

_WITH_NETWORK = (status.CREATED, status.RUNNING, status.PAUSED, status.STOPPING)


class NetworkModeInvalid(InvalidArgument):
    cause = "invalid network mode"


def connect(runtime: Runtime, identity: str, network: str, options: NetworkOptions) -> None:
    """Connect a container to *network*; a running one gets an interface at once.

    Raises ``AlreadyExists`` when it is connected, :class:`NetworkModeInvalid` when it has no bridge networks.
    """
    with runtime.lock(identity) as held:
        _check_mode(held)
        network = runtime.networking.definitions.get(network).name
        running = held.state.status in _WITH_NETWORK
        if running and not held.state.net_ns:
            raise StateError(f"unable to connect {network} to {identity}: container has no network namespace")
        hostname = held.config.spec.get("hostname") or identity[:12]
        aliases = list(dict.fromkeys([*options.aliases, identity[:12], hostname]))
        if not options.interface_name and not running:
            options = options.replace(interface_name=_free_interface(held))
        options = options.replace(aliases=aliases)
        runtime.state.connect(identity, network, options, _event(held, network, "connect"))
        try:
            held.config = runtime.state.container_config(identity)
            if running:
                runtime.networking.connect(held, network)
        except BaseException:
            runtime.state.disconnect(identity, network)
            raise
        runtime.publish()


def disconnect(runtime: Runtime, identity: str, network: str) -> None:
    """Disconnect a container; a running one loses its interface at once. Raises ``NoSuchNetwork``."""
    with runtime.lock(identity) as held:
        _check_mode(held)
        runtime.state.disconnect(identity, network, _event(held, network, "disconnect"))
        if held.state.status in _WITH_NETWORK and held.state.net_ns:
            runtime.networking.disconnect(held, network)
        held.config = runtime.state.container_config(identity)
        runtime.publish()


def reload(runtime: Runtime, identity: str) -> None:
    """Make firewall rules and names of a running container again. Raises ``StateError`` if it does not run."""
    with runtime.lock(identity) as held:
        if held.state.status not in _WITH_NETWORK:
            raise StateError(f"cannot reload network unless container is running: container {identity}")
        if held.config.networks and held.state.net_ns:
            runtime.networking.reload(held)


def reloadable(runtime: Runtime) -> list[str]:
    """Ids of the running containers that are on a network."""
    return [row.id for row in runtime.state.container_rows(all=True) if row.status in _WITH_NETWORK and row.networks]


def _check_mode(held: LockedContainer) -> None:
    mode = held.config.network_mode
    if held.config.net_ns_ctr:
        mode = "container"
    if mode != "bridge":
        raise NetworkModeInvalid(f'"{mode or "private"}" is not supported')


def _free_interface(held: LockedContainer) -> str:
    taken = {options.interface_name for options in held.config.networks.values()}
    return next(name for name in map("eth{}".format, range(len(taken) + 1)) if name not in taken)


def _event(held: LockedContainer, network: str, what: str) -> Event:
    return Event(id=held.id, network=network, type="network", status=what, time_ns=now_ns())
