"""System calls Python has no name for, with their constants.

Every function raises :class:`OSError` (with the path it was about, if any) when the call fails.  The C part of
:mod:`ctypes` is used without its Python part, whose import takes four milliseconds of every command that mounts;
nothing is loaded before the first call.
"""

from __future__ import annotations

import os
from _struct import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# mount(2), umount(2)
MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_SYNCHRONOUS = 16
MS_REMOUNT = 32
MS_MANDLOCK = 64
MS_DIRSYNC = 128
MS_NOSYMFOLLOW = 256
MS_NOATIME = 1024
MS_NODIRATIME = 2048
MS_BIND = 4096
MS_MOVE = 8192
MS_REC = 16384
MS_SILENT = 32768
MS_UNBINDABLE = 1 << 17
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20
MS_RELATIME = 1 << 21
MS_STRICTATIME = 1 << 24
MS_LAZYTIME = 1 << 25
MNT_FORCE = 1
MNT_DETACH = 2
MNT_EXPIRE = 4
UMOUNT_NOFOLLOW = 8

# unshare(2), setns(2)
CLONE_FS = 0x00000200
CLONE_FILES = 0x00000400
CLONE_NEWTIME = 0x00000080
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

# prctl(2)
PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_KEEPCAPS = 8
PR_SET_NAME = 15
PR_CAPBSET_READ = 23
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_GET_CHILD_SUBREAPER = 37
PR_SET_NO_NEW_PRIVS = 38

# openat2(2), open_tree(2), move_mount(2), mount_setattr(2)
AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000
RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10
OPEN_TREE_CLONE = 1
OPEN_TREE_CLOEXEC = os.O_CLOEXEC
MOVE_MOUNT_F_EMPTY_PATH = 0x04
MOVE_MOUNT_T_EMPTY_PATH = 0x40
MOUNT_ATTR_RDONLY = 0x01
MOUNT_ATTR_NOSUID = 0x02
MOUNT_ATTR_NODEV = 0x04
MOUNT_ATTR_NOEXEC = 0x08
MOUNT_ATTR_IDMAP = 0x00100000

# Numbers of system calls without a libc wrapper.  From 424 on they are the same on every architecture.
_SYS_OPEN_TREE = 428
_SYS_MOVE_MOUNT = 429
_SYS_OPENAT2 = 437
_SYS_MOUNT_SETATTR = 442
_SYS_QUOTACTL_FD = 443
_SYS_PIVOT_ROOT = {
    "x86_64": 155, "i386": 217, "i686": 217, "aarch64": 41, "riscv64": 41, "loongarch64": 41, "armv7l": 218,
    "armv6l": 218, "ppc64le": 203, "ppc64": 203, "s390x": 217,
}

_OPEN_HOW = Struct("=QQQ")           # flags, mode, resolve
_MOUNT_ATTR = Struct("=QQQQ")        # attr_set, attr_clr, propagation, userns_fd


class _Libc:
    """The loaded functions: ``int``-returning libc wrappers and ``syscall``, made by name on first use."""

    def __init__(self) -> None:
        import _ctypes

        class Int(_ctypes._SimpleCData):  # type: ignore[type-arg]
            _type_ = "i"

        class Long(_ctypes._SimpleCData):  # type: ignore[type-arg]
            _type_ = "l"

        flags = _ctypes.FUNCFLAG_CDECL | _ctypes.FUNCFLAG_USE_ERRNO

        class IntFunction(_ctypes.CFuncPtr):
            _flags_ = flags
            _restype_ = Int

        class LongFunction(_ctypes.CFuncPtr):
            _flags_ = flags
            _restype_ = Long

        self.errno = _ctypes.get_errno
        self.long = Long
        self._symbol = _ctypes.dlsym
        self._handle = _ctypes.dlopen(None, 0)  # type: ignore[arg-type]  # None: the program itself, libc included
        self._int_function = IntFunction
        self.syscall: Any = LongFunction(self._symbol(self._handle, "syscall"))
        self._functions: dict[str, Any] = {}

    def function(self, name: str) -> Any:
        found = self._functions.get(name)
        if found is None:
            found = self._functions[name] = self._int_function(self._symbol(self._handle, name))
        return found


_loaded: _Libc | None = None


def load() -> None:
    """Load the functions now: before a fork, whose child must not import anything."""
    _libc()


