"""A message bus of the test's own and a service manager on it that knows a handful of units."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jeepney import DBusAddress, HeaderFields, Message, MessageType, new_error, new_method_return, new_signal
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import DBusConnection, open_dbus_connection

PATH = "/org/freedesktop/systemd1"
MANAGER = "org.freedesktop.systemd1.Manager"
PROPERTIES = "org.freedesktop.DBus.Properties"
CONFIGURATION = """\
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/><allow user="*"/>
  </policy>
</busconfig>
"""


@contextmanager
def message_bus_daemon(directory: Path) -> Iterator[str]:
    """Run a private ``dbus-daemon``; yields its address."""
    file = directory / "bus.conf"
    file.write_text(CONFIGURATION.format(socket=directory / "bus"))
    daemon = subprocess.Popen(
        ["dbus-daemon", f"--config-file={file}", "--nofork", "--print-address"], stdout=subprocess.PIPE, text=True
    )
    assert daemon.stdout is not None
    try:
        yield daemon.stdout.readline().strip()
    finally:
        daemon.kill()
        daemon.wait()
        daemon.stdout.close()


class FakeManager:
    """Answers like org.freedesktop.systemd1: what :class:`wherry.sys.systemd_bus.Bus` sends, and no more."""

    def __init__(self, address: str) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        #: unit -> how its next job ends
        self.results: dict[str, str] = {}
        #: unit -> interface -> property -> (signature, value)
        self.units: dict[str, dict[str, dict[str, tuple[str, Any]]]] = {}
        self.silent: set[str] = set()           # methods that are never answered
        self.forgets_jobs = False               # never signals; the job is gone when asked for
        self._subscribed = False
        self._jobs = 0
        self._connection: DBusConnection = open_dbus_connection(address)
        self._connection.send_and_get_reply(message_bus.RequestName("org.freedesktop.systemd1"))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._connection.sock.shutdown(2)
        self._thread.join(5)
        self._connection.close()

    def _serve(self) -> None:
        while True:
            try:
                message = self._connection.receive()
            except OSError:
                return
            if message.header.message_type is MessageType.method_call:
                self._answer(message)

    def _answer(self, message: Message) -> None:
        fields = message.header.fields
        method, path = fields[HeaderFields.member], fields[HeaderFields.path]
        if fields.get(HeaderFields.interface) != PROPERTIES:
            self.calls.append((method, message.body))
        if method in self.silent:
            return
        handler: Callable[[Message, str], None] = getattr(self, f"_on_{method}", self._on_other)
        handler(message, path)

    def _reply(self, message: Message, signature: str | None = None, body: tuple[Any, ...] = ()) -> None:
        self._connection.send(new_method_return(message, signature, body))

    def _refuse(self, message: Message, name: str, text: str) -> None:
        self._connection.send(new_error(message, name, "s", (text,)))

    def _on_other(self, message: Message, path: str) -> None:
        self._reply(message)

    def _on_Subscribe(self, message: Message, path: str) -> None:
        self._subscribed = True
        self._reply(message)

    def _on_StartUnit(self, message: Message, path: str) -> None:
        unit = message.body[0]
        if unit not in self.units:
            self._refuse(message, "org.freedesktop.systemd1.NoSuchUnit", f"Unit {unit} not found.")
            return
        self._job(message, unit)

    _on_RestartUnit = _on_StopUnit = _on_StartUnit

    def _on_StartTransientUnit(self, message: Message, path: str) -> None:
        unit = message.body[0]
        if unit in self.units:
            self._refuse(message, "org.freedesktop.systemd1.UnitExists", f"Unit {unit} already exists.")
            return
        self.units[unit] = {}
        self._job(message, unit)

    def _job(self, message: Message, unit: str) -> None:
        """The worst order: another job's signal, then this job's, then the answer to the call."""
        self._jobs += 1
        job = f"{PATH}/job/{self._jobs}"
        emitter = DBusAddress(PATH, interface=MANAGER)
        if self._subscribed and not self.forgets_jobs:
            for number, path, result in (
                (99, f"{PATH}/job/99", "canceled"), (self._jobs, job, self.results.get(unit, "done"))
            ):
                self._connection.send(new_signal(emitter, "JobRemoved", "uoss", (number, path, unit, result)))
        self._reply(message, "o", (job,))

    def _on_LoadUnit(self, message: Message, path: str) -> None:
        self._reply(message, "o", (f"{PATH}/unit/{message.body[0].encode().hex()}",))

    def _on_GetUnitByPID(self, message: Message, path: str) -> None:
        self._reply(message, "o", (f"{PATH}/unit/{b'web.service'.hex()}",))

    def _on_Get(self, message: Message, path: str) -> None:
        if "/job/" in path:
            self._refuse(message, "org.freedesktop.DBus.Error.UnknownObject", f"Unknown object '{path}'.")
            return
        interface, name = message.body
        self._reply(message, "v", (self._interface(path, interface)[name],))

    def _on_GetAll(self, message: Message, path: str) -> None:
        self._reply(message, "a{sv}", (self._interface(path, message.body[0]),))

    def _interface(self, path: str, interface: str) -> dict[str, tuple[str, Any]]:
        return self.units[bytes.fromhex(path.rpartition("/")[2]).decode()][interface]

    def _on_ListUnitsByPatterns(self, message: Message, path: str) -> None:
        lines = [(unit, "a unit", "loaded", "active", "running", "", PATH, 0, "", "/") for unit in sorted(self.units)]
        self._reply(message, "a(ssssssouso)", (lines,))
