"""systemd as auto-update sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from wherry.errors import RuntimeFailed, WherryError
from wherry.spec.parse_values import quote
from wherry.sys import systemd_bus
from wherry.update.facts import UnitFacts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wherry.engine.runtime import Runtime

#: How a job that went well ends.
DONE = "done"


class UnitManager(Protocol):
    """What is needed of :class:`wherry.sys.systemd_bus.Bus`."""

    def restart_unit(self, name: str, mode: str = "replace", *, timeout: float | None = None) -> str: ...
    def reset_failed(self, name: str) -> None: ...
    def unit_property(self, name: str, interface: str, prop: str) -> object: ...
    def close(self) -> None: ...


class Unreachable:
    """A manager that cannot be asked: every question raises why. Containers of units fail then, the others go on."""

    def __init__(self, reason: WherryError) -> None:
        self._reason = reason

    def restart_unit(self, name: str, mode: str = "replace", *, timeout: float | None = None) -> str:
        raise self._reason

    def reset_failed(self, name: str) -> None:
        raise self._reason

    def unit_property(self, name: str, interface: str, prop: str) -> object:
        raise self._reason

    def close(self) -> None:
        """Nothing is open."""


def connect(runtime: Runtime) -> UnitManager | None:
    """The manager of this user's units; None where systemd is not the init system."""
    if not systemd_bus.is_booted():
        return None
    settings = runtime.settings
    try:
        if settings.uid == 0:
            return systemd_bus.Bus.connect(user=False)
        facts = settings.environment
        address = systemd_bus.user_bus_address(facts.dbus_session_bus_address, facts.xdg_runtime_dir, settings.uid)
        return systemd_bus.Bus.connect(user=True, address=address)
    except systemd_bus.BusUnavailable as error:
        return Unreachable(error)


def check_loaded(manager: UnitManager, name: str) -> None:
    """Raises ``WherryError`` when there is no such unit, or systemd cannot be asked."""
    state = manager.unit_property(name, systemd_bus.UNIT, "LoadState")
    if state != "loaded":
        raise RuntimeFailed(f"restarting systemd unit {quote(name)} failed: it is {state}")


def facts_of(manager: UnitManager, names: Iterable[str]) -> dict[str, UnitFacts]:
    """What the planner wants to know of units. Raises ``WherryError`` when systemd cannot be asked."""
    found = {}
    for name in sorted(set(names)):
        after = manager.unit_property(name, systemd_bus.UNIT, "After")
        load = manager.unit_property(name, systemd_bus.UNIT, "LoadState")
        others = [str(other) for other in after] if isinstance(after, list | tuple) else []
        found[name] = UnitFacts(name=name, after=others, load=str(load))
    return found


def restarts(manager: UnitManager, name: str) -> int:
    """How often systemd restarted the unit by itself since it was last started by somebody; 0 if it cannot tell."""
    try:
        count = manager.unit_property(name, systemd_bus.SERVICE, "NRestarts")
    except WherryError:
        return 0
    return count if isinstance(count, int) else 0


def active_state(manager: UnitManager, name: str) -> str:
    """active, activating, failed, inactive, ...; empty if it cannot tell."""
    try:
        return str(manager.unit_property(name, systemd_bus.UNIT, "ActiveState"))
    except WherryError:
        return ""


def is_busy(manager: UnitManager, name: str) -> bool:
    """Is systemd at work on the unit: a job is waiting, or it is on its way up or down?"""
    if active_state(manager, name) in ("activating", "deactivating", "reloading"):
        return True
    try:
        job = manager.unit_property(name, systemd_bus.UNIT, "Job")
    except WherryError:
        return False
    return isinstance(job, list | tuple) and bool(job) and bool(job[0])
