"""Archives and layouts on disk as destinations: made beside their place, put there when they are whole."""

from __future__ import annotations

import errno
import os
import stat

from wherry.errors import InvalidArgument, from_os_error
from wherry.registry.docker_archive_writer import DockerArchive, DockerArchiveDestination
from wherry.registry.layout_writer import OciDestination, OciLayout, TarLayoutWriter, open_layout
from wherry.registry.tarwriter import ArchiveWriter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Output:
    """A file to write: one without a name until :meth:`commit`, or *path* itself if it is no regular file or open here.

    Where the file system cannot make files without names, a temporary one beside *path*.  Raises wherry errors for what
    the file system refuses.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._temporary = ""
        self._nameless = False
        try:
            own = _descriptor(path)
            if own >= 0:
                self.fd = os.dup(own)       # opened anew it might be another file, or be forbidden to us
            elif _is_special(path):
                self.fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
            else:
                self._directory, self._base = os.path.split(os.path.realpath(path))
                self._create()
        except OSError as error:
            raise from_os_error(error, "creating file") from None

    def _create(self) -> None:
        try:
            self.fd = os.open(self._directory or "/", os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o644)
            self._nameless = True
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
                raise
            self._temporary = self._unused_name()
            self.fd = os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)

    def _unused_name(self) -> str:
        return os.path.join(self._directory, f".{self._base}.{os.urandom(6).hex()}")

    def commit(self) -> None:
        """Put the file in its place."""
        try:
            if self._nameless:
                # Through a name of its own, so that a file that is there is replaced at once.
                name = self._unused_name()
                os.link(f"/proc/self/fd/{self.fd}", name, src_dir_fd=self.fd, follow_symlinks=True)
                self._temporary, self._nameless = name, False
            if self._temporary:
                os.rename(self._temporary, os.path.join(self._directory, self._base))
                self._temporary = ""
        except OSError as error:
            raise from_os_error(error, "renaming file") from None

    def close(self) -> None:
        """Without commit nothing stays. A second call does nothing."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        if self._temporary:
            try:
                os.unlink(self._temporary)
            except OSError:
                pass
            self._temporary = ""


class DockerArchiveFile(DockerArchiveDestination):
    """A docker-archive with one image."""

    def __init__(self, output: Output, archive: DockerArchive, names: Sequence[str]) -> None:
        super().__init__(archive, names)
        self._whole = archive
        self._output = output

    def commit(self) -> None:
        self._whole.end()
        self._output.commit()

    def close(self) -> None:
        self._output.close()


class OciFile(OciDestination):
    """An OCI layout, directory or archive, that gets one image."""

    def __init__(self, layout: OciLayout, name: str, output: Output | None = None) -> None:
        super().__init__(layout, name)
        self._whole = layout
        self._output = output

    def commit(self) -> None:
        self._whole.end()
        if self._output is not None:
            assert isinstance(self._whole.writer, TarLayoutWriter)
            self._whole.writer.writer.end()
            self._output.commit()

    def close(self) -> None:
        if self._output is not None:
            self._output.close()


def docker_archive(path: str, names: Sequence[str]) -> DockerArchiveFile:
    """A new docker-archive at *path*; one that exists is not added to."""
    refuse_existing(path)
    output = Output(path)
    return DockerArchiveFile(output, DockerArchive(output.fd, path), names)


def refuse_existing(path: str) -> None:
    """Raise ``InvalidArgument`` when there is a docker-archive at *path* already."""
    try:
        found = os.stat(path)
    except OSError:
        return
    if stat.S_ISREG(found.st_mode) and found.st_size:
        raise InvalidArgument("docker-archive doesn't support modifying existing images")
    if stat.S_ISDIR(found.st_mode):
        raise InvalidArgument(f"open {path}: is a directory")


def oci_directory(path: str, name: str) -> OciFile:
    """The OCI layout at *path*, with what is in it."""
    return OciFile(open_layout(path), name)


def oci_archive(path: str, name: str) -> OciFile:
    """A new OCI archive at *path*; one that exists is replaced."""
    output = Output(path)
    return OciFile(OciLayout(TarLayoutWriter(ArchiveWriter(output.fd)), f"oci-archive:{path}"), name, output)


def _descriptor(path: str) -> int:
    """The number of our own descriptor that *path* stands for (``/dev/stdout``, ``/dev/fd/7``), -1 if for none."""
    if path == "/dev/stdout":
        return 1
    for place in ("/dev/fd/", "/proc/self/fd/"):
        if path.startswith(place) and path.removeprefix(place).isdecimal():
            return int(path.removeprefix(place))
    return -1


def _is_special(path: str) -> bool:
    """Is there something at *path* that must be written to in place: a pipe, a terminal, a device?"""
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False
