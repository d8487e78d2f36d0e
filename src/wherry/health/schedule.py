"""What a probe's result means, and when the next one is due. No clock, no I/O: everything is given.

Rules, from podman-run(1) ``--health-*`` and libpod's behaviour:

- While there is a startup check that has not passed, it is the one that is run.  It passes after ``successes``
  successful runs (0: one); from then on the regular check is run.  After ``retries`` failed runs (0: never) the
  container is restarted.
- The regular check makes the container healthy when it succeeds, and unhealthy when it fails ``retries`` times in a
  row.  Failures within the start period do not count.
- The first probe is run when the container starts, every further one an interval after the end of the one before.
"""

from __future__ import annotations

from wherry.model.health import HEALTHY, RESTART, STARTING, UNHEALTHY
from wherry.model.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.model.health import HealthConfig


class Situation(Record):
    """What is known of a container's health between two probes."""

    status: str = ""                # "", starting, healthy, unhealthy
    streak: int = 0                 # failures of the regular check in a row
    passed: bool = False            # the startup check is done
    successes: int = 0              # of the startup check
    failures: int = 0


class Verdict(Record):
    """What follows from a result: the new situation, and what to do about it."""

    situation: Situation = Situation()
    action: str = ""                # "", or what is to be done to the container: kill, restart, stop
    starting: bool = False          # the result neither makes the container healthy nor counts as a failure
    changed: bool = False           # the status is another one than before
    moved_on: bool = False          # another check, or the same with another interval, is due from now on


#: Where a container begins at every start.
BEGIN = Situation(status=STARTING)


def is_startup(startup: HealthConfig | None, situation: Situation) -> bool:
    """Is the startup check the one to run?"""
    return startup is not None and startup.active and not situation.passed


def judge(
    regular: HealthConfig,
    startup: HealthConfig | None,
    on_failure: str,
    situation: Situation,
    *,
    ok: bool,
    age: int,
) -> Verdict:
    """The consequences of a probe that was begun *age* ns after the container's start and went well or not.

    *on_failure* is what to do to a container that turns unhealthy: ``none``, ``kill``, ``restart`` or ``stop``.
    """
    if startup is not None and is_startup(startup, situation):
        return _judge_startup(startup, situation, ok)
    if ok:
        after = situation.replace(status=HEALTHY, streak=0)
    elif age < regular.start_period:
        return Verdict(situation=situation, starting=situation.status == STARTING)
    else:
        streak = situation.streak + 1
        bad = streak >= max(regular.retries, 1)
        after = situation.replace(streak=streak, status=UNHEALTHY if bad else situation.status or STARTING)
    changed = after.status != situation.status
    turned_bad = changed and after.status == UNHEALTHY
    return Verdict(
        situation=after,
        action=on_failure if turned_bad and on_failure != "none" else "",
        changed=changed,
        moved_on=changed and situation.status == STARTING and regular.start_interval > 0,
    )


def _judge_startup(startup: HealthConfig, situation: Situation, ok: bool) -> Verdict:
    if ok:
        successes = situation.successes + 1
        if successes < startup.successes:
            return Verdict(situation=situation.replace(successes=successes), starting=True)
        after = situation.replace(status=HEALTHY, streak=0, passed=True, successes=0, failures=0)
        return Verdict(situation=after, changed=after.status != situation.status, moved_on=True)
    failures = situation.failures + 1
    over = 0 < startup.retries <= failures
    return Verdict(
        situation=situation.replace(failures=failures), action=RESTART if over else "", starting=True
    )


def interval(regular: HealthConfig, startup: HealthConfig | None, situation: Situation, *, age: int) -> int:
    """ns between the end of a probe and the next one for a container started *age* ns ago; 0 means no timer.

    An image may ask (``StartInterval``) for a different pace until the container is healthy, within its start period.
    """
    if startup is not None and is_startup(startup, situation):
        return max(startup.interval, 0)
    if not regular.active:
        return 0
    hurried = situation.status == STARTING and age < regular.start_period and regular.start_interval > 0
    return regular.start_interval if hurried and regular.interval > 0 else max(regular.interval, 0)


class Entry:
    """One container in the schedule of probes. Times are ns of any one clock that never goes back."""

    __slots__ = ("due", "interval", "running", "settled")

    def __init__(self, interval: int, now: int, *, at_once: bool) -> None:
        self.running = False
        self.change(interval, now, at_once=at_once)

    def change(self, interval: int, now: int, *, at_once: bool) -> None:
        """It is to be run at this pace, beginning now (or when the probe under way is over) or one interval from now.
        """
        self.interval = interval
        self.due = now if at_once else now + interval
        self.settled = True         # a probe that ends says nothing of when the next is due

    def began(self) -> None:
        """Its probe was started: none is due until that one has ended."""
        self.running = True
        self.settled = False

    def ended(self, now: int) -> None:
        """The probe is over; the next is due an interval from *now*."""
        self.running = False
        if not self.settled:
            self.due = now + self.interval


def next_due(entries: dict[str, Entry]) -> int | None:
    """When the first probe is due, None when none is waited for."""
    return min((entry.due for entry in entries.values() if not entry.running), default=None)


def due(entries: dict[str, Entry], now: int, limit: int) -> list[str]:
    """Whose probes are due, the longest overdue first, at most *limit*."""
    ready = sorted((entry.due, name) for name, entry in entries.items() if not entry.running and entry.due <= now)
    return [name for _due, name in ready[:limit]]
