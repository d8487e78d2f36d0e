"""Units made by ``generate systemd``, run by systemd: start, stop, recover, restart, notify."""

from __future__ import annotations

import pytest
from tests.vm.guest_tools import assert_no_units, inspect, show, until
from tests.vm.machine import Machine
from tests.vm.payload import IMAGE

DIRECTORY = "/run/systemd/system"
LOOP = "sh -c 'trap \"exit 0\" TERM; while :; do sleep 1; done'"


@pytest.fixture(autouse=True)
def tidy(machine: Machine) -> object:
    yield
    machine.run(f"cd {DIRECTORY}; for unit in container-gen* pod-gen*; do systemctl stop \"$unit\"; done; "
                f"systemctl stop container-gent@x; rm -f container-gen* pod-gen*; systemctl daemon-reload; "
                "systemctl reset-failed; wherry pod rm -fa -t 0; wherry rm -fa -t 0", check=False, timeout=300)
    assert_no_units(machine)


def generate(machine: Machine, words: str) -> None:
    machine.run(f"cd {DIRECTORY} && wherry generate systemd --files --name {words} && systemctl daemon-reload")


def test_a_container_made_anew(machine: Machine) -> None:
    machine.run(f"wherry create --name gen --network none --label kept=yes -e 'A=$x 5% \"q\"' {IMAGE} {LOOP}")
    generate(machine, "--new --restart-sec 1 gen")
    machine.run("wherry rm gen")
    assert machine.run(f"systemd-analyze verify --man=no {DIRECTORY}/container-gen.service").out == ""
    machine.run("systemctl start container-gen", timeout=300)
    first = inspect(machine, "gen", ".Id")
    assert show(machine, "container-gen", "MainPID")["MainPID"] == inspect(machine, "gen", ".State.ConmonPid")
    assert inspect(machine, "gen", ".Config.Labels.PODMAN_SYSTEMD_UNIT") == "container-gen.service"
    assert inspect(machine, "gen", ".Config.Labels.kept") == "yes"
    assert machine.run("wherry exec gen sh -c 'echo \"$A\"'").out == '$x 5% "q"\n'
    # It recovers from a crash as a new container.
    machine.run("kill -9 $(wherry inspect gen --format '{{.State.Pid}}')")
    until(machine, "wherry inspect gen --format '{{.Id}} {{.State.Running}}'",
          lambda out: out.endswith("true\n") and not out.startswith(first), 240)
    until(machine, "systemctl is-active container-gen", lambda out: out == "active\n")
    assert show(machine, "container-gen", "NRestarts") == {"NRestarts": "1"}
    machine.run("systemctl stop container-gen", timeout=300)
    assert show(machine, "container-gen", "Result", "ActiveState") == {"Result": "success", "ActiveState": "inactive"}
    assert machine.run("wherry ps -aq").out == ""


def test_a_container_that_exists(machine: Machine) -> None:
    machine.run(f"wherry create --name gen --network none {IMAGE} {LOOP}")
    generate(machine, "gen")
    machine.run("systemctl start container-gen", timeout=300)
    identity = inspect(machine, "gen", ".Id")
    assert show(machine, "container-gen", "MainPID")["MainPID"] == inspect(machine, "gen", ".State.ConmonPid")
    machine.run("systemctl restart container-gen", timeout=300)
    assert inspect(machine, "gen", ".Id") == identity
    assert inspect(machine, "gen", ".State.Running") == "true"
    machine.run("systemctl stop container-gen", timeout=300)
    assert show(machine, "container-gen", "Result", "ActiveState") == {"Result": "success", "ActiveState": "inactive"}
    assert inspect(machine, "gen", ".State.ExitCode") == "0"


def test_a_template(machine: Machine) -> None:
    machine.run(f"wherry create --name gent --network none {IMAGE} {LOOP}")
    generate(machine, "--template gent")
    machine.run("wherry rm gent; systemctl start container-gent@x", timeout=300)
    assert inspect(machine, "gent-x", ".State.Running") == "true"
    assert inspect(machine, "gent-x", ".Config.Labels.PODMAN_SYSTEMD_UNIT") == "container-gent@x.service"


def test_a_container_that_cannot_start(machine: Machine) -> None:
    machine.run(f"wherry create --name gen --network none {IMAGE} /no/such/command")
    generate(machine, "--new --restart-policy=no gen")
    assert machine.run("systemctl start container-gen", check=False, timeout=300).code != 0
    assert show(machine, "container-gen", "Result") == {"Result": "exit-code"}
    assert machine.run("wherry ps -aq").out == ""


@pytest.mark.parametrize("new", ["--new", ""])
def test_a_pod(machine: Machine, new: str) -> None:
    machine.run("wherry pod create --name gen --network none")
    for name in ("gen1", "gen2"):
        machine.run(f"wherry create --pod gen --name {name} {IMAGE} {LOOP}")
    generate(machine, f"{new} gen")
    if new:
        machine.run("wherry pod rm gen")
    units = "pod-gen container-gen1 container-gen2"
    machine.run("systemctl start pod-gen", timeout=300)
    until(machine, f"systemctl is-active {units}", lambda out: out == "active\n" * 3, 240)
    assert machine.run("wherry pod ps --format '{{.Name}} {{.Status}}'").out == "gen Running\n"
    assert inspect(machine, "gen1", ".Config.Labels.PODMAN_SYSTEMD_UNIT" if new else ".Name") == (
        "container-gen1.service" if new else "gen1"
    )
    machine.run("systemctl stop pod-gen", timeout=300)
    until(machine, f"systemctl is-active {units}", lambda out: out == "inactive\n" * 3, 240)
    assert machine.run("wherry ps -q").out == ""
    if new:
        assert machine.run("wherry pod ps -q").out == ""
