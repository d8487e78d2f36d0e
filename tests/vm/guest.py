"""Building the guest's disk, once for each recipe: ``python -m tests.vm.guest`` (root; some four minutes, 2 GB).

The cache is ``$WHERRY_VM_CACHE`` or ``$XDG_CACHE_HOME/wherry-vm``; ``$WHERRY_VM_MIRROR`` names another Debian mirror.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.vm import recipe

PROGRAMS = ("debootstrap", "mkfs.ext4", "qemu-img", "qemu-system-x86_64")


class Guest(NamedTuple):
    """A built guest. Nobody writes to these files."""

    root: Path          # the system as a directory, to run programs of it outside the virtual machine
    disk: Path
    kernel: Path
    initrd: Path


def missing() -> str:
    """Why no guest can be built or run here; empty if it can."""
    if os.geteuid() != 0:
        return "needs root"
    if os.uname().machine != "x86_64":
        return f"there is no recipe for a guest on {os.uname().machine}"
    absent = [name for name in PROGRAMS if not shutil.which(name)]
    return f"{', '.join(absent)} not installed: run 'scripts/setup.sh vm'" if absent else ""


def cache() -> Path:
    if own := os.environ.get("WHERRY_VM_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wherry-vm"


def guest() -> Guest:
    """The guest of the present recipe, built if it is not there."""
    place = cache() / recipe.key()
    found = Guest(place / "root", place / "disk.img", place / "vmlinuz", place / "initrd.img")
    if not place.is_dir():
        cache().mkdir(parents=True, exist_ok=True)
        with locked(cache() / "lock"):
            if not place.is_dir():
                build(place)
    os.utime(place)
    return found


@contextmanager
def locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def build(place: Path) -> None:
    """Make the guest in *place*, which appears only when it is complete."""
    work = cache() / "building"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    say(f"building the guest in {place}")
    bootstrap(work / "root", recipe.PACKAGES)
    bootstrap(work / "system", recipe.SYSTEM_PACKAGES)
    say("configuring")
    configure(work / "root")
    run("tar", "-C", work / "system", "-cf", f"{work}/root{recipe.SYSTEM_TAR}", ".")
    shutil.rmtree(work / "system")
    for name in ("vmlinuz", "initrd.img"):
        found = next((work / "root/boot").glob(f"{name}-*"))
        shutil.copy(found, work / name)
    run("truncate", "-s", recipe.DISK_SIZE, work / "disk.img")
    run("mkfs.ext4", "-q", "-L", "root", "-d", work / "root", work / "disk.img")
    work.rename(place)
    discard_old()


def discard_old() -> None:
    """Remove guests of recipes nobody has used for a week."""
    for other in cache().iterdir():
        if (other / "disk.img").exists() and time.time() - other.stat().st_mtime > 7 * 24 * 3600:
            shutil.rmtree(other)


def bootstrap(target: Path, packages: tuple[str, ...]) -> None:
    say(f"debootstrap {target.name}")
    archives = cache() / "archives"
    archives.mkdir(exist_ok=True)
    mirror = os.environ.get("WHERRY_VM_MIRROR") or "http://deb.debian.org/debian"
    run(
        "debootstrap", f"--cache-dir={archives}", "--variant=minbase", f"--include={','.join(packages)}",
        recipe.SUITE, target, mirror,
    )
    for path in recipe.WASTE:
        shutil.rmtree(target / path, ignore_errors=True)


def configure(root: Path) -> None:
    for name, text in recipe.FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_text(text)
    masks = {f"etc/systemd/system/{unit}": "/dev/null" for unit in recipe.MASKED}
    for name, target in {**recipe.LINKS, **masks}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)
    run("chroot", root, "/bin/bash", "-c", recipe.SETUP)


def run(*command: str | Path) -> None:
    """Run a program; what it printed is shown if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed ({done.returncode}):\n{(done.stdout + done.stderr)[-4000:]}")


def say(text: str) -> None:
    print(f"vm: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    if reason := missing():
        sys.exit(f"vm: {reason}")
    print(guest().disk)
