"""The systemd cgroup manager: scopes of containers and of their monitors, slices of pods, divided services."""

from __future__ import annotations

import pytest
from tests.vm.guest_tools import assert_no_units, cgroup_of, inspect, show
from tests.vm.machine import Machine
from tests.vm.payload import IMAGE


def test_a_container_and_its_monitor_have_scopes(machine: Machine) -> None:
    identity = machine.run(f"wherry run -d --name scoped --network none -m 32m {IMAGE} sleep 1000").out.strip()
    try:
        scope = f"/machine.slice/wherry-{identity}.scope"
        assert inspect(machine, "scoped", ".State.CgroupPath") == scope
        assert cgroup_of(machine, inspect(machine, "scoped", ".State.Pid")) in (scope, f"{scope}/container")
        monitor = f"/machine.slice/wherry-conmon-{identity}.scope"
        assert cgroup_of(machine, inspect(machine, "scoped", ".State.ConmonPid")) == monitor
        limits = machine.run(f"cat /sys/fs/cgroup{scope}/memory.max /sys/fs/cgroup{scope}/container/memory.max").out
        assert str(32 << 20) in limits.split()
        assert machine.run("wherry exec scoped cat /proc/self/cgroup").out == "0::/\n"
        assert "sleep 1000" in machine.run("wherry top scoped").out
        machine.run("wherry exec -d scoped sleep 999")
        assert cgroup_of(machine, machine.run("pgrep -f -- 'conmon .*--exec '").out.split()[0]) == monitor
    finally:
        machine.run("wherry rm -f -t 0 scoped")
    assert_no_units(machine)


def test_a_pod_is_a_slice_with_its_limits(machine: Machine) -> None:
    machine.run("wherry pod create --name sliced --network none --cpus 0.5 --memory 64m --cpuset-cpus 1 "
                "--cpu-shares 512")
    try:
        machine.run(f"wherry run -d --pod sliced --name member {IMAGE} sleep 1000")
        identity = machine.run("wherry pod inspect sliced --format '{{.ID}}'").out.strip()
        name = f"machine-wherry_pod_{identity}.slice"
        found = show(machine, name, "MemoryMax", "CPUQuotaPerSecUSec", "AllowedCPUs", "CPUWeight")
        assert found == {
            "MemoryMax": str(64 << 20), "CPUQuotaPerSecUSec": "500ms", "AllowedCPUs": "1", "CPUWeight": "20",
        }
        slice_path = f"/machine.slice/{name}"
        assert machine.run(f"cat /sys/fs/cgroup{slice_path}/cpu.max").out.split() == ["50000", "100000"]
        for field in (".State.Pid", ".State.ConmonPid"):
            assert cgroup_of(machine, inspect(machine, "member", field)).startswith(f"{slice_path}/wherry-")
        assert machine.run("wherry pod inspect sliced --format '{{.CgroupPath}}'").out.strip() == slice_path[1:]
        machine.run("wherry pod restart sliced", timeout=240)
        assert show(machine, name, "MemoryMax") == {"MemoryMax": str(64 << 20)}
    finally:
        machine.run("wherry pod rm -f -t 0 sliced")
    assert_no_units(machine)


@pytest.mark.parametrize("mode", ["split", "no-conmon", "enabled"])
def test_in_a_service_the_monitor_stays_in_it(machine: Machine, mode: str) -> None:
    unit = f"cgroups-{mode}.service"
    group = f"/system.slice/{unit}"
    machine.run(
        f"systemd-run --quiet --collect --unit {unit} -p Delegate=yes --service-type=notify -p NotifyAccess=all "
        f"wherry run --rm --name inside --network none --cgroups={mode} --sdnotify=conmon -d {IMAGE} sleep 1000"
    )
    try:
        identity, pid = inspect(machine, "inside", ".Id"), inspect(machine, "inside", ".State.Pid")
        main = show(machine, unit, "MainPID")["MainPID"]
        assert main == inspect(machine, "inside", ".State.ConmonPid")
        if mode == "split":
            assert cgroup_of(machine, main) == f"{group}/runtime"
            assert cgroup_of(machine, pid) == f"{group}/wherry-payload-{identity}"
        else:
            assert cgroup_of(machine, main) == group
            assert cgroup_of(machine, pid).startswith(f"/machine.slice/wherry-{identity}.scope")
    finally:
        machine.run(f"wherry rm -f -t 0 inside; systemctl stop {unit}", check=False)
    assert_no_units(machine)


def test_a_killed_monitor_leaves_no_scope(machine: Machine) -> None:
    machine.run(f"wherry run -d --name crashed --network none {IMAGE} sleep 1000")
    machine.run("kill -9 $(wherry inspect crashed --format '{{.State.ConmonPid}} {{.State.Pid}}')")
    machine.run("wherry rm -f crashed")
    assert_no_units(machine)


def test_a_container_restarted_by_its_policy_keeps_its_scopes(machine: Machine) -> None:
    machine.run(f"wherry run -d --name again --network none --restart on-failure:1 {IMAGE} sh -c 'exit 3'")
    try:
        assert machine.run("wherry wait --condition exited again").out.strip() == "3"
        machine.run("for i in $(seq 60); do [ $(wherry inspect again --format '{{.RestartCount}}') = 1 ] && exit 0; "
                    "sleep 1; done; exit 1")
    finally:
        machine.run("wherry rm -f -t 0 again")
    assert_no_units(machine)


def test_without_a_bus_the_error_says_so(machine: Machine) -> None:
    machine.run("systemctl stop dbus.socket dbus.service")
    try:
        done = machine.run(f"wherry run --rm --network none {IMAGE} true", check=False)
        assert done.code == 126
        assert "sd-bus" in done.out
        assert "--cgroup-manager cgroupfs" in done.out
        fallback = f"wherry --cgroup-manager cgroupfs run --rm --network none {IMAGE} echo ok"
        assert machine.run(fallback).out == "ok\n"
    finally:
        machine.run("systemctl start dbus.socket")
    assert machine.run(f"wherry run --rm --network none {IMAGE} echo back").out == "back\n"
