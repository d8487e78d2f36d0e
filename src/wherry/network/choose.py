"""Which network driver a runtime uses."""

from __future__ import annotations

from wherry.errors import InvalidArgument, Unavailable
from wherry.sys import log, nftables
from wherry.sys.files import try_read_text
from wherry.sys.processes import find_program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.config.settings import Settings
    from wherry.network.protocol import Driver

BACKENDS = ("", "native", "netavark")
#: Present where the old iptables is used, whose rules nf_tables cannot see.
_LEGACY_TABLES = "/proc/net/ip_tables_names"


def choose(settings: Settings, run_dir: str) -> Driver:
    """The driver for the configured ``network_backend``; by default the native one where nft works, else netavark.

    Raises ``InvalidArgument`` for an unknown back end and ``Unavailable`` for one that was asked for and cannot work.
    """
    return named(chosen(settings), settings, run_dir)


def chosen(settings: Settings) -> str:
    """The name of the back end :func:`choose` takes."""
    backend = settings.network.network_backend
    if backend not in BACKENDS:
        raise InvalidArgument(f'unsupported network backend "{backend}", check network_backend in containers.conf')
    if backend == "netavark":
        return backend
    problem = obstacle(settings)
    if problem and backend == "native":
        raise Unavailable(f"network backend native: {problem}")
    if problem:
        log.debug(f"network backend netavark, because {problem}")
    return "netavark" if problem else "native"


def named(backend: str, settings: Settings, run_dir: str) -> Driver:
    """The driver called *backend* (``native`` or ``netavark``); a rootless engine's works in a shared namespace."""
    driver: Driver
    if backend == "native":
        from wherry.network.native import NativeDriver

        driver = NativeDriver(settings, run_dir)
    else:
        from wherry.network.netavark import NetavarkDriver

        driver = NetavarkDriver(settings, run_dir)
    if not settings.rootless:
        return driver
    from wherry.network.rootless import RootlessDriver

    return RootlessDriver(driver, settings, run_dir)


def obstacle(settings: Settings) -> str:
    """Why the native driver cannot be used on this host, empty if it can."""
    driver = settings.network.firewall_driver
    if driver == "none":
        return ""
    if driver in ("iptables", "firewalld"):
        return f"containers.conf asks for the firewall driver {driver}"
    if not find_program("nft"):
        return "nft is not installed"
    if settings.rootless:
        return ""       # rules are made in a namespace of our own, where nobody else has any
    if not nftables.available():
        return "the kernel has no nf_tables, or does not let us use it"
    # A packet another table drops cannot be let through by ours; netavark adds its rules to iptables' own.
    if nftables.drops(nftables.NFPROTO_IPV4, "filter", "FORWARD"):
        return "iptables drops forwarded packets by default"
    if "filter" in (try_read_text(_LEGACY_TABLES) or "").split():
        return "iptables-legacy is in use"
    return ""
