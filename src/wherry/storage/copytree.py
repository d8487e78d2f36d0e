"""Copying a directory tree with everything the file system knows about it."""

from __future__ import annotations

import errno
import fcntl
import os
import stat

_FICLONE = 0x40049409       # ioctl_ficlone(2)
_PIECE = 64 << 20


class _Copy:
    """One copy at work. Hard links within the tree stay hard links; files share blocks where the file system can."""

    def __init__(self) -> None:
        self._links: dict[tuple[int, int], str] = {}
        self._clone = True

    def directory(self, source: str, target: str) -> None:
        """Copy the content of *source* into the existing directory *target*, then its attributes."""
        with os.scandir(source) as entries:
            names = [entry.name for entry in entries]
        for name in names:
            self._entry(f"{source}/{name}", f"{target}/{name}")
        self._attributes(source, target, os.lstat(source))

    def _entry(self, source: str, target: str) -> None:
        info = os.lstat(source)
        kind = stat.S_IFMT(info.st_mode)
        if kind == stat.S_IFDIR:
            os.mkdir(target, 0o700)
            self.directory(source, target)
            return
        if info.st_nlink > 1:
            first = self._links.setdefault((info.st_dev, info.st_ino), target)
            if first != target:
                os.link(first, target, follow_symlinks=False)
                return
        if kind == stat.S_IFREG:
            self._file(source, target)
        elif kind == stat.S_IFLNK:
            os.symlink(os.readlink(source), target)
        elif kind == stat.S_IFSOCK:
            return          # means nothing without the process that listens
        else:
            os.mknod(target, kind | 0o600, info.st_rdev)
        self._attributes(source, target, info)

    def _file(self, source: str, target: str) -> None:
        reader = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            writer = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                self._data(reader, writer)
            finally:
                os.close(writer)
        except OSError as error:
            error.filename = error.filename or target
            raise
        finally:
            os.close(reader)

    def _data(self, reader: int, writer: int) -> None:
        if self._clone:
            try:
                fcntl.ioctl(writer, _FICLONE, reader)
                return
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
                    raise
                self._clone = False
        offset = 0
        while True:
            done = os.sendfile(writer, reader, offset, _PIECE)
            if not done:
                return
            offset += done

    def _attributes(self, source: str, target: str, info: os.stat_result) -> None:
        """Owner first (changing it clears set-id bits and capabilities), times last."""
        os.chown(target, info.st_uid, info.st_gid, follow_symlinks=False)
        if not stat.S_ISLNK(info.st_mode):
            os.chmod(target, stat.S_IMODE(info.st_mode))
        for name in os.listxattr(source, follow_symlinks=False):
            try:
                os.setxattr(
                    target, name, os.getxattr(source, name, follow_symlinks=False), follow_symlinks=False
                )
            except OSError as error:
                if error.errno not in (errno.ENOTSUP, errno.EPERM):
                    raise
        os.utime(target, ns=(info.st_atime_ns, info.st_mtime_ns), follow_symlinks=False)


def copy_tree(source: str, target: str) -> None:
    """Copy the directory *source* with content, owners, modes, attributes and times onto the directory *target*.

    *target* must exist and be empty.  Raises :class:`OSError`.
    """
    _Copy().directory(source, target)
