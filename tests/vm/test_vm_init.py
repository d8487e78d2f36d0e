"""systemd as the first process of a container."""

from __future__ import annotations

from tests.vm import debian
from tests.vm.guest_tools import assert_no_units, inspect, until
from tests.vm.machine import Machine


def test_a_debian_boots_and_shuts_down(machine: Machine) -> None:
    image = debian.load(machine)
    machine.run(f"wherry run -d --name init --network none {image} /sbin/init", timeout=300)
    try:
        assert inspect(machine, "init", ".Config.SystemdMode") == "true"
        assert inspect(machine, "init", ".Config.StopSignal") == "SIGRTMIN+3"
        until(machine, "wherry exec init systemctl is-system-running", lambda out: out == "running\n", 400)
        assert machine.run("wherry exec init systemctl --failed --no-legend").out == ""
        assert machine.run("wherry exec init cat /proc/1/comm").out == "systemd\n"
        assert machine.run("wherry exec init systemd-run --wait --quiet /bin/true", check=False).code == 0
        for place in ("/run", "/run/lock", "/tmp"):
            assert machine.run(f"wherry exec init stat -f -c %T {place}").out == "tmpfs\n"
        machine.run("wherry stop -t 120 init", timeout=300)
        assert inspect(machine, "init", ".State.ExitCode") == "0"      # 137 if it had to be killed
    finally:
        machine.run("wherry rm -f -t 0 init")
    assert_no_units(machine)


def test_when_a_container_is_made_for_systemd(machine: Machine) -> None:
    image = debian.load(machine)
    for options, command, expected in (
        ("", "/bin/sh", "false SIGTERM"), ("", "/lib/systemd/systemd", "true SIGRTMIN+3"),
        ("--systemd=false", "/sbin/init", "false SIGTERM"), ("--systemd=always", "/bin/sh", "true SIGRTMIN+3"),
        ("--stop-signal TERM", "/sbin/init", "true SIGTERM"),
    ):
        machine.run(f"wherry create --name mode {options} {image} {command}")
        shown = machine.run("wherry inspect mode --format '{{.Config.SystemdMode}} {{.Config.StopSignal}}'").out
        machine.run("wherry rm mode")
        assert shown.strip() == expected, f"{options} {command}"
