"""``size`` and ``inodes`` of a volume, kept by the file system."""

from __future__ import annotations

import os

from wherry.errors import InvalidArgument, from_os_error
from wherry.sys import log, quotas

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.model.volume import VolumeConfig

#: Ids of projects: the upper half of the range, so that they do not meet those given by hand or by other engines.
_FIRST = 0x40000000


def is_limited(volume: VolumeConfig) -> bool:
    """Does the volume want a quota? A tmpfs keeps its limits itself."""
    if volume.disable_quota or not (volume.size or volume.inodes):
        return False
    return volume.options.get("type", "").lower() != "tmpfs"


def limit(volume: VolumeConfig, directory: str) -> None:
    """Limit the new *directory* of the volume. Raises ``InvalidArgument`` in Podman's words where that cannot be."""
    try:
        done = quotas.limit_directory(directory, _free_project(volume), volume.size, volume.inodes)
    except OSError as error:
        raise from_os_error(error, f"limiting volume {volume.name}") from None
    if not done:
        raise InvalidArgument(
            "volume options size and inodes not supported. Filesystem does not support Project Quota",
            hint="ext4 (features quota and project) and XFS keep limits when mounted with prjquota",
        )


def forget(volume: VolumeConfig) -> None:
    """The volume is about to be removed, and its limits with it."""
    try:
        project = quotas.project_of(volume.mount_point)
        if project:
            quotas.forget_project(volume.mount_point, project)
    except FileNotFoundError:
        return
    except OSError as error:
        log.debug(f"limits of volume {volume.name}: {error}")


def _free_project(volume: VolumeConfig) -> int:
    """An id that follows from the path and that no other volume beside it has."""
    from zlib import crc32

    volumes = os.path.dirname(os.path.dirname(volume.mount_point))
    taken = set()
    for name in os.listdir(volumes):
        try:
            taken.add(quotas.project_of(f"{volumes}/{name}/_data"))
        except OSError:
            continue
    project = _FIRST | (crc32(os.fsencode(volume.mount_point)) & (_FIRST - 1))
    while project in taken:
        project = _FIRST | ((project + 1) & (_FIRST - 1))
    return project
