"""Limits of volumes by project quotas: Debian's kernel counts, whatever the kernel of the host can do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.vm.machine import Machine
from tests.vm.payload import IMAGE, load

PLACE = "/var/tmp/counting"
WHERRY = f"wherry --volumepath {PLACE} --root /var/tmp/q/root --runroot /var/tmp/q/run"


@pytest.fixture(scope="module")
def counting(machine: Machine) -> Iterator[Machine]:
    """The machine with a file system mounted with project quotas at PLACE."""
    machine.run(
        f"mkdir -p {PLACE} && truncate -s 64M {PLACE}.disk && "
        f"mkfs.ext4 -q -O quota,project -E quotatype=prjquota {PLACE}.disk && "
        f"mount -o loop,prjquota {PLACE}.disk {PLACE} && {load(WHERRY)}"
    )
    yield machine
    machine.run(f"{WHERRY} system reset -f; umount -l {PLACE} /var/tmp/q/root/overlay")
    machine.run(f"rm -rf {PLACE} {PLACE}.disk /var/tmp/q")


def inside(machine: Machine, script: str) -> str:
    return machine.run(f"{WHERRY} run --rm --network none -v small:/d {IMAGE} sh -c '{script}' 2>&1", check=False).out


def test_size_and_inodes(counting: Machine) -> None:
    counting.run(f"{WHERRY} volume create -o o=size=4m,inodes=20 small")
    assert "1+0 records out" in inside(counting, "dd if=/dev/zero of=/d/fits bs=1M count=1")
    assert "quota exceeded" in inside(counting, "dd if=/dev/zero of=/d/big bs=1M count=8").lower()
    assert inside(counting, "du -m /d/big | cut -f1").strip() in ("2", "3")
    assert "quota exceeded" in inside(counting, "rm /d/big; for i in $(seq 40); do touch /d/$i || exit 1; done").lower()


def test_other_volumes_are_free(counting: Machine) -> None:
    counting.run(f"{WHERRY} volume create wide && {WHERRY} volume create -o o=size=4m narrow")
    mount = counting.run(f"{WHERRY} volume inspect wide -f '{{{{.Mountpoint}}}}'").out.strip()
    counting.run(f"dd if=/dev/zero of={mount}/big bs=1M count=8 && {WHERRY} volume rm wide narrow")


def test_a_removed_volumes_limit_goes_with_it(counting: Machine) -> None:
    script = f"{WHERRY} volume create -o o=size=1m again && {WHERRY} volume rm again && {WHERRY} volume create again"
    counting.run(script)
    mount = counting.run(f"{WHERRY} volume inspect again -f '{{{{.Mountpoint}}}}'").out.strip()
    counting.run(f"dd if=/dev/zero of={mount}/big bs=1M count=3 && {WHERRY} volume rm again")
