"""What a killed wherry left under way: a conmon nobody listens to and a runtime half-way through ``create``.

They are not stopped half-way: a runtime killed in ``create`` leaves cgroups and directories that no command of it
would find again.  It is waited for, which takes milliseconds, and what it made can then be deleted as usual.
"""

from __future__ import annotations

import os
import time

from wherry.oci.monitor import read_pid
from wherry.sys import processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

#: Seconds a creation may still take before what is left of it is killed.
TIMEOUT = 20.0
_PAUSE = 0.005


def settle(container_id: str, pid_file: str) -> None:
    """Wait until a creation whose starter died has come to an end, then end its conmon.

    *pid_file* is where the runtime writes the container's pid when it exists.  The container itself, if it was made,
    is left to :meth:`wherry.oci.runtime.OciRuntime.delete`.
    """
    deadline = time.monotonic() + TIMEOUT
    while True:
        found = processes.with_argument(container_id)
        monitors = [pid for pid, argv in found.items() if _is_monitor(argv, container_id) and not _is_over(pid, found)]
        pid = read_pid(pid_file)
        runtimes = [other for other, argv in found.items() if other != pid and _is_creating(argv, container_id)]
        if not runtimes and (pid or not monitors):
            break
        if time.monotonic() > deadline:
            _kill(runtimes)
            break
        time.sleep(_PAUSE)
    _kill(monitors)


def _is_monitor(argv: Sequence[str], container_id: str) -> bool:
    return "--exec" not in argv and "--cid" in argv[:-1] and argv[argv.index("--cid") + 1] == container_id


def _is_creating(argv: Sequence[str], container_id: str) -> bool:
    return argv[-1] == container_id and "--bundle" in argv and ("create" in argv or "restore" in argv)


def _is_over(monitor: int, found: dict[int, list[str]]) -> bool:
    """Has this conmon come to its exit command, which may be waiting for us, or be us?"""
    commands = [os.getpid(), *(pid for pid, argv in found.items() if "cleanup" in argv)]
    return any(processes.parent(pid) == monitor for pid in commands)


def _kill(pids: Sequence[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, processes.SIGKILL)
        except ProcessLookupError:
            continue
        processes.wait_gone(pid, timeout=5)
