"""Telling the service manager that started us about a container (sd_notify(3))."""

from __future__ import annotations

import os

from wherry.sys import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.engine.locked import LockedContainer
    from wherry.engine.runtime import Runtime
    from wherry.model.container import ContainerConfig


def tell_started(held: LockedContainer) -> None:
    """The container's process runs: conmon is the service's main process, and in mode ``conmon`` it is ready.

    In mode ``container`` the container says itself when it is ready, which conmon hands on.
    """
    config = held.config
    if config.sdnotify_mode == "ignore" or not config.sdnotify_socket:
        return
    text = f"MAINPID={held.state.conmon_pid}"
    if config.sdnotify_mode == "conmon":
        text += "\nREADY=1"
    try:
        _send(config.sdnotify_socket, text)
    except OSError as error:
        log.error(f"notifying systemd of conmon's PID: {(error.strerror or str(error)).lower()}")


def is_due_when_healthy(config: ContainerConfig) -> bool:
    """Is the service manager to be told that the container is ready when it turns healthy?"""
    return config.sdnotify_mode == "healthy" and bool(config.sdnotify_socket)


def tell_healthy(runtime: Runtime, config: ContainerConfig) -> None:
    """Wait until the container is healthy and say that it is ready.

    It has to be said from here: systemd listens to the processes of the service's own cgroup, which timers' probes are
    not in.  Raises ``StateError`` when the container ends first.
    """
    from wherry.engine.wait import wait
    from wherry.model.health import HEALTHY

    wait(runtime, config.id, (HEALTHY,))
    try:
        _send(config.sdnotify_socket, "READY=1")
    except OSError as error:
        log.error(f"sending READY message after turning healthy: {(error.strerror or str(error)).lower()}")


def tell_healthy_meanwhile(runtime: Runtime, config: ContainerConfig) -> None:
    """The same in a thread, for a process that is busy with the container's streams."""
    from threading import Thread

    from wherry.engine.runtime import Runtime
    from wherry.errors import WherryError

    def work() -> None:
        conf = runtime.environment_changes.get("CONTAINERS_CONF", "")
        try:
            with Runtime(runtime.settings.options, config=conf) as own:
                tell_healthy(own, config)
        except WherryError as error:
            log.debug(f"waiting for container {config.id} to turn healthy: {error}")

    Thread(target=work, daemon=True).start()


def _send(path: str, text: str) -> None:
    import _socket

    address = os.fsencode("\0" + path[1:] if path.startswith("@") else path)
    channel = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    try:
        channel.sendto(text.encode(), address)
    finally:
        channel.close()
