"""Telling the service manager that started us about a container (sd_notify(3)).

The socket is that of the process that starts the container; a container that is started again by its own exit command
uses the one it was created with.
"""

from __future__ import annotations

import os

from wherry.sys import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from wherry.engine.locked import LockedContainer
    from wherry.engine.runtime import Runtime
    from wherry.model.container import ContainerConfig

#: A start that goes on for long (a pull) asks for so much more time (microseconds) and again after so many seconds.
MORE_TIME = 30_000_000
AGAIN = 10.0


def socket_of(held: LockedContainer) -> str:
    """The manager's socket; empty when nobody is to be told."""
    config = held.config
    if config.sdnotify_mode == "ignore" or config.is_infra:
        return ""
    return held.runtime.settings.environment.notify_socket or config.sdnotify_socket


def relays_to(held: LockedContainer) -> str:
    """The socket conmon hands the container's own messages on to, in mode ``container``."""
    path = socket_of(held) if held.config.sdnotify_mode == "container" else ""
    if path and not path.startswith("@") and not os.path.exists(path):
        return ""       # of a manager that is gone
    return path


def tell_started(held: LockedContainer) -> None:
    """The container's process runs: conmon is the service's main process, and in mode ``conmon`` it is ready.

    In mode ``container`` the container says itself when it is ready, which conmon hands on; in mode ``healthy`` it is
    ready with its first successful probe.
    """
    path = socket_of(held)
    if not path:
        return
    text = f"MAINPID={held.state.conmon_pid}"
    if held.config.sdnotify_mode == "conmon":
        text += "\nREADY=1"
    try:
        send(path, text)
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
        send(config.sdnotify_socket, "READY=1")
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


class MoreTime:
    """``with MoreTime(runtime):`` around something that may take long while a unit is starting."""

    def __init__(self, runtime: Runtime) -> None:
        self._path = runtime.settings.environment.notify_socket
        self._ended = False

    def __enter__(self) -> Self:
        if self._path:
            from _thread import start_new_thread

            start_new_thread(self._ask, ())
        return self

    def __exit__(self, *_exc: object) -> None:
        self._ended = True

    def _ask(self) -> None:
        from time import sleep

        while not self._ended:
            try:
                send(self._path, f"EXTEND_TIMEOUT_USEC={MORE_TIME}")
            except OSError as error:
                log.debug(f"asking systemd for more time: {(error.strerror or str(error)).lower()}")
                return
            sleep(AGAIN)


def send(path: str, text: str) -> None:
    """Send a message to a notification socket; an abstract one begins with ``@``. Raises :class:`OSError`."""
    import _socket

    address = os.fsencode("\0" + path[1:] if path.startswith("@") else path)
    channel = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    try:
        channel.sendto(text.encode(), address)
    finally:
        channel.close()
