"""A private podman store and exact snapshots of trees, for comparing layers on disk."""

from __future__ import annotations

import gzip
import json
import os
import stat
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.helpers.images import MadeImage, make_image, write_docker_archive


@dataclass
class StoredLayer:
    """One layer in podman's store."""

    diff: str
    tar_split: bytes            # after gunzip
    tar_split_path: str
    record: dict[str, object]


class PodmanStore:
    """A store of podman's own below a temporary directory."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.root = base / "podman-root"
        self.driver = "overlay"

    def podman(self, *arguments: str) -> str:
        """Run podman on this store; its standard output."""
        return self.run(*arguments).stdout.decode()

    def run(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        command = ["podman", "--root", str(self.root), "--runroot", str(self.base / "podman-run"),
                   "--storage-driver", self.driver, "--log-level", "error", *arguments]
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode:
            raise AssertionError(f"podman {arguments}: {done.stderr.decode()}")
        return done

    def load(self, layers: Sequence[bytes]) -> list[StoredLayer]:
        """Load an image of these layer tars and find the layers, in the same order."""
        image = make_image(layers)
        archive = write_docker_archive(str(self.base / "image.tar"), [(image, ["localhost/nasty:latest"])])
        self.podman("load", "-q", "-i", archive)
        return self.layers_of(image)

    def layers_of(self, image: MadeImage) -> list[StoredLayer]:
        with open(self.root / f"{self.driver}-layers/layers.json", encoding="utf-8") as file:
            records = {record["diff-digest"]: record for record in json.load(file) if "diff-digest" in record}
        return [self.stored(records[digest]) for digest in image.diff_ids]

    def stored(self, record: dict[str, object]) -> StoredLayer:
        path = self.root / f"{self.driver}-layers" / f"{record['id']}.tar-split.gz"
        diff = self.root / ("vfs/dir/{}" if self.driver == "vfs" else "overlay/{}/diff").format(record["id"])
        return StoredLayer(str(diff), gzip.decompress(path.read_bytes()), str(path), record)

    def close(self) -> None:
        subprocess.run(["umount", "-l", str(self.root / "overlay")], capture_output=True, check=False)
        with open("/proc/self/mountinfo", encoding="utf-8") as file:
            left = [line for line in file if str(self.base) in line]
        assert not left, left


def snapshot(root: str) -> dict[bytes, dict[str, object]]:
    """Everything about every file below *root*, times in nanoseconds and extended attributes included."""
    found: dict[bytes, dict[str, object]] = {}
    inodes: dict[int, bytes] = {}
    top = os.fsencode(root)
    for directory, names, files in os.walk(top):
        names.sort()
        for name in sorted(names + files):
            path = os.path.join(directory, name)
            found[os.path.relpath(path, top)] = describe(path, inodes)
    return found


def describe(path: bytes, inodes: dict[int, bytes]) -> dict[str, object]:
    info = os.lstat(path)
    content: object = None
    if stat.S_ISLNK(info.st_mode):
        content = os.readlink(path)
    elif stat.S_ISREG(info.st_mode):
        with open(path, "rb") as file:
            content = file.read()
    first = b"" if stat.S_ISDIR(info.st_mode) else inodes.setdefault(info.st_ino, os.path.basename(path))
    return {
        "mode": oct(info.st_mode), "owner": (info.st_uid, info.st_gid), "device": info.st_rdev,
        "mtime": info.st_mtime_ns, "content": content,
        "same inode as": first,
        "xattrs": {
            name: os.getxattr(path, name, follow_symlinks=False) for name in os.listxattr(path, follow_symlinks=False)
        },
    }
