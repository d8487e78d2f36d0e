"""Telling the service manager that started us about a container (sd_notify(3))."""

from __future__ import annotations

import os

from wherry.sys import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.engine.locked import LockedContainer


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


def _send(path: str, text: str) -> None:
    import _socket

    address = os.fsencode("\0" + path[1:] if path.startswith("@") else path)
    channel = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    try:
        channel.sendto(text.encode(), address)
    finally:
        channel.close()
