"""Images made by hand: layer tars, image documents, OCI layouts and docker archives. No network, no other tool."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

BUSYBOX = "/bin/busybox"        # static
CREATED = "2024-01-02T03:04:05.000000006Z"
MTIME = 1_700_000_000


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def directory(name: str, mode: int = 0o755, **more: object) -> tarfile.TarInfo:
    return _member(name, tarfile.DIRTYPE, mode, more)


def symlink(name: str, target: str) -> tarfile.TarInfo:
    return _member(name, tarfile.SYMTYPE, 0o777, {"linkname": target})


def hardlink(name: str, target: str, **more: object) -> tarfile.TarInfo:
    """Its mode and owner are applied to the file it links to."""
    return _member(name, tarfile.LNKTYPE, 0o644, {"linkname": target, **more})


def regular(name: str, mode: int = 0o644, **more: object) -> tarfile.TarInfo:
    return _member(name, tarfile.REGTYPE, mode, more)


def whiteout(name: str) -> tarfile.TarInfo:
    """The member that removes *name* of a lower layer."""
    head, _, tail = name.rpartition("/")
    return regular(f"{head}/.wh.{tail}" if head else f".wh.{tail}", 0)


def _member(name: str, kind: bytes, mode: int, more: Mapping[str, object]) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.mode = mode
    info.mtime = MTIME
    for key, value in more.items():
        setattr(info, key, value)
    return info


def tar_of(members: Iterable[tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]]) -> bytes:
    """A tar of members, regular ones with their content."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for member in members:
            info, data = member if isinstance(member, tuple) else (member, b"")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def files_tar(files: Mapping[str, bytes]) -> bytes:
    """A tar of regular files with the directories they need."""
    made: dict[str, None] = {}
    members: list[tuple[tarfile.TarInfo, bytes] | tarfile.TarInfo] = []
    for name, data in files.items():
        parts = name.split("/")[:-1]
        for count in range(1, len(parts) + 1):
            path = "/".join(parts[:count])
            if path not in made:
                made[path] = None
                members.append(directory(path))
        members.append((regular(name), data))
    return tar_of(members)


def busybox_tar() -> bytes:
    """A small root file system: busybox with a few applets, accounts, a hard link and a set-id file."""
    with open(BUSYBOX, "rb") as file:
        busybox = file.read()
    applets = "sh cat echo env false id ls mount ps sleep stat touch true wc".split()
    return tar_of([
        *(directory(name) for name in ("bin", "dev", "etc", "proc", "run", "sys", "usr", "var")),
        directory("root", 0o700),
        directory("tmp", 0o1777),
        directory("home"),
        directory("home/user", 0o750, uid=1000, gid=1000),
        (regular("bin/busybox", 0o755), busybox),
        *(symlink(f"bin/{name}", "busybox") for name in applets),
        (regular("etc/passwd"), b"root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n"),
        (regular("etc/group"), b"root:x:0:\nuser:x:1000:\n"),
        (regular("home/user/note", uid=1000, gid=1000), b"note\n"),
        hardlink("home/user/same-note", "home/user/note", uid=1000, gid=1000),
        (regular("bin/setid", 0o4755), b"#!/bin/sh\nid\n"),
    ])


def random_tar(size: int = 100_000) -> bytes:
    """A layer with a file of random content, different each time."""
    return files_tar({f"data/{os.urandom(4).hex()}": os.urandom(size)})


@dataclass
class MadeImage:
    """An image: its layers as uncompressed tars and the documents that describe them."""

    layers: Sequence[bytes]
    config: bytes
    manifest: bytes
    blobs: dict[str, bytes] = field(default_factory=dict)       # digest -> content, layers as the manifest lists them

    @property
    def id(self) -> str:
        return digest_of(self.config).partition(":")[2]

    @property
    def diff_ids(self) -> list[str]:
        return [digest_of(layer) for layer in self.layers]

    @property
    def manifest_digest(self) -> str:
        return digest_of(self.manifest)


def make_image(
    layers: Sequence[bytes],
    *,
    config: Mapping[str, object] | None = None,
    compressed: bool = False,
    architecture: str = "amd64",
) -> MadeImage:
    """An OCI image of *layers* (base first); *config* is the ``config`` member of its configuration."""
    document = json.dumps({
        "created": CREATED,
        "architecture": architecture,
        "os": "linux",
        "config": {"Cmd": ["/bin/sh"], "Env": ["PATH=/bin"], **(config or {})},
        "rootfs": {"type": "layers", "diff_ids": [digest_of(layer) for layer in layers]},
        "history": [{"created": CREATED, "created_by": "made by hand"} for _ in layers],
    }).encode()
    stored = [gzip.compress(layer, 1, mtime=0) if compressed else layer for layer in layers]
    kind = "application/vnd.oci.image.layer.v1.tar" + ("+gzip" if compressed else "")
    manifest = json.dumps({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": _descriptor("application/vnd.oci.image.config.v1+json", document),
        "layers": [_descriptor(kind, layer) for layer in stored],
    }).encode()
    blobs = {digest_of(data): data for data in (*stored, document, manifest)}
    return MadeImage(layers, document, manifest, blobs)


def busybox_image(**options: object) -> MadeImage:
    """The root file system of :func:`busybox_tar` and a second, small layer that changes it."""
    upper = tar_of([
        directory("etc"),
        (regular("etc/motd"), b"hello\n"),
        directory("home"),
        directory("home/user", 0o750, uid=1000, gid=1000),
        whiteout("home/user/note"),
    ])
    return make_image([busybox_tar(), upper], **options)  # type: ignore[arg-type]


def _descriptor(kind: str, data: bytes) -> dict[str, object]:
    return {"mediaType": kind, "digest": digest_of(data), "size": len(data)}


def write_docker_archive(path: str, images: Sequence[tuple[MadeImage, Sequence[str]]]) -> str:
    """The archive ``podman load`` reads: each image with its ``name:tag`` list."""
    entries = []
    with tarfile.open(path, "w") as tar:
        written: set[str] = set()

        def put(name: str, data: bytes) -> None:
            if name not in written:
                written.add(name)
                info = regular(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))

        for image, names in images:
            layers = [digest.partition(":")[2] + ".tar" for digest in image.diff_ids]
            for name, data in zip(layers, image.layers, strict=True):
                put(name, data)
            put(image.id + ".json", image.config)
            entries.append({"Config": image.id + ".json", "RepoTags": list(names), "Layers": layers})
        put("manifest.json", json.dumps(entries).encode())
    return path


def write_oci_layout(path: str, images: Sequence[tuple[MadeImage, str]]) -> str:
    """An OCI image layout directory: each image with the name of its entry in the index (empty for none)."""
    blobs = os.path.join(path, "blobs", "sha256")
    os.makedirs(blobs, exist_ok=True)
    entries = []
    for image, name in images:
        for digest, data in image.blobs.items():
            with open(os.path.join(blobs, digest.partition(":")[2]), "wb") as file:
                file.write(data)
        entry = _descriptor("application/vnd.oci.image.manifest.v1+json", image.manifest)
        if name:
            entry["annotations"] = {"org.opencontainers.image.ref.name": name}
        entries.append(entry)
    with open(os.path.join(path, "oci-layout"), "w") as file:
        json.dump({"imageLayoutVersion": "1.0.0"}, file)
    with open(os.path.join(path, "index.json"), "w") as file:
        json.dump({"schemaVersion": 2, "manifests": entries}, file)
    return path
