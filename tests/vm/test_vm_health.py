"""Health checks where systemd runs them: transient timers of the system's manager."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.vm.machine import Machine
from tests.vm.payload import IMAGE

UNITS = "systemctl list-units --all --plain --no-legend 'wherry-health-*' | awk '{print $1}'"
#: Ends with 3 when it is asked to; healthy while /tmp/ok is there.
MAIN = "sh -c 'trap \"exit 3\" TERM; touch /tmp/ok; while :; do sleep 0.2; done'"


@pytest.fixture(autouse=True)
def clean(machine: Machine) -> Iterator[None]:
    yield
    machine.run("wherry rm -f -t 0 -i box other")
    deadline = time.monotonic() + 60        # the last probe's service may be about to end
    while left := machine.run(UNITS).out:
        assert time.monotonic() < deadline, left
        time.sleep(0.5)


def start(machine: Machine, *options: str, name: str = "box", command: str = "cat /tmp/ok", retries: int = 2) -> str:
    return machine.run(
        f"wherry run -d --name {name} --network none --health-cmd '{command}' --health-interval 1s "
        f"--health-retries {retries} {' '.join(options)} {IMAGE} {MAIN}"
    ).out.strip()


def wait(machine: Machine, condition: str, name: str = "box") -> None:
    machine.run(f"timeout 100 wherry wait --condition {condition} {name}")


def health(machine: Machine, name: str = "box") -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(machine.run(f"wherry inspect --format '{{{{json .State.Health}}}}' {name}").out)
    return shown


def probed(machine: Machine, times: int = 2) -> None:
    """Wait until so many more probes were run."""
    for _ in range(times):
        before = health(machine)["Log"]
        deadline = time.monotonic() + 120
        while health(machine)["Log"] == before:
            assert time.monotonic() < deadline
            time.sleep(0.2)


def test_a_timer_runs_the_probes_and_the_journal_stays_silent(machine: Machine) -> None:
    cursor = machine.run("journalctl -n 0 --show-cursor | sed -n 's/^-- cursor: //p'").out.strip()
    identity = start(machine)
    wait(machine, "healthy")
    units = machine.run(UNITS).out.split()
    assert sorted(unit.rpartition(".")[2] for unit in units) == ["service", "timer"]
    assert all(unit.startswith(f"wherry-health-{identity}-") for unit in units)
    assert machine.run("pgrep -f 'healthcheck supervise'", check=False).code == 1
    probed(machine, 4)
    assert machine.run(UNITS).out.split() == units, "nothing is made or removed for a probe"
    machine.run("wherry exec box rm /tmp/ok")
    wait(machine, "unhealthy")
    machine.run("wherry rm -f -t 0 box")
    lines = machine.run(f"journalctl --after-cursor '{cursor}' -o json --output-fields=MESSAGE,UNIT,PODMAN_EVENT").out
    found = [json.loads(line) for line in lines.splitlines() if line.startswith("{")]
    spam = [line["MESSAGE"] for line in found if "PODMAN_EVENT" not in line and "health" in str(line).lower()]
    # The timer itself begins and ends once; the probes say nothing, nor do mounts the OCI runtime makes for a moment.
    assert len(spam) <= 4, spam
    assert not [line for line in found if line.get("UNIT", "").endswith(".service") and "health" in line["UNIT"]]
    assert len([line for line in found if "tmp-crun" in line["MESSAGE"]]) <= 4
    told = machine.run(
        f"wherry events --stream=false --filter container={identity} --filter event=health_status "
        "--format '{{.HealthStatus}}'"
    ).out.split()
    assert told == ["healthy", "unhealthy"]


def test_probes_pause_with_the_container_and_end_with_it(machine: Machine) -> None:
    start(machine)
    wait(machine, "healthy")
    machine.run("wherry pause box")
    assert "timer" not in machine.run(UNITS).out
    before = health(machine)
    machine.run("sleep 2.5")
    assert health(machine) == before
    machine.run("wherry unpause box")
    probed(machine)
    machine.run("wherry stop box")
    assert "timer" not in machine.run(UNITS).out


@pytest.mark.parametrize("action", ["kill", "stop", "restart"])
def test_actions(machine: Machine, action: str) -> None:
    start(machine, f"--health-on-failure={action}", retries=1)
    wait(machine, "healthy")
    machine.run("wherry exec box rm /tmp/ok")
    if action != "restart":
        wait(machine, "stopped")
        assert machine.run("wherry inspect --format '{{.State.Health.Status}}' box").out == "unhealthy\n"
        return
    machine.run("timeout 60 sh -c 'until [ $(wherry inspect --format {{.RestartCount}} box) = 1 ]; do sleep 0.2; done'")
    wait(machine, "healthy")
    probed(machine)
    assert machine.run("wherry ps --format '{{.Status}}'").out.endswith("(healthy)\n")
    pids = machine.run("wherry inspect --format '{{.State.ConmonPid}} {{.State.Pid}}' box").out.split()
    for pid in pids:
        assert "wherry-health" not in machine.run(f"cat /proc/{pid}/cgroup").out


def test_a_container_that_was_killed_takes_its_timer_along(machine: Machine) -> None:
    start(machine)
    wait(machine, "healthy")
    machine.run("kill -9 $(wherry inspect --format '{{.State.ConmonPid}} {{.State.Pid}}' box)")
    deadline = time.monotonic() + 120
    while machine.run(UNITS).out:
        assert time.monotonic() < deadline
        time.sleep(0.5)


def test_a_startup_check_and_another_pace(machine: Machine) -> None:
    start(machine, "--health-startup-cmd 'cat /tmp/up' --health-startup-interval 1s")
    probed(machine)
    assert health(machine)["Status"] == "starting"
    machine.run("wherry exec box touch /tmp/up")
    wait(machine, "healthy")
    probed(machine)
    assert len(machine.run(UNITS).out.split()) == 2
    machine.run("wherry update --health-interval 1h box")
    assert "1h" in machine.run("systemctl show -p TimersMonotonic 'wherry-health-*.timer'").out
    machine.run("wherry update --no-healthcheck box")
    assert "timer" not in machine.run(UNITS).out


def test_a_power_cut_leaves_nothing(machine: Machine) -> None:
    start(machine)
    wait(machine, "healthy")
    machine.run("sync")
    machine.reboot(hard=True)
    assert machine.run(UNITS).out == ""
    assert machine.run("wherry ps -a --format '{{.Names}} {{.State}}'").out == "box exited\n"
    machine.run("wherry start box")
    wait(machine, "healthy")


def test_a_service_is_ready_when_its_container_is_healthy(machine: Machine) -> None:
    machine.put("/run/systemd/system/healthy.service", f"""\
[Service]
Type=notify
NotifyAccess=all
ExecStart=/usr/local/bin/wherry run -d --name box --replace --network none --sdnotify=healthy \\
  --health-cmd "cat /tmp/ok" --health-interval 1s {IMAGE} sleep 1000
ExecStop=/usr/local/bin/wherry rm -f -t 0 box
""")
    machine.run("systemctl daemon-reload; systemctl start --no-block healthy.service")
    deadline = time.monotonic() + 60
    while machine.run("wherry exec box true", check=False).code:
        assert time.monotonic() < deadline, machine.run("systemctl status healthy.service", check=False).out
        time.sleep(0.5)
    assert machine.run("systemctl is-active healthy.service", check=False).out == "activating\n"
    machine.run("wherry exec box touch /tmp/ok; timeout 60 systemctl start healthy.service")
    assert machine.run("systemctl is-active healthy.service").out == "active\n"
    machine.run("systemctl stop healthy.service; rm /run/systemd/system/healthy.service; systemctl daemon-reload")
