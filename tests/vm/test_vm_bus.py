"""The D-Bus client with the real service managers: the system's and a user's."""

from __future__ import annotations

import json

import pytest
from tests.vm.machine import Machine

_SCRIPT = """\
import json, sys
sys.path.append("/opt/wherry/lib/site-packages")
from wherry.sys.systemd_bus import NO_SUCH_UNIT, SERVICE, UNIT_EXISTS, Bus, BusError, is_booted
found = {"booted": is_booted()}
with Bus.connect(user=%(user)s) as bus:
    command = lambda *words: ("ExecStart", ("a(sasb)", [(words[0], list(words), False)]))
    kind = ("Type", ("s", "oneshot"))
    stay = ("RemainAfterExit", ("b", True))
    found["good"] = bus.start_transient_unit("bus-good.service", [kind, stay, command("/bin/true")])
    found["bad"] = bus.start_transient_unit("bus-bad.service", [kind, command("/bin/false")])
    found["failed"] = [unit.name for unit in bus.list_units(["bus-*"], ["failed"])]
    bus.reset_failed("bus-bad.service")
    try:
        bus.start_transient_unit("bus-good.service", [kind, command("/bin/true")])
    except BusError as error:
        found["twice"] = error.name == UNIT_EXISTS
    try:
        bus.start_unit("bus-none.service")
    except BusError as error:
        found["none"] = error.name == NO_SUCH_UNIT
    found["property"] = bus.unit_property("bus-good.service", SERVICE, "Result")
    found["properties"] = bus.unit_properties("bus-good.service", SERVICE)["RemainAfterExit"]
    run = bus.start_transient_unit("bus-run.service", [command("/bin/sleep", "100")])
    found["unit"] = bus.unit_of_pid(bus.unit_property("bus-run.service", SERVICE, "MainPID"))
    found["stop"] = [bus.restart_unit("bus-run.service"), bus.stop_unit("bus-run.service"),
                     bus.stop_unit("bus-good.service")]
    bus.reload()
    found["left"] = [unit.name for unit in bus.list_units(["bus-*"])]
print(json.dumps(found))
"""
EXPECTED = {
    "booted": True, "good": "done", "bad": "failed", "failed": ["bus-bad.service"], "twice": True, "none": True,
    "property": "success", "properties": True, "unit": "bus-run.service", "stop": ["done", "done", "done"], "left": [],
}


def test_system_bus(machine: Machine) -> None:
    machine.put("/var/tmp/bus.py", _SCRIPT % {"user": False})
    assert json.loads(machine.run("python3 -IS /var/tmp/bus.py").out) == EXPECTED


def test_user_bus(machine: Machine) -> None:
    machine.put("/var/tmp/bus.py", _SCRIPT % {"user": True})
    machine.run("loginctl enable-linger tester && systemctl start user@1000.service")
    try:
        as_user = "runuser -u tester -- python3 -IS /var/tmp/bus.py"
        assert json.loads(machine.run(as_user).out) == EXPECTED
    finally:
        machine.run("loginctl disable-linger tester; systemctl stop user@1000.service")
    done = machine.run(as_user, check=False)
    assert "D-Bus user bus at unix:path=/run/user/1000/bus" in done.out


@pytest.fixture(autouse=True)
def no_script_left(machine: Machine) -> object:
    yield
    machine.run("rm -f /var/tmp/bus.py")
