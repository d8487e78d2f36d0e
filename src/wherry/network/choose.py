"""Which network driver a runtime uses."""

from __future__ import annotations

from wherry.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.config.settings import Settings
    from wherry.network.protocol import Driver

BACKENDS = ("", "netavark")


def choose(settings: Settings, run_dir: str) -> Driver:
    """The driver for the configured ``network_backend``. Raises ``InvalidArgument`` for an unknown one."""
    backend = settings.network.network_backend
    if backend not in BACKENDS:
        raise InvalidArgument(f'unsupported network backend "{backend}", check network_backend in containers.conf')
    from wherry.network.netavark import NetavarkDriver

    return NetavarkDriver(settings, run_dir)
