"""Limits of a directory by project quotas: files below it belong to a project, whose blocks and inodes are counted.

ext4 (made with the features ``quota`` and ``project``) and XFS can do that when mounted with ``prjquota``.  Sources:
quotactl(2), xfsctl(3), include/uapi/linux/fs.h (``struct fsxattr``), include/uapi/linux/dqblk_xfs.h.
"""

from __future__ import annotations

import errno
import fcntl
import os
from _struct import Struct

from wherry.sys import libc

#: ``FS_IOC_FSGETXATTR``, ``FS_IOC_FSSETXATTR``: attributes a file system keeps of a file.
_GET_ATTRIBUTES = 0x801C581F
_SET_ATTRIBUTES = 0x401C5820
#: What is made below the directory belongs to its project as well.
_INHERIT = 0x00000200
_ATTRIBUTES = Struct("=5I8x")           # xflags, extsize, nextents, projid, cowextsize
#: ``QCMD(Q_XSETQLIM, PRJQUOTA)``
_SET_LIMITS = 0x5804 << 8 | 2
_SECTOR = 512
#: ``struct fs_disk_quota``: version, flags, fieldmask, id, hard and soft blocks, hard and soft inodes, and counters.
_LIMITS = Struct("=bbHIQQQQ72x")
_VERSION, _PROJECT, _FIELDS = 1, 2, 0b1111      # FS_DQUOT_VERSION, FS_PROJ_QUOTA, FS_DQ_[IB][SH]*

_CANNOT = (errno.ENOTTY, errno.EOPNOTSUPP, errno.ENOSYS, errno.ESRCH, errno.EINVAL, errno.ENOTSUP)


def limit_directory(path: str, project: int, size: int, inodes: int) -> bool:
    """Give the empty directory *path* to *project* and limit that to *size* bytes and *inodes* (0: no limit).

    False, and nothing changed, where the file system has no project quotas.  Raises :class:`OSError`.
    """
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # The limit first: setting one is what fails on a file system that does not count.
        libc.quotactl_fd(fd, _SET_LIMITS, project, _limits(project, size, inodes))
        _set_project(fd, project)
    except OSError as error:
        if error.errno in _CANNOT:
            return False
        raise
    finally:
        os.close(fd)
    return True


def forget_project(path: str, project: int) -> None:
    """Take the limits of *project* away, if there are any; *path* is any directory of the file system."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        libc.quotactl_fd(fd, _SET_LIMITS, project, _limits(project, 0, 0))
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
    finally:
        os.close(fd)


def project_of(path: str) -> int:
    """The project a directory belongs to; 0 for none, or where there are no projects. Raises :class:`OSError`."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        project: int = _ATTRIBUTES.unpack(_attributes(fd))[3]
        return project
    except OSError as error:
        if error.errno in _CANNOT:
            return 0
        raise
    finally:
        os.close(fd)


def _attributes(fd: int) -> bytes:
    return fcntl.ioctl(fd, _GET_ATTRIBUTES, bytes(_ATTRIBUTES.size))


def _set_project(fd: int, project: int) -> None:
    flags, extent, count, _old, copy = _ATTRIBUTES.unpack(_attributes(fd))
    fcntl.ioctl(fd, _SET_ATTRIBUTES, _ATTRIBUTES.pack(flags | _INHERIT, extent, count, project, copy))


def _limits(project: int, size: int, inodes: int) -> bytes:
    blocks = -(-size // _SECTOR)
    return _LIMITS.pack(_VERSION, _PROJECT, _FIELDS, project, blocks, blocks, inodes, inodes)
