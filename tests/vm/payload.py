"""The second disk: wherry of this checkout with its dependencies, the agent and an image to run."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.vm import recipe
from tests.vm.guest import Guest, cache, locked, run, say

REPOSITORY = Path(__file__).resolve().parents[2]
#: The image's reference once loaded in the guest with :func:`load`.
IMAGE = "localhost/test/busybox:latest"
#: The guest's Python installs wherry as scripts/setup.sh does, on the host's processor.
INSTALL = f"""\
set -eu
python3 -m compileall -q -o 0 --invalidation-mode unchecked-hash {recipe.PAYLOAD}/lib/site-packages
python3 -IS -c '
import sys
sys.path.append("{recipe.PAYLOAD}/lib/site-packages")
from wherry.cli.launcher import install
install("{recipe.PAYLOAD}/bin/wherry")
'
"""


def make(guest: Guest, directory: Path) -> Path:
    """Write the disk image below *directory*."""
    tree = directory / "payload"
    site = tree / "lib/site-packages"
    shutil.copytree(dependencies(guest), site)
    shutil.copytree(
        REPOSITORY / "src/wherry", site / "wherry", ignore=shutil.ignore_patterns("__pycache__", "bundle.bin")
    )
    # The bundle remembers this time; the disk's file system keeps whole seconds.
    os.utime(site / "wherry/__init__.py", (1_700_000_000, 1_700_000_000))
    (tree / "bin").mkdir()
    shutil.copy(Path(__file__).with_name("agent.py"), tree)
    subprocess.run(
        [sys.executable, REPOSITORY / "scripts/busybox_image.py", tree / "busybox", "--tag", IMAGE], check=True
    )
    # A layout that is a directory would be named by its path when loaded.
    run("tar", "-C", tree / "busybox", "-cf", tree / "busybox.tar", ".")
    in_guest(guest, tree, INSTALL)
    disk = directory / "payload.img"
    run("truncate", "-s", "512M", disk)
    run("mkfs.ext4", "-q", "-L", "wherry", "-d", tree, disk)
    shutil.rmtree(tree)
    return disk


def in_guest(guest: Guest, tree: Path, script: str) -> None:
    """Run *script* in the guest's system without starting it, *tree* at its place in there."""
    mounts = 'mount --bind "$1" "$0$2"; mount -t tmpfs tmpfs "$0/tmp"; exec chroot "$0" /bin/sh -c "$3"'
    run("unshare", "--mount", "/bin/sh", "-ec", mounts, guest.root, tree, recipe.PAYLOAD, script)


def dependencies(guest: Guest) -> Path:
    """A directory with wherry's dependencies for the guest's Python, kept in the cache."""
    wanted = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["dependencies"]
    version = next((guest.root / "usr/lib").glob("python3.*")).name.removeprefix("python")
    place = cache() / f"site-{version}-{hashlib.sha256(' '.join(wanted).encode()).hexdigest()[:16]}"
    with locked(cache() / "lock"):
        if not place.is_dir():
            say(f"fetching dependencies for Python {version}")
            work = cache() / "site"
            shutil.rmtree(work, ignore_errors=True)
            run(
                sys.executable, "-m", "pip", "install", "-q", "--target", work, "--python-version", version,
                "--only-binary=:all:", *wanted,
            )
            work.rename(place)
    return place


def load(wherry: str) -> str:
    """The shell words that load the image with the command *wherry*: from an archive, which names it."""
    return f"tar -C /opt/wherry/busybox -cf /var/tmp/busybox.tar . && {wherry} load -q -i /var/tmp/busybox.tar"
