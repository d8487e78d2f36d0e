"""``--log-opt max-file``: a process beside conmon that sets full log files aside and ends with it.

conmon itself can only empty a full log.  The process is nothing but a watcher: when it is killed the log grows, and
nothing is lost.
"""

from __future__ import annotations

import os

from wherry.sys import log, processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.engine.locked import LockedContainer
    from wherry.engine.runtime import Runtime
    from wherry.model.container import ContainerConfig

#: Seconds between two looks at the log.
INTERVAL = 0.25


def rotates(config: ContainerConfig) -> bool:
    """Are full logs of the container to be kept?"""
    return config.log_max_files > 0 and config.log_size > 0 and config.log_driver in ("k8s-file", "json-file")


def start(held: LockedContainer) -> None:
    """Start the process for a container whose conmon runs."""
    from wherry.engine.exit_command import environment, global_words
    from wherry.sys.program import command

    conmon = held.state.conmon_pid
    words = [*command(), *global_words(held.runtime), "container", "cleanup", f"--rotate-logs={conmon}", held.id]
    variables = dict(word.partition("=")[::2] for word in environment(held.runtime))
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    try:
        # setsid --fork: nobody here has to wait for it
        pid = processes.spawn(["setsid", "--fork", *words], env=variables, fds={0: null, 1: null, 2: null})
        processes.wait(pid)
    except OSError as error:
        log.warning(f"full logs of container {held.id} will not be set aside: {error}")
    finally:
        os.close(null)


def watch(runtime: Runtime, identity: str, conmon: int) -> None:
    """The process's work: until the conmon with that pid ends, set its container's log aside whenever it is full."""
    from wherry.logs.rotation import is_full, rotate
    from wherry.oci.attach import reopen_logs

    start_time = processes.start_time(conmon)
    config = runtime.state.container_config(identity)
    runtime.close()
    while start_time and not processes.wait_gone(conmon, start_time, INTERVAL):
        if is_full(config.log_path, config.log_size):
            try:
                rotate(config.log_path, config.log_max_files, lambda: reopen_logs(config.static_dir))
            except OSError as error:
                log.warning(f"setting the log of container {identity} aside: {error}")
