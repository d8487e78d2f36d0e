"""The machine itself: what every other test here relies on."""

from __future__ import annotations

import pytest
from tests.vm.machine import Machine, MachineFailed
from tests.vm.payload import IMAGE


def test_a_script_and_its_result(machine: Machine) -> None:
    assert machine.run("echo out; echo err >&2; exit 3", check=False) == (3, "out\nerr\n")
    with pytest.raises(MachineFailed, match="exit code 1"):
        machine.run("false")
    with pytest.raises(MachineFailed, match=r"not finished in 0.5 s"):
        machine.run("sleep 30", timeout=0.5)


def test_files(machine: Machine) -> None:
    data = bytes(range(256)) * 4096
    machine.put("/var/tmp/deep/file", data, 0o600)
    assert machine.get("/var/tmp/deep/file") == data
    assert machine.run("stat -c %a /var/tmp/deep/file; rm -r /var/tmp/deep").out == "600\n"


def test_systemd_is_up_and_a_container_runs(machine: Machine) -> None:
    assert machine.run("systemctl is-system-running --wait", check=False).out == "running\n"
    assert machine.run(f"wherry run --rm {IMAGE} echo hello").out == "hello\n"
    assert machine.run("wherry push -q localhost/test/busybox 127.0.0.1:5000/harness && "
                       "skopeo list-tags --tls-verify=false docker://127.0.0.1:5000/harness").out


@pytest.mark.parametrize("hard", [False, True])
def test_reboot(machine: Machine, hard: bool) -> None:
    before = machine.run("cat /proc/sys/kernel/random/boot_id; echo kept > /var/tmp/kept; sync").out
    machine.reboot(hard=hard)
    assert machine.run("cat /proc/sys/kernel/random/boot_id").out != before
    assert machine.run("cat /var/tmp/kept; rm /var/tmp/kept").out == "kept\n"
