"""``--log-opt max-file``: a process beside conmon that sets full log files aside and ends with it.

It is nothing but a watcher (:mod:`wherry.logs.rotation`): when it is killed the log grows, and nothing is lost.
"""

from __future__ import annotations

import os
import sys

from wherry.sys import log, processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.engine.locked import LockedContainer
    from wherry.model.container import ContainerConfig


def rotates(config: ContainerConfig) -> bool:
    """Are full logs of the container to be kept?"""
    return config.log_max_files > 0 and config.log_size > 0 and config.log_driver in ("k8s-file", "json-file")


def start(held: LockedContainer) -> None:
    """Start the process for a container whose conmon runs."""
    import wherry

    config = held.config
    interpreter = sys.executable or os.path.join(sys.base_prefix, "bin", "python3")
    program = os.path.join(os.path.dirname(wherry.__file__), "logs", "rotation.py")
    words = [
        interpreter, "-ISXutf8", program, str(held.state.conmon_pid), config.log_path, str(config.log_size),
        str(config.log_max_files), f"{config.static_dir}/ctl",
    ]
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    try:
        # setsid --fork: nobody here has to wait for it
        pid = processes.spawn(["setsid", "--fork", *words], env={}, fds={0: null, 1: null, 2: null})
        processes.wait(pid)
    except OSError as error:
        log.warning(f"full logs of container {held.id} will not be set aside: {error}")
    finally:
        os.close(null)
