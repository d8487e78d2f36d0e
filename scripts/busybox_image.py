#!/usr/bin/python3
"""Make a small image, as an OCI layout directory, from the distribution's static busybox.

    busybox_image.py DIRECTORY [--tag TAG] [--label KEY=VALUE ...] [--file PATH=TEXT ...]

The demo, the benchmarks and the tests use it: no registry outside this machine is needed for any of them.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "riscv64": "riscv64", "ppc64le": "ppc64le"}
PASSWD = (
    "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n"
    "user:x:1000:1000::/:/bin/sh\n"
)
GROUP = "root:x:0:\nnogroup:x:65534:\nuser:x:1000:\nextra:x:2000:user\n"
DIRECTORIES = ("bin", "dev", "etc", "proc", "root", "run", "sys", "tmp", "usr", "usr/bin", "var", "www")


def busybox() -> str:
    """Path of a static busybox."""
    for path in ("/bin/busybox", "/usr/bin/busybox"):
        if os.path.exists(path):
            return path
    found = shutil.which("busybox")
    if not found:
        sys.exit("busybox is not installed (apt-get install busybox-static)")
    return found


def layer(files: dict[str, str]) -> bytes:
    """The root file system as an uncompressed tar, the same bytes for the same busybox and *files*."""
    out = io.BytesIO()
    program = busybox()
    applets = subprocess.run([program, "--list"], check=True, capture_output=True, text=True).stdout.split()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in DIRECTORIES:
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            tar.addfile(entry)
        with open(program, "rb") as file:
            content = file.read()
        add(tar, "bin/busybox", content, 0o755)
        for applet in sorted(set(applets) - {"busybox"}):
            entry = tarfile.TarInfo("bin/" + applet)
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(entry)
        texts = {"etc/passwd": PASSWD, "etc/group": GROUP, "www/index.html": "hello from wherry\n", **files}
        for name, text in texts.items():
            add(tar, name.lstrip("/"), text.encode(), 0o644)
    return out.getvalue()


def add(tar: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))


def write_layout(directory: str, tag: str, labels: dict[str, str], files: dict[str, str]) -> None:
    """Write ``oci-layout``, ``index.json`` and the blobs (OCI image spec, image-layout.md)."""
    blobs = os.path.join(directory, "blobs", "sha256")
    os.makedirs(blobs, exist_ok=True)

    def store(data: bytes, media_type: str) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        with open(os.path.join(blobs, digest), "wb") as file:
            file.write(data)
        return {"mediaType": media_type, "digest": "sha256:" + digest, "size": len(data)}

    import gzip

    tar = layer(files)
    blob = store(gzip.compress(tar, compresslevel=1, mtime=0), "application/vnd.oci.image.layer.v1.tar+gzip")
    config = {
        "created": "2026-01-01T00:00:00Z",
        "architecture": ARCHITECTURES.get(os.uname().machine, os.uname().machine),
        "os": "linux",
        "config": {
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "Cmd": ["sh"],
            "Labels": labels or None,
        },
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(tar).hexdigest()]},
        "history": [{"created": "2026-01-01T00:00:00Z", "created_by": "busybox_image.py"}],
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": store(json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json"),
        "layers": [blob],
    }
    entry = store(json.dumps(manifest).encode(), "application/vnd.oci.image.manifest.v1+json")
    entry["annotations"] = {"org.opencontainers.image.ref.name": tag}
    with open(os.path.join(directory, "oci-layout"), "w", encoding="ascii") as file:
        json.dump({"imageLayoutVersion": "1.0.0"}, file)
    with open(os.path.join(directory, "index.json"), "w", encoding="ascii") as file:
        json.dump({"schemaVersion": 2, "manifests": [entry]}, file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory")
    parser.add_argument("--tag", default="latest")
    parser.add_argument("--label", action="append", default=[])
    parser.add_argument("--file", action="append", default=[])
    given = parser.parse_args()
    labels = dict(text.partition("=")[::2] for text in given.label)
    files = dict(text.partition("=")[::2] for text in given.file)
    write_layout(given.directory, given.tag, labels, files)


if __name__ == "__main__":
    main()
