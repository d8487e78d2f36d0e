"""A 200 MB image of six layers and some ten thousand files, made of this host's own programs, libraries and texts.

    bigimage.py LAYOUT ARCHIVE COUNT PREFIX

writes the image as an OCI layout, and COUNT tiny images called PREFIXn into an archive.  The choice of files is the
same on every run on one host; ratios compare engines on the same bytes.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import random
import stat
import sys
import tarfile
import zlib
from collections.abc import Iterator

LAYERS = 6
FILES = 9500            # up to SMALL bytes; larger ones follow until BYTES are there
SMALL = 64 << 10
LARGE = 4 << 20
BYTES = 200_000_000
CREATED = "2024-01-02T03:04:05Z"
_TOPS = ("/usr/bin", "/usr/lib", "/usr/share")


def make_layout(path: str) -> None:
    """Write the image as an OCI layout with gzip layers, tagged latest."""
    blobs = os.path.join(path, "blobs", "sha256")
    os.makedirs(blobs)
    chosen = _choose()
    layers: list[dict[str, object]] = []
    diff_ids: list[str] = []
    for number in range(LAYERS):
        tar, packed = _layer(chosen[number::LAYERS])
        diff_ids.append(_digest(tar))
        layers.append(_put(blobs, "application/vnd.oci.image.layer.v1.tar+gzip", packed))
    config = json.dumps({
        "created": CREATED, "architecture": _architecture(), "os": "linux", "config": {"Cmd": ["/usr/bin/true"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": [{"created": CREATED, "created_by": f"layer {number}"} for number in range(LAYERS)],
    }).encode()
    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": _put(blobs, "application/vnd.oci.image.config.v1+json", config), "layers": layers,
    }).encode()
    entry = _put(blobs, "application/vnd.oci.image.manifest.v1+json", manifest)
    entry["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
    _write(os.path.join(path, "oci-layout"), b'{"imageLayoutVersion": "1.0.0"}')
    _write(os.path.join(path, "index.json"), json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode())


def make_many(path: str, count: int, prefix: str) -> None:
    """A docker-archive of *count* tiny images on one common layer."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        _add(tar, "file", b"the same\n", 0o644)
    layer = data.getvalue()
    name = _digest(layer).partition(":")[2] + ".tar"
    entries = []
    with tarfile.open(path, "w") as archive:
        _add(archive, name, layer, 0o444)
        for number in range(count):
            config = json.dumps({
                "created": CREATED, "architecture": _architecture(), "os": "linux",
                "config": {"Labels": {"number": str(number)}},
                "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
            }).encode()
            file = _digest(config).partition(":")[2] + ".json"
            _add(archive, file, config, 0o444)
            entries.append({"Config": file, "RepoTags": [f"{prefix}{number}:latest"], "Layers": [name]})
        _add(archive, "manifest.json", json.dumps(entries).encode(), 0o444)


def _choose() -> list[str]:
    """Paths of files, in a random order that is always the same."""
    small, large = [], []
    for path, size in _regular_files():
        if 0 < size <= SMALL:
            small.append((path, size))
        elif size <= LARGE:
            large.append((path, size))
    shuffle = random.Random(1).shuffle
    shuffle(small)
    shuffle(large)
    chosen = small[:FILES]
    total = sum(size for _path, size in chosen)
    for path, size in large:
        if total >= BYTES:
            break
        chosen.append((path, size))
        total += size
    return sorted(path for path, _size in chosen)


def _regular_files() -> Iterator[tuple[str, int]]:
    for top in _TOPS:
        for directory, names, files in os.walk(top):
            names.sort()
            for name in sorted(files):
                path = os.path.join(directory, name)
                found = os.lstat(path)
                if stat.S_ISREG(found.st_mode):
                    yield path, found.st_size


def _layer(paths: list[str]) -> tuple[bytes, bytes]:
    """The tar of these files with the directories they need, and its gzip form."""
    out = io.BytesIO()
    made: set[str] = set()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in paths:
            parts = path.strip("/").split("/")
            for depth in range(1, len(parts)):
                parent = "/".join(parts[:depth])
                if parent not in made:
                    made.add(parent)
                    entry = tarfile.TarInfo(parent)
                    entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                    tar.addfile(entry)
            with open(path, "rb") as file:
                _add(tar, path.strip("/"), file.read(), stat.S_IMODE(os.stat(path).st_mode) & 0o755)
    data = out.getvalue()
    return data, gzip.compress(data, zlib.Z_DEFAULT_COMPRESSION, mtime=0)


def _add(tar: tarfile.TarFile, name: str, data: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = len(data), mode, 1_700_000_000
    tar.addfile(entry, io.BytesIO(data))


def _put(blobs: str, kind: str, data: bytes) -> dict[str, object]:
    digest = _digest(data)
    _write(os.path.join(blobs, digest.partition(":")[2]), data)
    return {"mediaType": kind, "digest": digest, "size": len(data)}


def _write(path: str, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _architecture() -> str:
    machine = os.uname().machine
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


if __name__ == "__main__":
    make_layout(sys.argv[1])
    make_many(sys.argv[2], int(sys.argv[3]), sys.argv[4])
