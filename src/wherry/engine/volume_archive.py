"""A volume's content as a tar stream, out and in, and its size."""

from __future__ import annotations

import os

from wherry.engine import volume_mounts
from wherry.errors import from_os_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from wherry.archive.compression import Readable
    from wherry.engine.runtime import Runtime


def export(runtime: Runtime, name: str) -> Iterator[bytes]:
    """The tar's pieces. Files are opened relative to the volume's own descriptors and links are packed as links, so
    a container that swaps a directory for a link meanwhile gets nothing of the host into it (CVE-2023-0778).
    """
    from wherry.archive.diff import tree_tar

    path = volume_mounts.hold(runtime, name)
    try:
        yield from tree_tar(path)
    finally:
        volume_mounts.let_go(runtime, name)


def import_tar(runtime: Runtime, name: str, stream: Readable) -> None:
    """Unpack *stream* over the volume's content, every path beneath the volume. Raises what unpacking raises."""
    from wherry.archive.extract import PLAIN, ExtractOptions, apply

    path = volume_mounts.hold(runtime, name)
    try:
        apply(stream, path, ExtractOptions(whiteouts=PLAIN))
    finally:
        volume_mounts.let_go(runtime, name)


def size(path: str) -> int:
    """Bytes the files below *path* have; one with several names counts once. Raises ``WherryError``."""
    if not path:
        return 0
    seen: set[tuple[int, int]] = set()
    total = 0
    try:
        for _directory, _names, files, fd in os.fwalk(path):
            for name in files:
                try:
                    found = os.stat(name, dir_fd=fd, follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if found.st_nlink == 1 or (found.st_dev, found.st_ino) not in seen:
                    seen.add((found.st_dev, found.st_ino))
                    total += found.st_size
    except OSError as error:
        raise from_os_error(error, "reading the size of a volume") from None
    return total
