"""Sending signals to a container's processes."""

from __future__ import annotations

import os
from _signal import SIGKILL, pidfd_send_signal  # the C part of signal, without enum

from wherry.sys.processes import start_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.engine.locked import LockedContainer


def send(held: LockedContainer, number: int) -> bool:
    """Send signal *number*; False if the process is gone already.

    With a PID namespace of its own the kernel takes the rest down with process 1, so one pidfd signal does what
    starting the OCI runtime would do, without starting it.  Without one, SIGKILL must reach every process of the
    cgroup and only the runtime knows them all.
    """
    if number == SIGKILL and not _has_pid_namespace(held):
        runtime = held.runtime.oci_runtime(held.state.runtime or held.config.runtime)
        runtime.kill(held.id, number, all=True)
        return True
    return send_to_process(held.state.pid, held.state.pid_start, number)


def send_to_process(pid: int, start: int, number: int) -> bool:
    """Signal a process known by pid and start time without any chance of hitting another one."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        if start and start_time(pid) != start:
            return False
        pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)
    return True


def _has_pid_namespace(held: LockedContainer) -> bool:
    linux = held.config.spec.get("linux") or {}
    return any(entry.get("type") == "pid" and not entry.get("path") for entry in linux.get("namespaces") or ()) and (
        not held.config.pid_ns_ctr
    )
