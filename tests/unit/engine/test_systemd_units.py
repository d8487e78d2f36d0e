"""What the systemd cgroup manager is asked for, and who is told of a start."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from wherry.config.environment import EnvironmentFacts, facts
from wherry.engine import activation, notify
from wherry.engine.systemd_units import conmon_scope, slice_limits
from wherry.model.container import ContainerConfig, ContainerState
from wherry.spec.cgroup import actual_path, slice_path

ENDLESS = (1 << 64) - 1


def test_limits_of_a_slice() -> None:
    resources = {
        "memory": {"limit": 64, "swap": 100},
        "cpu": {"quota": 50000, "period": 200000, "shares": 1024, "cpus": "0-1,8"},
        "pids": {"limit": 7}, "blockIO": {"weight": 20},
    }
    assert slice_limits(resources) == [
        ("MemoryMax", ("t", 64)), ("MemorySwapMax", ("t", 36)), ("CPUQuotaPerSecUSec", ("t", 250000)),
        ("CPUQuotaPeriodUSec", ("t", 200000)), ("CPUWeight", ("t", 39)), ("AllowedCPUs", ("ay", b"\x03\x01")),
        ("TasksMax", ("t", 7)), ("IOWeight", ("t", 20)),
    ]


def test_no_limit_is_said_as_such() -> None:
    found = slice_limits({"memory": {"limit": -1, "swap": -1}, "cpu": {"quota": -1}, "pids": {"limit": -1}})
    assert {name: value[1] for name, value in found} == {
        "MemoryMax": ENDLESS, "MemorySwapMax": ENDLESS, "CPUQuotaPerSecUSec": ENDLESS, "CPUQuotaPeriodUSec": 100000,
        "TasksMax": ENDLESS,
    }
    assert slice_limits({}) == []


@pytest.mark.parametrize(("name", "path"), [
    ("machine.slice", "/machine.slice"), ("a-b-c.slice", "/a.slice/a-b.slice/a-b-c.slice"), ("-.slice", ""),
])
def test_where_a_slice_is(name: str, path: str) -> None:
    assert slice_path(name) == path


def test_where_a_container_is() -> None:
    assert actual_path("machine.slice:wherry:ID") == "/machine.slice/wherry-ID.scope"
    assert actual_path("machine-pod.slice:wherry:ID") == "/machine.slice/machine-pod.slice/wherry-ID.scope"
    assert actual_path("/wherry/ctr-ID") == "/wherry/ctr-ID"
    assert actual_path("") == ""
    assert conmon_scope("ID") == "wherry-conmon-ID.scope"


def held(environment: EnvironmentFacts, **config: Any) -> Any:
    """As much of a locked container as is looked at."""
    runtime = SimpleNamespace(settings=SimpleNamespace(environment=environment))
    return SimpleNamespace(
        runtime=runtime, config=ContainerConfig(id="ID", **config), state=ContainerState(conmon_pid=42), id="ID"
    )


class Manager:
    """A notification socket."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.channel.bind(self.path)
        self.channel.settimeout(5)

    def heard(self) -> str:
        return self.channel.recv(4096).decode()

    def silent(self) -> bool:
        self.channel.setblocking(False)
        try:
            self.channel.recv(1)
        except BlockingIOError:
            return True
        return False


@pytest.fixture
def manager(tmp_path: Path) -> Any:
    found = Manager(tmp_path / "notify")
    yield found
    found.channel.close()


@pytest.mark.parametrize(("mode", "text"), [
    ("conmon", "MAINPID=42\nREADY=1"), ("container", "MAINPID=42"), ("healthy", "MAINPID=42"),
])
def test_the_start_is_told(manager: Manager, mode: str, text: str) -> None:
    notify.tell_started(held(EnvironmentFacts(notify_socket=manager.path), sdnotify_mode=mode))
    assert manager.heard() == text
    # A container started again by its exit command, which has no such variable.
    notify.tell_started(held(EnvironmentFacts(), sdnotify_mode=mode, sdnotify_socket=manager.path))
    assert manager.heard() == text


def test_nobody_is_told_who_is_to_be_ignored(manager: Manager) -> None:
    facts = EnvironmentFacts(notify_socket=manager.path)
    notify.tell_started(held(facts, sdnotify_mode="ignore"))
    notify.tell_started(held(facts, sdnotify_mode="conmon", is_infra=True))
    assert manager.silent()


def test_messages_of_the_container_are_relayed_in_its_mode_only(manager: Manager, tmp_path: Path) -> None:
    facts = EnvironmentFacts(notify_socket=manager.path)
    assert notify.relays_to(held(facts, sdnotify_mode="container")) == manager.path
    assert notify.relays_to(held(facts, sdnotify_mode="conmon")) == ""
    gone = EnvironmentFacts(notify_socket=str(tmp_path / "gone"))
    assert notify.relays_to(held(gone, sdnotify_mode="container")) == ""


def test_more_time_is_asked_for(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "AGAIN", 0.01)
    runtime: Any = SimpleNamespace(settings=SimpleNamespace(environment=EnvironmentFacts(notify_socket=manager.path)))
    with notify.MoreTime(runtime):
        assert [manager.heard(), manager.heard()] == ["EXTEND_TIMEOUT_USEC=30000000"] * 2
    time.sleep(0.05)
    while not manager.silent():
        pass
    time.sleep(0.05)
    assert manager.silent()


def given(**more: str) -> EnvironmentFacts:
    return EnvironmentFacts(listen_fds="2", listen_pid=str(os.getpid()), **more)


def test_sockets_are_for_the_process_they_were_given_to() -> None:
    assert activation.passed_on(held(given())) == 2
    assert activation.variables(held(given(listen_fdnames="a:b"))) == {
        "LISTEN_PID": "1", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "a:b",
    }
    other = EnvironmentFacts(listen_fds="2", listen_pid="1")
    assert (activation.passed_on(held(other)), activation.variables(held(other))) == (0, {})
    assert activation.passed_on(held(given(), is_infra=True)) == 0
    assert activation.passed_on(held(given(), preserve_fds=1)) == 0


def test_the_unit_has_two_names() -> None:
    assert facts({"WHERRY_SYSTEMD_UNIT": "a.service"}).systemd_unit == "a.service"
    assert facts({"WHERRY_SYSTEMD_UNIT": "a.service", "PODMAN_SYSTEMD_UNIT": "b.service"}).systemd_unit == "b.service"
