"""Who this process is."""

from __future__ import annotations

import os

from wherry.sys.files import read_bytes

_EVERY_ID = [b"0", b"0", b"4294967295"]


def is_root() -> bool:
    """Is the effective user id 0 (perhaps only inside a user namespace)?"""
    return os.geteuid() == 0


def effective_uid() -> int:
    return os.geteuid()


def in_user_namespace() -> bool:
    """Are we in a user namespace other than the initial one, judged by its id map?"""
    try:
        return read_bytes("/proc/self/uid_map").split() != _EVERY_ID
    except FileNotFoundError:       # a kernel without user namespaces
        return False
