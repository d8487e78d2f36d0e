"""systemd over D-Bus: the few calls of org.freedesktop.systemd1(5) the engine makes; nothing else speaks D-Bus.

jeepney carries the messages; it is imported with the first connection, not with this module.
"""

from __future__ import annotations

import os

from wherry.errors import UNAVAILABLE, RuntimeFailed, TimedOut, Unavailable
from wherry.model.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Sequence
    from typing import Any, Self

    from jeepney import Message
    from jeepney.io.blocking import DBusConnection

    #: What D-Bus calls a variant: signature and value.
    Variant = tuple[str, object]
    Properties = Sequence[tuple[str, Variant]]

SYSTEM_BUS = "unix:path=/run/dbus/system_bus_socket"
MANAGER = "org.freedesktop.systemd1.Manager"
UNIT = "org.freedesktop.systemd1.Unit"
SERVICE = "org.freedesktop.systemd1.Service"
SCOPE = "org.freedesktop.systemd1.Scope"
SLICE = "org.freedesktop.systemd1.Slice"
NO_SUCH_UNIT = "org.freedesktop.systemd1.NoSuchUnit"
UNIT_EXISTS = "org.freedesktop.systemd1.UnitExists"

_NAME = "org.freedesktop.systemd1"
_PATH = "/org/freedesktop/systemd1"
_PROPERTIES = "org.freedesktop.DBus.Properties"
_UNKNOWN_OBJECT = "org.freedesktop.DBus.Error.UnknownObject"
#: How often a wait for a job asks whether the job still exists, in seconds: a manager that was re-executed forgets it.
_ASK_AGAIN = 20.0


class BusUnavailable(Unavailable):
    """There is no bus to talk to systemd on."""


class BusError(RuntimeFailed):
    """systemd (or the bus) answered with an error; ``name`` is its D-Bus name, e.g. :data:`NO_SUCH_UNIT`."""

    kind = UNAVAILABLE

    def __init__(self, message: str, name: str = "") -> None:
        super().__init__(message)
        self.name = name


class UnitStatus(Record):
    """A line of ``systemctl list-units``."""

    name: str
    description: str = ""
    load: str = ""              # loaded, not-found, masked, ...
    active: str = ""            # active, inactive, failed, activating, deactivating, reloading
    sub: str = ""               # running, dead, exited, ...: depends on the type of the unit


def is_booted() -> bool:
    """Is systemd this machine's init system? (sd_booted(3))"""
    return os.path.isdir("/run/systemd/system")


def user_bus_address(session_address: str, runtime_dir: str, uid: int) -> str:
    """Address of the bus of a user's manager: ``$DBUS_SESSION_BUS_ADDRESS``, else ``bus`` in ``$XDG_RUNTIME_DIR``."""
    return session_address or f"unix:path={runtime_dir or f'/run/user/{uid}'}/bus"


