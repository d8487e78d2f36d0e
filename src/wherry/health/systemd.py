"""Timers of systemd's: one transient timer with its service per container, for as long as the container runs.

The service does the same each time, so nothing is made or removed for a probe, and it ends well whatever the probe
found: a unit that never fails and keeps its manager's notes below ``LogLevelMax`` leaves nothing in the journal.  Names
end in a random part, because a service of an earlier life of the container may still be busy with the last probe.
"""

from __future__ import annotations

import os

from wherry.sys.systemd_bus import NO_SUCH_UNIT, Bus, BusError, user_bus_address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.health.timers import Job
    from wherry.sys.systemd_bus import Properties

_MICROSECOND = 1000
#: Syslog level "notice": what systemd says at each start and end of a service is "info".
_NOTICE = 5
_WARNING = 4
#: How much later than due a probe may be run, so that wake-ups coincide (microseconds).
_ACCURACY = 1_000_000


class SystemdTimers:
    """Timers of the system's manager, or of the *user*'s at the bus *address* (default: in *runtime_dir*)."""

    def __init__(self, *, user: bool, address: str = "", runtime_dir: str = "") -> None:
        self._user = user
        self._address = user_bus_address(address, runtime_dir, os.getuid()) if user else ""

    def start(self, job: Job) -> None:
        """Raises ``BusUnavailable`` and :class:`BusError`."""
        with Bus.connect(user=self._user, address=self._address) as bus:
            self._remove(bus, job.container)
            unit = f"{_prefix(job.container)}{os.urandom(4).hex()}"
            result = bus.start_transient_unit(
                f"{unit}.timer", _timer(job), auxiliary=[(f"{unit}.service", _service(job))]
            )
        if result != "done":
            raise BusError(f"starting {unit}.timer: {result}")

    def stop(self, container: str) -> None:
        """Raises ``BusUnavailable`` and :class:`BusError`."""
        with Bus.connect(user=self._user, address=self._address) as bus:
            self._remove(bus, container)

    def _remove(self, bus: Bus, container: str) -> None:
        """Stop the timer, not the service: it may be this very process."""
        for unit in bus.list_units([f"{_prefix(container)}*.timer"]):
            try:
                bus.stop_unit(unit.name)
            except BusError as error:
                if error.name != NO_SUCH_UNIT:      # gone meanwhile
                    raise


def _prefix(container: str) -> str:
    return f"wherry-health-{container}-"


def _timer(job: Job) -> Properties:
    interval = max(job.interval // _MICROSECOND, 1)
    first = 0 if job.at_once else interval
    return [
        ("Description", ("s", f"Health check timer of container {job.container[:12]}")),
        ("TimersMonotonic", ("a(st)", [("OnActiveSec", first), ("OnUnitInactiveSec", interval)])),
        ("AccuracyUSec", ("t", min(_ACCURACY, interval // 10 or 1))),
        ("RemainAfterElapse", ("b", False)),
        ("CollectMode", ("s", "inactive-or-failed")),
    ]


def _service(job: Job) -> Properties:
    words = [*job.words, job.container]
    return [
        ("Description", ("s", f"Health check of container {job.container[:12]}")),
        ("Type", ("s", "exec")),
        ("ExecStart", ("a(sasb)", [(words[0], words, False)])),
        ("Environment", ("as", [f"{name}={value}" for name, value in job.environment.items()])),
        ("LogLevelMax", ("i", _NOTICE)),
        ("SyslogLevel", ("i", _WARNING)),
        ("StandardInput", ("s", "null")),
        ("StartLimitIntervalUSec", ("t", 0)),
        ("KillMode", ("s", "process")),
        ("CollectMode", ("s", "inactive-or-failed")),
    ]
