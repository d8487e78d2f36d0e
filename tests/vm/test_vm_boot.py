"""Containers come back after a reboot: by wherry's own units, and by the command for any init system."""

from __future__ import annotations

import pytest
from tests.vm.guest_tools import inspect, until
from tests.vm.machine import Machine
from tests.vm.payload import IMAGE

CONTAINERS = {
    "back-always": "--restart always", "back-unless": "--restart unless-stopped",
    "back-not": "", "back-stopped": "--restart unless-stopped", "back-failing": "--restart on-failure",
}


@pytest.fixture
def containers(machine: Machine) -> object:
    for name, options in CONTAINERS.items():
        # The shell ends on SIGTERM at once.
        machine.run(f"wherry run -d --name {name} --network none {options} {IMAGE} "
                    "sh -c 'trap \"exit 0\" TERM; while :; do sleep 1; done'")
    machine.run("wherry stop back-stopped")
    yield
    machine.run(f"wherry rm -f -t 0 {' '.join(CONTAINERS)}")


def running(machine: Machine) -> set[str]:
    return {name for name in CONTAINERS if inspect(machine, name, ".State.Running") == "true"}


@pytest.mark.parametrize("hard", [False, True], ids=["orderly", "power cut"])
def test_reboot_with_the_shipped_units(machine: Machine, containers: object, hard: bool) -> None:
    paths = machine.run("wherry system install-units").out.split()
    assert paths[0] == "/etc/systemd/system/wherry-restart.service"
    assert machine.run(f"systemd-analyze verify --man=no {' '.join(paths)}").out == ""
    machine.run("systemctl enable --now wherry-restart.service && sync")
    try:
        machine.reboot(hard=hard)
        until(machine, "systemctl is-active wherry-restart.service", lambda out: out == "active\n")
        assert running(machine) == {"back-always", "back-unless"}
        if not hard:        # it was stopped in good order
            assert inspect(machine, "back-not", ".State.ExitCode") == "0"
        # They do not depend on the service that started them.
        machine.run("systemctl kill --signal=KILL wherry-restart.service", check=False)
        assert running(machine) == {"back-always", "back-unless"}
    finally:
        machine.run(f"systemctl disable wherry-restart.service; rm -f {' '.join(paths)}; systemctl daemon-reload")


def test_the_commands_for_any_init_system(machine: Machine, containers: object) -> None:
    stopped = machine.run("wherry system stop-all").out.split()
    assert len(stopped) == 4
    assert running(machine) == set()
    machine.reboot()
    assert running(machine) == set()
    started = machine.run("wherry system restart-all").out.split()
    assert {inspect(machine, identity, ".Name") for identity in started} == {"back-always", "back-unless"}
    assert running(machine) == {"back-always", "back-unless"}
    assert machine.run("wherry system restart-all").out == ""
