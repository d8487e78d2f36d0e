"""What a service tells systemd (main process, ready, needs more time), and sockets that are handed on to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from tests.vm import debian
from tests.vm.guest_tools import assert_no_units, inspect, show, until
from tests.vm.machine import Machine
from tests.vm.payload import IMAGE

#: Passes connections on to the registry after so many seconds.
_SLOW = """\
import socket, sys, threading, time
def copy(a, b):
    while data := a.recv(65536):
        b.sendall(data)
    b.shutdown(socket.SHUT_WR)
server = socket.create_server(("127.0.0.1", 5077))
late = True
while True:
    client, _ = server.accept()
    if late:
        time.sleep(float(sys.argv[1]))
        late = False
    registry = socket.create_connection(("127.0.0.1", 5000))
    threading.Thread(target=copy, args=(client, registry), daemon=True).start()
    threading.Thread(target=copy, args=(registry, client), daemon=True).start()
"""


def service(name: str, words: str, *lines: str) -> str:
    return "\n".join((
        "[Service]", "Type=notify", "NotifyAccess=all", "TimeoutStartSec=240", *lines,
        f"ExecStart=/usr/local/bin/wherry run -d --rm --replace --cgroups=no-conmon --name {name} --network none "
        f"{words}",
        f"ExecStop=/usr/local/bin/wherry stop -t 1 --ignore {name}",
    )) + "\n"


@pytest.fixture
def unit(machine: Machine) -> Iterator[Callable[[str], None]]:
    """Writes a unit ``notified.service``; gone after the test."""

    def write(text: str) -> None:
        machine.put("/run/systemd/system/notified.service", text)
        machine.run("systemctl daemon-reload")

    yield write
    machine.run("systemctl stop notified.socket notified.service", check=False)
    machine.run("rm -f /run/systemd/system/notified.*; systemctl daemon-reload; systemctl reset-failed; "
                "wherry rm -fa -t 0")
    assert_no_units(machine)


def main_is_the_monitor(machine: Machine) -> bool:
    return show(machine, "notified", "MainPID")["MainPID"] == inspect(machine, "notified", ".State.ConmonPid")


def test_the_monitor_speaks_for_the_container(machine: Machine, unit: Callable[[str], None]) -> None:
    unit(service("notified", f"--sdnotify=conmon {IMAGE} sleep 1000"))
    machine.run("systemctl start notified", timeout=300)
    assert main_is_the_monitor(machine)
    assert show(machine, "notified", "ActiveState") == {"ActiveState": "active"}
    # When the container ends, so does the service.
    machine.run("wherry kill notified")
    until(machine, "systemctl is-active notified", lambda out: out != "active\n")


def test_the_container_speaks_for_itself(machine: Machine, unit: Callable[[str], None]) -> None:
    image = debian.load(machine)
    script = "while [ ! -e /go ]; do sleep 0.2; done; systemd-notify --ready; exec sleep 1000"
    unit(service("notified", f"--sdnotify=container {image} sh -c '{script}'"))
    machine.run("systemctl start --no-block notified")
    until(machine, "wherry inspect notified --format '{{.State.Running}}'", lambda out: out == "true\n", 240)
    assert show(machine, "notified", "ActiveState") == {"ActiveState": "activating"}
    machine.run("wherry exec notified touch /go")
    until(machine, "systemctl is-active notified", lambda out: out == "active\n")
    assert main_is_the_monitor(machine)


def test_nobody_is_told(machine: Machine, unit: Callable[[str], None]) -> None:
    unit(service("notified", f"--sdnotify=ignore {IMAGE} sleep 1000"))
    assert machine.run("systemctl start notified", timeout=300, check=False).code != 0
    # The only main process systemd knew, wherry, ended without a word.
    assert show(machine, "notified", "Result") == {"Result": "protocol"}


def test_a_slow_pull_gets_more_time(machine: Machine, unit: Callable[[str], None]) -> None:
    machine.put("/var/tmp/slow.py", _SLOW)
    machine.run("wherry push -q --tls-verify=false localhost/test/busybox 127.0.0.1:5000/slow")
    machine.run("systemd-run --quiet --collect --unit slow-registry python3 /var/tmp/slow.py 25")
    try:
        image = "127.0.0.1:5077/slow"
        text = service("notified", f"--tls-verify=false --sdnotify=conmon {image} sleep 1000")
        # Less than the registry takes to answer.
        unit(text.replace("TimeoutStartSec=240", "TimeoutStartSec=15"))
        machine.run("systemctl start notified", timeout=300)
        assert show(machine, "notified", "ActiveState") == {"ActiveState": "active"}
    finally:
        machine.run("systemctl stop slow-registry; rm /var/tmp/slow.py; systemctl stop notified; "
                    "wherry rmi -f 127.0.0.1:5077/slow", check=False)


def test_sockets_are_handed_on(machine: Machine, unit: Callable[[str], None]) -> None:
    image = debian.load(machine)
    serve = (
        'open(S, "+<&=3"); while (accept(C, S)) { syswrite C, '
        '"pid $ENV{LISTEN_PID} fds $ENV{LISTEN_FDS} names $ENV{LISTEN_FDNAMES} self $$\\n"; close C }'
    )
    machine.put("/run/serve.pl", serve)
    machine.put("/run/systemd/system/notified.socket",
                "[Socket]\nListenStream=127.0.0.1:8099\nListenStream=/run/notified.sock\nFileDescriptorName=web\n")
    unit(service("notified", f"--sdnotify=conmon -v /run/serve.pl:/serve.pl {image} perl /serve.pl"))
    machine.run("systemctl start notified.socket")
    client = "import socket; s = socket.create_connection(('127.0.0.1', 8099), 200); print(s.recv(99).decode())"
    out = machine.run(f'python3 -c "{client}"', timeout=300).out
    assert out.split() == ["pid", "1", "fds", "2", "names", "web:web", "self", "1"]
    # The network is none: the connection came in through the socket alone.
    assert inspect(machine, "notified", ".HostConfig.NetworkMode") == "none"
