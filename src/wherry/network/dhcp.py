"""Addresses by DHCP: netavark's dhcp-proxy, a process that asks for them and renews them while containers run.

netavark finds it at a fixed socket, where systemd may start it (``netavark-dhcp-proxy.socket``); where it does not, the
first container that needs it does.  It ends by itself when it has had nothing to do for some minutes.
"""

from __future__ import annotations

import os
import time
from _socket import AF_UNIX, SOCK_CLOEXEC, SOCK_STREAM
from _socket import socket as Socket

from wherry.errors import Unavailable
from wherry.network.child import start_unattended
from wherry.sys.files import make_dirs
from wherry.sys.processes import run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.model.network import Network

DRIVER = "dhcp"
#: Where netavark looks for it (netavark-dhcp-proxy(8)).
SOCKET = "/run/podman/nv-proxy.sock"
_START_TIMEOUT = 10.0


def wanted(network: Network) -> bool:
    """Do containers get their addresses on this network by DHCP?"""
    return network.ipam_options.get("driver") == DRIVER


def available(program: str) -> bool:
    """Does this netavark come with the proxy? Those before 1.6 do not."""
    return bool(program) and run([program, "dhcp-proxy", "--help"]).returncode == 0


def ensure(program: str) -> None:
    """Let the proxy run. Raises ``Unavailable``."""
    if _answers():
        return
    if not available(program):
        raise Unavailable(
            "addresses by DHCP need the dhcp-proxy of netavark 1.6 or newer",
            hint="give the network a subnet, or --ipam-driver none",
        )
    make_dirs(os.path.dirname(SOCKET), 0o755)
    start_unattended([program, "dhcp-proxy"])
    deadline = time.monotonic() + _START_TIMEOUT
    while not _answers():
        if time.monotonic() > deadline:
            raise Unavailable("netavark's dhcp-proxy was started and does not answer")
        time.sleep(0.02)


def _answers() -> bool:
    client = Socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC)
    try:
        client.connect(SOCKET)
    except OSError:
        return False
    finally:
        client.close()
    return True
