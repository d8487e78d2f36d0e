"""Capabilities of this process (capabilities(7))."""

from __future__ import annotations

from wherry.sys.files import read_bytes

#: All names in bit order.
ALL = tuple(
    "CAP_" + name
    for name in (
        "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE "
        "NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT "
        "SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL "
        "SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
    ).split()
)


def names(mask: int) -> frozenset[str]:
    """The capabilities whose bits are set; bits this version has no name for are left out."""
    return frozenset(name for bit, name in enumerate(ALL) if mask >> bit & 1)


def effective() -> frozenset[str]:
    return names(_mask(b"CapEff:"))


def bounding() -> frozenset[str]:
    return names(_mask(b"CapBnd:"))


def last_cap() -> int:
    """Bit number of the last capability the running kernel knows."""
    return int(read_bytes("/proc/sys/kernel/cap_last_cap"))


def _mask(field: bytes) -> int:
    status = read_bytes("/proc/self/status")
    return int(status[status.index(field) + len(field):].split(None, 1)[0], 16)
