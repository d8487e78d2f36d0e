"""Reading small files of a container's root without ever leaving it.

The image decides what ``/etc/passwd`` is: a link to ``/etc/shadow`` of the host must not be followed there
(CVE-2021-4024 and its kin are of this class), so every path is resolved with the root as its ceiling.
"""

from __future__ import annotations

import errno
import os
import stat

from wherry.sys import libc
from wherry.sys.files import read_all

#: A passwd or group file larger than this is not read to its end; lines beyond it are not found.
LIMIT = 4 << 20


def read_text(root: str, path: str) -> str:
    """The text of *path* (relative) inside *root*; empty if it is missing, no regular file or leads out of the root."""
    directory = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fd = libc.openat2(
            directory,
            path.lstrip("/"),
            os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK,
            resolve=libc.RESOLVE_IN_ROOT | libc.RESOLVE_NO_MAGICLINKS,
        )
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV, errno.EACCES, errno.ENXIO):
            return ""
        raise
    finally:
        os.close(directory)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_size > LIMIT:
            return ""
        return read_all(fd).decode(errors="surrogateescape")
    finally:
        os.close(fd)


def is_directory(root: str, path: str) -> bool:
    """Is *path* a directory inside *root*?"""
    directory = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fd = libc.openat2(
            directory,
            path.lstrip("/") or ".",
            os.O_PATH | os.O_CLOEXEC | os.O_DIRECTORY,
            resolve=libc.RESOLVE_IN_ROOT | libc.RESOLVE_NO_MAGICLINKS,
        )
    except OSError:
        return False
    finally:
        os.close(directory)
    os.close(fd)
    return True


def is_file(root: str, path: str) -> bool:
    """Is there something else than a directory at *path* inside *root*?"""
    directory = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fd = libc.openat2(
            directory, path.lstrip("/") or ".", os.O_PATH | os.O_CLOEXEC,
            resolve=libc.RESOLVE_IN_ROOT | libc.RESOLVE_NO_MAGICLINKS,
        )
    except OSError:
        return False
    finally:
        os.close(directory)
    try:
        return not stat.S_ISDIR(os.fstat(fd).st_mode)
    finally:
        os.close(fd)


def resolve(root: str, path: str) -> str:
    """The absolute path on the host of *path* inside *root*, links followed as the container sees them.

    Only for directories nobody in the container can change meanwhile (before it was started).
    """
    directory = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fd = libc.openat2(
            directory, path.lstrip("/") or ".", os.O_PATH | os.O_CLOEXEC,
            resolve=libc.RESOLVE_IN_ROOT | libc.RESOLVE_NO_MAGICLINKS,
        )
    finally:
        os.close(directory)
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)
