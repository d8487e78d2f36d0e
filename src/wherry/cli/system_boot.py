"""``wherry system restart-all`` and ``stop-all``: for whatever starts and stops the host."""

from __future__ import annotations

from wherry.cli.containers_stop import seconds
from wherry.cli.flags import Flag
from wherry.cli.targets import finish

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from wherry.cli.call import Call
    from wherry.errors import WherryError

RESTART_ALL = ()
STOP_ALL = (
    Flag("time", "t", "int", "Seconds to wait before a container is killed (default: its own timeout)",
         aliases=("timeout",), metavar="seconds"),
)


def restart_all(call: Call) -> int:
    """Start the containers whose restart policy brings them back after a reboot; prints their ids."""
    from wherry.engine.boot import restart_all as restart

    return _told(call, *restart(call.runtime))


def stop_all(call: Call) -> int:
    """Stop all running containers so that ``restart-all`` brings them back; prints their ids."""
    from wherry.engine.boot import stop_all as stop

    return _told(call, *stop(call.runtime, seconds(call)))


def _told(call: Call, done: Sequence[str], errors: dict[str, WherryError]) -> int:
    for identity in done:
        call.out(identity + "\n")
    return finish(list(errors.values()))