class Bus:
    """A connection to a service manager. Times are in seconds; use as a context manager or call :meth:`close`.

    Every call raises :class:`BusError` when systemd refuses, :class:`BusUnavailable` when the connection breaks and
    :class:`wherry.errors.TimedOut` when no answer comes in time.
    """

    def __init__(self, connection: DBusConnection, address: str, timeout: float) -> None:
        self._connection = connection
        self._address = address
        self._timeout = timeout
        self._subscribed = False

    @classmethod
    def connect(cls, *, user: bool, address: str = "", timeout: float = 25.0) -> Self:
        """Connect to the system's bus or to the *user*'s; *address* (D-Bus form) overrides where that is.

        Raises :class:`BusUnavailable`.
        """
        from jeepney.auth import AuthenticationError
        from jeepney.io.blocking import open_dbus_connection

        where = address or (user_bus_address("", "", os.getuid()) if user else SYSTEM_BUS)
        try:
            connection = open_dbus_connection(where, auth_timeout=timeout)
        except OSError as error:        # TimeoutError is one
            raise _unavailable(user, where, (error.strerror or str(error)).lower()) from None
        except (AuthenticationError, RuntimeError, ValueError) as error:
            raise _unavailable(user, where, str(error)) from None
        return cls(connection, where, timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    def start_unit(self, name: str, mode: str = "replace", *, timeout: float | None = None) -> str:
        """Start unit *name* and wait; returns how the job ended.

        That is ``done``, ``failed``, ``timeout``, ``canceled``, ``dependency`` or ``skipped``.  *timeout* bounds the
        wait (TimedOut); without it, it takes as long as the unit's own limits allow.
        """
        return self._job("StartUnit", "ss", (name, mode), name, timeout)

    def restart_unit(self, name: str, mode: str = "replace", *, timeout: float | None = None) -> str:
        """As :meth:`start_unit`; a running unit is stopped before."""
        return self._job("RestartUnit", "ss", (name, mode), name, timeout)

    def stop_unit(self, name: str, mode: str = "replace", *, timeout: float | None = None) -> str:
        """Stop unit *name* and wait; returns how the job ended."""
        return self._job("StopUnit", "ss", (name, mode), name, timeout)

    def start_transient_unit(
        self,
        name: str,
        properties: Properties,
        mode: str = "fail",
        *,
        auxiliary: Sequence[tuple[str, Properties]] = (),
        wait: bool = True,
        timeout: float | None = None,
    ) -> str:
        """Make and start a unit that lives in memory only; *properties* as in org.freedesktop.systemd1(5).

        *auxiliary* units are made with it (a timer's service).  Returns the job's end, ``""`` without *wait*.
        """
        body = (name, mode, list(properties), [(other, list(theirs)) for other, theirs in auxiliary])
        signature = "ssa(sv)a(sa(sv))"
        if not wait:
            self._call("StartTransientUnit", signature, body)
            return ""
        return self._job("StartTransientUnit", signature, body, name, timeout)

    def reset_failed(self, name: str) -> None:
        """Forget that the unit failed; a transient one goes away with that."""
        self._call("ResetFailedUnit", "s", (name,))

    def reload(self) -> None:
        """``systemctl daemon-reload``."""
        self._call("Reload", "", ())

    def set_unit_properties(self, name: str, properties: Properties) -> None:
        """Change properties (limits of a control group) of a unit until the next boot."""
        self._call("SetUnitProperties", "sba(sv)", (name, True, list(properties)))

    def attach_processes(self, name: str, pids: Sequence[int]) -> None:
        """Move processes into the control group of a scope or of a service with ``Delegate=``."""
        self._call("AttachProcessesToUnit", "ssau", (name, "", list(pids)))

    def unit_property(self, name: str, interface: str, prop: str) -> object:
        """One property of a unit, loaded if need be; *interface* e.g. :data:`SERVICE`."""
        return self._send(self._unit_path(name), _PROPERTIES, "Get", "ss", (interface, prop))[0][1]

    def unit_properties(self, name: str, interface: str) -> dict[str, object]:
        """All properties of one interface of a unit."""
        found = self._send(self._unit_path(name), _PROPERTIES, "GetAll", "s", (interface,))[0]
        return {key: value for key, (_signature, value) in found.items()}

    def list_units(self, patterns: Sequence[str] = (), states: Sequence[str] = ()) -> list[UnitStatus]:
        """The units in memory whose name fits a glob and whose state is one of *states* (empty: any)."""
        lines = self._call("ListUnitsByPatterns", "asas", (list(states), list(patterns)))[0]
        return [
            UnitStatus(name=line[0], description=line[1], load=line[2], active=line[3], sub=line[4]) for line in lines
        ]

    def unit_of_pid(self, pid: int) -> str:
        """Name of the unit a process belongs to; BusError :data:`NO_SUCH_UNIT` when to none."""
        path = self._call("GetUnitByPID", "u", (pid,))[0]
        return str(self._send(path, _PROPERTIES, "Get", "ss", (UNIT, "Id"))[0][1])

    def _unit_path(self, name: str) -> str:
        return str(self._call("LoadUnit", "s", (name,))[0])

    def _job(self, method: str, signature: str, body: tuple[object, ...], unit: str, timeout: float | None) -> str:
        """Queue a job and wait for the signal that it ended."""
        from collections import deque

        from jeepney import MatchRule

        self._subscribe()
        rule = MatchRule(type="signal", interface=MANAGER, member="JobRemoved", path=_PATH)
        ended: deque[Message] = deque()
        # The filter is there before the call: a short job's signal comes before the call's answer.
        with self._connection.filter(rule, queue=ended):
            job = self._call(method, signature, body)[0]
            return self._job_result(job, unit, ended, timeout)

    def _job_result(self, job: str, unit: str, ended: deque[Message], timeout: float | None) -> str:
        from time import monotonic

        deadline = monotonic() + timeout if timeout is not None else None
        while True:
            left = _ASK_AGAIN if deadline is None else min(_ASK_AGAIN, deadline - monotonic())
            try:
                message = self._connection.recv_until_filtered(ended, timeout=max(left, 0.0))
            except TimeoutError:
                if deadline is not None and monotonic() >= deadline:
                    raise TimedOut(f"systemd has not finished its job for unit {unit} in {timeout:g} seconds") from None
                self._insist_on_job(job, unit)
            except OSError as error:
                raise self._broken(error) from None
            else:
                _number, path, _unit, result = message.body
                if path == job:
                    return str(result)

    def _insist_on_job(self, job: str, unit: str) -> None:
        """Raise if systemd no longer knows the job and will never tell how it ended."""
        try:
            self._send(job, _PROPERTIES, "Get", "ss", ("org.freedesktop.systemd1.Job", "State"))
        except BusError as error:
            if error.name == _UNKNOWN_OBJECT:
                raise BusError(f"systemd lost the job of unit {unit}", error.name) from None
            raise

    def _subscribe(self) -> None:
        """Ask the manager for signals and the bus to deliver those about ended jobs."""
        if self._subscribed:
            return
        from jeepney import MatchRule

        rule = MatchRule(type="signal", sender=_NAME, interface=MANAGER, member="JobRemoved", path=_PATH)
        self._send(
            "/org/freedesktop/DBus", "org.freedesktop.DBus", "AddMatch", "s", (rule.serialise(),),
            bus_name="org.freedesktop.DBus",
        )
        self._call("Subscribe", "", ())
        self._subscribed = True

    def _call(self, method: str, signature: str, body: tuple[object, ...]) -> tuple[Any, ...]:
        return self._send(_PATH, MANAGER, method, signature, body)

    def _send(
        self, path: str, interface: str, method: str, signature: str, body: tuple[object, ...], *,
        bus_name: str = _NAME,
    ) -> tuple[Any, ...]:
        """One call and its answer."""
        from jeepney import DBusAddress, HeaderFields, MessageType, new_method_call

        address = DBusAddress(path, bus_name=bus_name, interface=interface)
        message = new_method_call(address, method, signature or None, body)
        try:
            reply = self._connection.send_and_get_reply(message, timeout=self._timeout)
        except TimeoutError:
            raise TimedOut(f"systemd did not answer {method} on {self._address} in {self._timeout:g} s") from None
        except OSError as error:
            raise self._broken(error) from None
        if reply.header.message_type is MessageType.error:
            name = str(reply.header.fields.get(HeaderFields.error_name, ""))
            raise BusError(str(reply.body[0]) if reply.body else f"{method}: {name}", name)
        return tuple(reply.body)

    def _broken(self, error: OSError) -> BusUnavailable:
        return BusUnavailable(f"lost the D-Bus connection to {self._address}: {(error.strerror or str(error)).lower()}")


def _unavailable(user: bool, address: str, reason: str) -> BusUnavailable:
    kind = "user" if user else "system"
    if user:
        hint = "log in through systemd-logind or enable lingering for the user ('loginctl enable-linger')"
    elif is_booted():
        hint = "install and start dbus ('systemctl start dbus.socket')"
    else:
        hint = "this host does not run systemd; use '--cgroup-manager cgroupfs', units cannot be started here"
    return BusUnavailable(f"cannot reach systemd over the D-Bus {kind} bus at {address}: {reason}", hint=hint)
