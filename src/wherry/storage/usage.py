"""How much a layer's directory holds, counted as Podman counts it for ``ps --size`` and ``inspect --size``."""

from __future__ import annotations

import os


def size_of(directory: str) -> int:
    """Bytes of everything below *directory* that is no directory; several links to one file count once.

    What disappears meanwhile is not counted.
    """
    total = 0
    seen: set[tuple[int, int]] = set()
    pending = [directory]
    while pending:
        try:
            entries = os.scandir(pending.pop())
        except FileNotFoundError:
            continue
        with entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                    continue
                try:
                    info = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if info.st_nlink > 1:
                    if (info.st_dev, info.st_ino) in seen:
                        continue
                    seen.add((info.st_dev, info.st_ino))
                total += info.st_size
    return total
