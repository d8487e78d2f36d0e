"""What the running kernel offers. Nothing here changes anything; probes that mount are in :mod:`overlay_probes`."""

from __future__ import annotations

import os

from wherry.sys.files import read_bytes, try_read_text


def kernel_release() -> str:
    return os.uname().release


def kernel_version() -> tuple[int, int]:
    """(major, minor) of the running kernel."""
    major, minor, *_ = (kernel_release() + ".0").split(".")
    digits = len(minor) - len(minor.lstrip("0123456789"))
    return int(major), int(minor[:digits] or 0)


def selinux_enabled() -> bool:
    """Is SELinux compiled in, active and its file system mounted?"""
    return os.path.exists("/sys/fs/selinux/enforce")


def selinux_enforcing() -> bool:
    return (try_read_text("/sys/fs/selinux/enforce") or "").strip() == "1"


def apparmor_enabled() -> bool:
    """Is AppArmor active in the kernel?"""
    return (try_read_text("/sys/module/apparmor/parameters/enabled") or "")[:1] == "Y"


def seccomp_enabled() -> bool:
    """Does the kernel know seccomp filters? (proc(5): it then reports a mode for every process)"""
    return b"\nSeccomp:" in read_bytes("/proc/self/status")


def has_filesystem(name: str) -> bool:
    """Does the kernel know file system *name*, or could it load a module for it?"""
    known = [line.split()[-1] for line in read_bytes("/proc/filesystems").splitlines()]
    if name.encode() in known:
        return True
    modules = try_read_text(f"/lib/modules/{kernel_release()}/modules.dep") or ""
    return f"/{name}.ko" in modules
