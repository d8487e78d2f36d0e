"""System tests run in a network namespace of their own: bridges, rules and ports they make are not the host's."""

from __future__ import annotations

import fcntl
import os
import socket
import struct

import pytest
from tests.system.fixtures.engine import base, layout, rt

from wherry.sys import libc

__all__ = ["base", "layout", "rt"]

SIOCGIFFLAGS = 0x8913
SIOCSIFFLAGS = 0x8914
IFF_UP = 1


@pytest.fixture(scope="session", autouse=True)
def private_network() -> None:
    """Leave the host's network namespace for good (children inherit the new one) and bring loopback up."""
    if os.geteuid() != 0:
        pytest.skip("system tests need root")
    libc.unshare(libc.CLONE_NEWNET)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sH14s", b"lo", 0, b"")
        flags = struct.unpack("16sH14s", fcntl.ioctl(control, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14s", b"lo", flags | IFF_UP, b""))
