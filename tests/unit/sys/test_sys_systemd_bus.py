"""The D-Bus client against a real message bus and a small service manager."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.sys.fake_systemd import FakeManager, message_bus_daemon

from wherry.errors import TimedOut
from wherry.sys import systemd_bus
from wherry.sys.systemd_bus import NO_SUCH_UNIT, SERVICE, UNIT, UNIT_EXISTS, Bus, BusError, BusUnavailable

pytestmark = pytest.mark.skipif(not shutil.which("dbus-daemon"), reason="dbus-daemon is not installed")


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    with message_bus_daemon(tmp_path) as found:
        yield found


@pytest.fixture
def manager(address: str) -> Iterator[FakeManager]:
    fake = FakeManager(address)
    fake.units["web.service"] = {
        SERVICE: {"MainPID": ("u", 42), "NotifyAccess": ("s", "all")},
        UNIT: {"Id": ("s", "web.service")},
    }
    yield fake
    fake.close()


@pytest.fixture
def bus(manager: FakeManager, address: str) -> Iterator[Bus]:
    with Bus.connect(user=False, address=address) as found:
        yield found


@pytest.mark.parametrize("verb", ["start_unit", "restart_unit", "stop_unit"])
@pytest.mark.parametrize("result", ["done", "failed", "timeout", "dependency"])
def test_a_job_is_awaited_and_its_end_told(bus: Bus, manager: FakeManager, verb: str, result: str) -> None:
    manager.results["web.service"] = result
    assert getattr(bus, verb)("web.service") == result
    method = "".join(word.title() for word in verb.split("_"))
    assert (method, ("web.service", "replace")) in manager.calls


def test_signals_are_asked_for_once(bus: Bus, manager: FakeManager) -> None:
    bus.start_unit("web.service")
    bus.stop_unit("web.service")
    assert [method for method, _ in manager.calls].count("Subscribe") == 1


def test_an_unknown_unit_is_an_error_with_a_name(bus: Bus) -> None:
    with pytest.raises(BusError, match="Unit no.service not found.") as caught:
        bus.start_unit("no.service")
    assert caught.value.name == NO_SUCH_UNIT
    assert caught.value.exit_code == 125


def test_a_transient_unit_with_its_properties_and_companions(bus: Bus, manager: FakeManager) -> None:
    properties = [("Description", ("s", "probe")), ("PIDs", ("au", [1, 2]))]
    service = [("ExecStart", ("a(sasb)", [("/bin/true", ["true"], False)]))]
    done = bus.start_transient_unit("a.timer", properties, auxiliary=[("a.service", service)])
    assert done == "done"
    assert manager.calls[-1] == ("StartTransientUnit", ("a.timer", "fail", properties, [("a.service", service)]))
    with pytest.raises(BusError, match="already exists") as caught:
        bus.start_transient_unit("a.timer", [])
    assert caught.value.name == UNIT_EXISTS


def test_a_transient_unit_need_not_be_awaited(bus: Bus, manager: FakeManager) -> None:
    manager.forgets_jobs = True
    assert bus.start_transient_unit("b.scope", [], wait=False) == ""
    assert "Subscribe" not in [method for method, _ in manager.calls]


def test_properties(bus: Bus) -> None:
    assert bus.unit_property("web.service", SERVICE, "MainPID") == 42
    assert bus.unit_properties("web.service", SERVICE) == {"MainPID": 42, "NotifyAccess": "all"}
    assert bus.unit_of_pid(42) == "web.service"


def test_listing(bus: Bus, manager: FakeManager) -> None:
    found = bus.list_units(["web*"], ["active"])
    assert [(unit.name, unit.active, unit.sub) for unit in found] == [("web.service", "active", "running")]
    assert manager.calls[-1] == ("ListUnitsByPatterns", (["active"], ["web*"]))


def test_small_calls(bus: Bus, manager: FakeManager) -> None:
    bus.reset_failed("web.service")
    bus.reload()
    bus.set_unit_properties("web.service", [("CPUWeight", ("t", 50))])
    bus.attach_processes("web.service", [7])
    assert manager.calls[-4:] == [
        ("ResetFailedUnit", ("web.service",)), ("Reload", ()),
        ("SetUnitProperties", ("web.service", True, [("CPUWeight", ("t", 50))])),
        ("AttachProcessesToUnit", ("web.service", "", [7])),
    ]


def test_a_job_that_does_not_end_in_time(bus: Bus, manager: FakeManager) -> None:
    manager.forgets_jobs = True
    with pytest.raises(TimedOut, match=r"job for unit web.service in 0.1 seconds"):
        bus.start_unit("web.service", timeout=0.1)


def test_a_job_the_manager_forgot(bus: Bus, manager: FakeManager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd_bus, "_ASK_AGAIN", 0.05)
    manager.forgets_jobs = True
    with pytest.raises(BusError, match=r"lost the job of unit web.service"):
        bus.start_unit("web.service")


def test_a_manager_that_does_not_answer(manager: FakeManager, address: str) -> None:
    manager.silent.add("Reload")
    with Bus.connect(user=False, address=address, timeout=0.2) as bus, pytest.raises(TimedOut, match="Reload"):
        bus.reload()


def test_no_manager_on_the_bus(address: str) -> None:
    with Bus.connect(user=False, address=address) as bus, pytest.raises(BusError) as caught:
        bus.reload()
    assert caught.value.name == "org.freedesktop.DBus.Error.ServiceUnknown"


def test_a_bus_that_goes_away(tmp_path: Path) -> None:
    with message_bus_daemon(tmp_path) as address:
        bus = Bus.connect(user=False, address=address)
    with bus, pytest.raises(BusUnavailable, match="lost the D-Bus connection"):
        bus.reload()


@pytest.mark.parametrize(("user", "kind"), [(False, "system"), (True, "user")])
def test_no_bus(tmp_path: Path, user: bool, kind: str) -> None:
    with pytest.raises(BusUnavailable, match=rf"D-Bus {kind} bus at unix:path={tmp_path}/no: no such file") as caught:
        Bus.connect(user=user, address=f"unix:path={tmp_path}/no")
    assert caught.value.hint


def test_an_address_that_is_none() -> None:
    with pytest.raises(BusUnavailable, match="tcp"):
        Bus.connect(user=True, address="tcp:host=localhost,port=1")
    with pytest.raises(BusUnavailable):
        Bus.connect(user=True, address="nonsense")


def test_something_else_listens(tmp_path: Path) -> None:
    path = str(tmp_path / "silent")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        with pytest.raises(BusUnavailable, match="did not authenticate"):
            Bus.connect(user=False, address=f"unix:path={path}", timeout=0.1)


def test_where_a_users_bus_is() -> None:
    assert systemd_bus.user_bus_address("unix:path=/x", "/run/user/7", 7) == "unix:path=/x"
    assert systemd_bus.user_bus_address("", "/run/user/7", 7) == "unix:path=/run/user/7/bus"
    assert systemd_bus.user_bus_address("", "", 7) == "unix:path=/run/user/7/bus"


def test_the_module_is_cheap_to_import() -> None:
    source = Path(systemd_bus.__file__).parents[2]
    code = f"import sys; sys.path.insert(0, {str(source)!r}); import wherry.sys.systemd_bus; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    assert not {"jeepney", "socket", "re", "enum", "typing", "collections"} & set(loaded.stdout.split())
