"""Sockets systemd opened for us, handed on to the container (sd_listen_fds(3)).

They are descriptors 3, 4, ... of this process.  Only the process systemd started may take them, which LISTEN_PID tells;
the container finds them at the same numbers, with its first process as the one they are for.
"""

from __future__ import annotations

import os

from wherry.sys import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.engine.locked import LockedContainer


def passed_on(held: LockedContainer) -> int:
    """The number of descriptors from 3 on that the container gets because systemd gave them to us."""
    environment = held.runtime.settings.environment
    if not environment.listen_fds or environment.listen_pid != str(os.getpid()) or held.config.is_infra:
        return 0
    if held.config.preserve_fds:
        log.warning("Ignoring LISTEN_FDS to preserve custom user-specified FDs")
        return 0
    return int(environment.listen_fds) if environment.listen_fds.isdigit() else 0


def variables(held: LockedContainer) -> dict[str, str]:
    """What tells the container's first process of them."""
    if not held.runtime.settings.environment.listen_fds:
        return {}
    count = passed_on(held)
    if not count:
        return {}
    found = {"LISTEN_PID": "1", "LISTEN_FDS": str(count)}
    names = held.runtime.settings.environment.listen_fdnames
    return {**found, "LISTEN_FDNAMES": names} if names else found