def _libc() -> _Libc:
    global _loaded
    if _loaded is None:
        _loaded = _Libc()
    return _loaded


def _fail(libc: _Libc, path: str | None, path2: str | None = None) -> OSError:
    number = libc.errno()
    if path2:
        return OSError(number, os.strerror(number), path, None, path2)
    return OSError(number, os.strerror(number), path)


def _call(name: str, path: str | None, *arguments: object) -> int:
    libc = _libc()
    result: int = libc.function(name)(*arguments)
    if result < 0:
        raise _fail(libc, path)
    return result


def _syscall(number: int, path: str | None, *arguments: object) -> int:
    """Invoke by number; integers are widened, because a variadic call passes them as they are."""
    libc = _libc()
    wide = [libc.long(argument) if isinstance(argument, int) else argument for argument in arguments]
    result: int = libc.syscall(libc.long(number), *wide)
    if result < 0:
        raise _fail(libc, path)
    return result


def mount(source: str, target: str, fstype: str, flags: int, data: str) -> None:
    """mount(2). Empty strings are passed as null pointers where the kernel takes them as such."""
    libc = _libc()
    _call(
        "mount", target, os.fsencode(source) if source else b"none", os.fsencode(target), fstype.encode() or None,
        libc.long(flags), os.fsencode(data) or None,
    )


def umount2(target: str, flags: int) -> None:
    _call("umount2", target, os.fsencode(target), flags)


def unshare(flags: int) -> None:
    """unshare(2): affects the calling thread only (a user namespace needs a process with one thread)."""
    _call("unshare", None, flags)


def setns(fd: int, kind: int = 0) -> None:
    """setns(2) for the calling thread; *kind* is a ``CLONE_NEW...`` constant to insist on, or 0."""
    _call("setns", None, fd, kind)


def prctl(option: int, *arguments: int) -> int:
    libc = _libc()
    return _call("prctl", None, option, *(libc.long(value) for value in (*arguments, 0, 0, 0, 0)[:4]))


def pivot_root(new_root: str, put_old: str) -> None:
    """pivot_root(2); NotImplementedError on an architecture whose call number is not known here."""
    number = _SYS_PIVOT_ROOT.get(os.uname().machine)
    if number is None:
        raise NotImplementedError(f"pivot_root on {os.uname().machine}")
    _syscall(number, new_root, os.fsencode(new_root), os.fsencode(put_old))


def openat2(directory: int, path: str | bytes, flags: int, mode: int = 0, resolve: int = 0) -> int:
    """openat2(2): open *path* below the descriptor *directory* under the ``RESOLVE_...`` rules; close-on-exec always.

    EXDEV or ELOOP mean a rule was broken; EAGAIN that somebody renamed meanwhile and it may be tried again.
    """
    raw = os.fsencode(path)
    how = _OPEN_HOW.pack(flags | os.O_CLOEXEC, mode, resolve)
    return _syscall(_SYS_OPENAT2, os.fsdecode(raw), directory, raw, how, len(how))


def open_tree(directory: int, path: str, flags: int) -> int:
    """open_tree(2); returns a close-on-exec descriptor."""
    return _syscall(_SYS_OPEN_TREE, path, directory, os.fsencode(path), flags | OPEN_TREE_CLOEXEC)


def move_mount(from_fd: int, from_path: str, to_fd: int, to_path: str, flags: int) -> None:
    _syscall(_SYS_MOVE_MOUNT, to_path or None, from_fd, os.fsencode(from_path), to_fd, os.fsencode(to_path), flags)


def mount_setattr(
    fd: int, path: str, flags: int, *, attr_set: int = 0, attr_clr: int = 0, propagation: int = 0, userns_fd: int = 0
) -> None:
    """mount_setattr(2), Linux 5.12; id-mapped overlay layers need 5.19."""
    attr = _MOUNT_ATTR.pack(attr_set, attr_clr, propagation, userns_fd)
    _syscall(_SYS_MOUNT_SETATTR, path or None, fd, os.fsencode(path), flags, attr, len(attr))


def quotactl_fd(fd: int, command: int, identity: int, data: bytes) -> None:
    """quotactl_fd(2), Linux 5.14: *command* on the file system that *fd* is on."""
    _syscall(_SYS_QUOTACTL_FD, None, fd, command, identity, data)
