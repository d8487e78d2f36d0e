"""What the recovery tests share."""

from __future__ import annotations

import time
from collections.abc import Callable

from wherry.engine.container import Container
from wherry.engine.runtime import Runtime
from wherry.engine.signals import send_to_process
from wherry.model.container import ContainerState
from wherry.sys.processes import wait_gone

#: How a child process opens the engine of the test; its first argument is the engine's directory.
OPEN = """
from wherry.engine.runtime import Runtime
base = arguments[0]
rt = Runtime(root=f"{base}/root", runroot=f"{base}/run", network_config_dir=f"{base}/networks",
             storage_driver="overlay")
"""


def at_rest(rt: Runtime) -> None:
    """What a user does after a crash: look, repair, look again. Everything must be mended then."""
    rt.containers.list(all=True)
    unrepaired = [finding for finding in rt.check(quick=True, repair=True) if not finding.repaired]
    assert unrepaired == []
    deadline = time.monotonic() + 5
    while rt.check(quick=True) and time.monotonic() < deadline:
        # A monitor that was still ending at the first look leaves its files a moment later.
        time.sleep(0.1)
        rt.check(quick=True, repair=True)
    assert rt.check(quick=True) == []


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for something that happens by itself."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def ended_without_exit_command(rt: Runtime, container: Container) -> None:
    """Run *container* to its end with nobody cleaning up after it."""
    rt.state.rewrite_config(container.id, container.config.replace(exit_command=["/bin/true"]))
    container.start()
    state = rt.state.container_state(container.id)
    send_to_process(state.pid, state.pid_start, 9)
    assert wait_gone(state.conmon_pid, state.conmon_start, 20)


def kill(state: ContainerState, *, conmon: bool, wait: bool = True) -> None:
    """SIGKILL for a container's conmon or its process."""
    pid, start = (state.conmon_pid, state.conmon_start) if conmon else (state.pid, state.pid_start)
    assert send_to_process(pid, start, 9)
    if wait:
        assert wait_gone(pid, start, 20)
