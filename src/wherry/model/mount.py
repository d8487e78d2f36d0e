"""Mounts, volumes of a container, id maps and devices as values."""

from __future__ import annotations

from wherry.model.record import Record, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class IDMap(Record):
    """One line of a uid_map or gid_map."""

    container_id: int = 0
    host_id: int = 0
    size: int = 0


class Mount(Record):
    """A mount of the container: the OCI runtime spec's shape (config.md "Mounts")."""

    destination: str = ""
    type: str = ""
    source: str = ""
    options: Sequence[str] = ()


class NamedVolume(Record):
    """A named or anonymous volume used by a container (libpod ``ContainerNamedVolume``)."""

    name: str = field(default="", key="volumeName")
    destination: str = field(default="", key="dest")
    options: Sequence[str] = ()
    is_anonymous: bool = field(default=False, key="setAnonymous")
    subpath: str = field(default="", key="subPath")


class OverlayVolume(Record):
    """A host directory mounted with a private overlay on top (``:O``)."""

    destination: str = field(default="", key="dest")
    source: str = ""
    options: Sequence[str] = ()


class ArtifactVolume(Record):
    """The files of an artifact mounted into the container (``--mount type=artifact``)."""

    source: str = ""
    destination: str = field(default="", key="dest")
    title: str = ""             # only the file with this title
    digest: str = ""            # only the file with this digest
    name: str = ""              # what the file is called below a directory, instead of its title


class ImageVolume(Record):
    """An image mounted into the container (``--mount type=image``)."""

    source: str = ""
    destination: str = field(default="", key="dest")
    read_write: bool = field(default=False, key="rw")
    subpath: str = field(default="", key="subPath")
