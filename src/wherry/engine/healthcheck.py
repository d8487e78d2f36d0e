"""Health checks of containers: running a probe, what follows from it, and having probes run while a container does.

The database holds a container's health; it is changed under the container's lock, in one transaction with the event
that tells of it.  No lock is held while a probe runs, so its result counts only if the container has been running ever
since: not if it was stopped, started anew, paused or given another check meanwhile.
"""

from __future__ import annotations

from wherry.engine import health_timers
from wherry.errors import NoSuchContainer, NotFound, StateError, TimedOut, Unavailable
from wherry.health import log as health_log
from wherry.health.schedule import BEGIN, Situation, Verdict, is_startup, judge
from wherry.model import status
from wherry.model.health import HEALTHY, STARTING, STOPPED, UNHEALTHY, HealthConfig
from wherry.model.record import Record
from wherry.model.timestamps import format_ns, now_ns, parse_ns
from wherry.sys import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from wherry.engine.locked import LockedContainer
    from wherry.engine.runtime import Runtime
    from wherry.model.container import ContainerConfig, ContainerState
    from wherry.model.event import Event
    from wherry.oci.probe import Outcome

SECOND = 10**9


class NotProbed(StateError):
    """There is nothing to probe, or not now; in libpod's words, which end here without a cause."""

    cause = ""


class HealthResult(Record):
    """What one probe found.

    ``status`` is *healthy*, *unhealthy* (the probe failed, whatever the container counts as), *starting* (a startup
    check failed or has to succeed more often) or *stopped* (the container ended meanwhile); ``health`` is what the
    container counts as now.  ``exit_code`` is 0, 1, or -1 for a probe that took too long.
    """

    status: str = ""
    health: str = ""
    exit_code: int = 0
    output: str = ""
    timeout: int = 0                # ns, when the probe took too long


class _Asked(Record):
    """A probe about to be run, and which life of the container it is meant for."""

    config: ContainerConfig | None = None
    check: HealthConfig = HealthConfig()
    startup: bool = False
    started: str = ""
    epoch: int = 0
    runtime_name: str = ""
    process: Mapping[str, Any] = {}


def run(runtime: Runtime, identity: str) -> HealthResult:
    """Run the container's check now (the startup check until it has passed) and draw the consequences.

    Raises ``StateError`` when it does not run or has no check, ``TimedOut`` (after drawing the consequences) when the
    probe took too long.
    """
    result = probe(runtime, identity)
    if result.timeout:
        from wherry.model.timespec import format_duration

        raise TimedOut(f"healthcheck command exceeded timeout of {format_duration(result.timeout)}")
    return result


def probe(runtime: Runtime, identity: str, *, directory: str = "") -> HealthResult:
    """:func:`run`, but a probe that took too long is a result like others. *directory* is for the probe's files."""
    from wherry.model.ids import generate_id
    from wherry.oci import probe as oci_probe
    from wherry.sys.systemd_bus import is_booted

    with runtime.lock(identity) as held:
        asked = _ask(held)
    begun = now_ns()
    outcome = oci_probe.run(runtime.oci_runtime(asked.runtime_name), oci_probe.Probe(
        container=identity,
        directory=directory or f"{runtime.paths.health}/probes/{identity}-{generate_id()[:12]}",
        process=asked.process,
        timeout=asked.check.timeout / SECOND,
        most_output=_most_output(asked),
        unseen=is_booted() and not runtime.settings.rootless,
    ))
    result = _result(asked, outcome, begun)
    try:
        with runtime.lock(identity) as held:
            verdict = _settle(held, asked, result, begun)
            running, health = held.state.status == status.RUNNING, held.state.health_status
    except NoSuchContainer:
        verdict, running, health = None, False, ""
    if verdict is not None and verdict.action:
        from wherry.engine.health_actions import act

        act(runtime, identity)
    if verdict is None and not running:
        return HealthResult(status=STOPPED, health=health, exit_code=1, output=result.output)
    bad = STARTING if asked.startup else UNHEALTHY
    return HealthResult(
        status=bad if result.exit_code else STARTING if verdict is not None and verdict.starting else HEALTHY,
        health=health,
        exit_code=result.exit_code,
        output=result.output,
        timeout=asked.check.timeout if outcome.timed_out else 0,
    )


def _ask(held: LockedContainer) -> _Asked:
    """What to run. Raises ``StateError`` in Podman's words when there is nothing to run, or not now."""
    from wherry.engine.execs import process_spec
    from wherry.model.exec_session import ExecConfig

    config, state = held.config, held.state
    if state.status != status.RUNNING:
        raise NotProbed(f"container {held.id} is not running")
    check = config.health_check
    if check is None or not check.active:
        raise NotProbed(f"container {held.id} has no defined healthcheck")
    startup = config.startup_health_check
    chosen = startup if startup is not None and is_startup(startup, situation_of(state)) else check
    if not chosen.command or not chosen.command[0]:
        raise NotProbed(f"container {held.id} has no defined healthcheck")
    return _Asked(
        config=config,
        check=chosen,
        startup=chosen is startup,
        started=state.started_time,
        epoch=state.health_epoch,
        runtime_name=state.runtime or config.runtime,
        process=process_spec(held, ExecConfig(command=chosen.command)),
    )


def _most_output(asked: _Asked) -> int:
    from wherry.oci.probe import MOST_OUTPUT

    # A character has at most four bytes.
    wanted = asked.config.health_max_log_size if asked.config is not None else 0
    return min(wanted * 4, MOST_OUTPUT) if wanted > 0 else MOST_OUTPUT


def _result(asked: _Asked, outcome: Outcome, begun: int) -> health_log.Result:
    """The result as the log keeps it; a command that could not be run counts as one that failed (libpod)."""
    size = asked.config.health_max_log_size if asked.config is not None else 0
    text = outcome.failure or outcome.output.decode("utf-8", "replace")
    return health_log.Result(
        start=_local_time(begun),
        end=_local_time(now_ns()),
        exit_code=-1 if outcome.timed_out else 1 if outcome.code else 0,
        output=health_log.cut(text, size),
    )


def _local_time(stamp: int) -> str:
    """RFC 3339 as Go writes it: the local offset, Z where that is none."""
    text = format_ns(stamp, local=True)
    return text.removesuffix("+00:00") + "Z" if text.endswith("+00:00") else text


def _settle(held: LockedContainer, asked: _Asked, result: health_log.Result, begun: int) -> Verdict | None:
    """Store what the probe found; None when it says nothing of the container as it is now."""
    config, state = held.config, held.state
    same = state.started_time == asked.started and state.health_epoch == asked.epoch
    if state.status != status.RUNNING or not same or config.health_check is None:
        return None
    before = situation_of(state)
    if asked.startup != is_startup(config.startup_health_check, before):
        return None         # another probe has passed the startup check meanwhile
    age = begun - parse_ns(state.started_time)
    verdict = judge(
        config.health_check, config.startup_health_check, config.health_check_on_failure or "none", before,
        ok=result.exit_code == 0, age=age,
    )
    _write_log(held, result, verdict.situation)
    events = _events(held, result, verdict)
    if verdict.situation != before or verdict.action:
        take_situation(state, verdict.situation)
        if verdict.action:
            from wherry.engine.health_actions import claim

            claim(state, verdict.action)
        held.save(*events)
    elif events:
        held.runtime.state.add_events(*events)
        held.runtime.publish()
    if verdict.moved_on:
        health_timers.start(held)
    return verdict


def _events(held: LockedContainer, result: health_log.Result, verdict: Verdict) -> list[Event]:
    """The ``health_status`` event, if this result gets one: on a change, or for every probe if the user wants that."""
    wanted = held.runtime.settings.engine.healthcheck_events
    logged = held.config.health_log_destination == health_log.EVENTS
    if wanted is False or not (verdict.changed or wanted or logged):
        return []
    text = ""
    if logged:
        from wherry.model.jsontext import dumps

        text = dumps(result.shown())
    situation = verdict.situation
    return [held.event(
        "health_status", health_status=situation.status or STARTING, health_failing_streak=situation.streak,
        health_log=text,
    )]


def _write_log(held: LockedContainer, result: health_log.Result, situation: Situation) -> None:
    config = held.config
    path = log_path(config, held.state)
    if not path:
        return
    try:
        health_log.add(
            path, result, status=situation.status, streak=situation.streak, count=config.health_max_log_count
        )
    except OSError as error:
        log.warning(f"unable to update health check log {path} for {held.id}: {(error.strerror or str(error)).lower()}")


# -- the container's life --------------------------------------------------------------------------------------------


def situation_of(state: ContainerState) -> Situation:
    return Situation(
        status=state.health_status,
        streak=state.health_streak,
        passed=state.startup_hc_passed,
        successes=state.startup_hc_successes,
        failures=state.startup_hc_failures,
    )


def take_situation(state: ContainerState, situation: Situation) -> None:
    state.health_status = situation.status
    state.health_streak = situation.streak
    state.startup_hc_passed = situation.passed
    state.startup_hc_successes = situation.successes
    state.startup_hc_failures = situation.failures


def begin(held: LockedContainer) -> None:
    """The container runs (again): its health is to be found out, from now on. To be saved by the caller."""
    state, check = held.state, held.config.health_check
    state.health_action = ""
    state.health_actor = state.health_actor_start = 0
    state.health_epoch = 0
    take_situation(state, BEGIN if check is not None and check.active else Situation())
    health_timers.start(held)


def log_path(config: ContainerConfig, state: ContainerState) -> str:
    """The file with the results of the last probes; empty for a container that never ran."""
    return health_log.path(config.health_log_destination, state.run_dir, config.id)


def shown(config: ContainerConfig, state: ContainerState) -> dict[str, Any] | None:
    """State.Health of ``inspect``; None for a container without a health check."""
    if config.health_check is None or not config.health_check.active:
        return None
    results = health_log.read(log_path(config, state)) if state.health_status else []
    return {"Status": state.health_status, "FailingStreak": state.health_streak, "Log": results or None}


def scheduled(runtime: Runtime, identity: str) -> None:
    """What a timer runs: a probe, unless there is nothing to probe (any more) or another timer's probe is under way.

    A container that is gone, does not run or is paused loses its timer.
    """
    from wherry.oci.probe import kill_left

    with health_timers.Turn(runtime, identity) as turn:
        if not turn.mine:
            return
        kill_left(turn.directory)
        if not _wants_probe(runtime, identity):
            return
        try:
            probe(runtime, identity, directory=turn.directory)
        except (NotFound, StateError, Unavailable) as error:
            log.debug(f"health check of container {identity}: {error}")


def _wants_probe(runtime: Runtime, identity: str) -> bool:
    """Is the container to be probed? Finishes what a killed process was doing to an unhealthy one."""
    from wherry.engine.health_actions import act, is_left

    try:
        with runtime.lock(identity) as held:
            state, check = held.state, held.config.health_check
            alive = state.status == status.RUNNING and check is not None and check.active
            left = alive and is_left(state)
    except NoSuchContainer:
        alive = left = False
    if not alive:
        health_timers.forget(runtime, identity)
        return False
    if left:
        act(runtime, identity)
        return False
    return True


def end(held: LockedContainer) -> None:
    """The container's process has ended, or is not to be probed for the time being."""
    health_timers.stop(held)


def paused(held: LockedContainer) -> None:
    """The container is frozen: probes under way say nothing of it, and no more are run. To be saved by the caller."""
    held.state.health_epoch += 1
    health_timers.stop(held)


def go_on(held: LockedContainer) -> None:
    """It runs on, thawed or after the process that was changing it was killed: so do the probes."""
    health_timers.start(held)


class Change:
    """The container is about to get another configuration (``update``); :meth:`finish` when it has it.

    In between this process is recorded as changing the container: if it is killed, the next one goes on with probes.
    """

    def __init__(self, held: LockedContainer, after: ContainerConfig) -> None:
        self._held = held
        self._before = before = held.config
        same = (after.health_check, after.startup_health_check) == (before.health_check, before.startup_health_check)
        self._needed = not same and held.state.status in (status.RUNNING, status.PAUSED)
        if self._needed:
            held.own()
            held.save()

    def finish(self) -> None:
        """Probe as the new configuration says."""
        if not self._needed:
            return
        held, before = self._held, self._before
        config, state, check = held.config, held.state, held.config.health_check
        if check is None or not check.active:
            take_situation(state, Situation())
        elif before.health_check is None or not before.health_check.active:
            take_situation(state, BEGIN)
        elif before.startup_health_check is None and config.startup_health_check is not None:
            state.startup_hc_passed = state.health_status == HEALTHY
        state.health_epoch += 1
        health_timers.stop(held)
        if state.status == status.RUNNING:
            health_timers.start(held)
        held.disown()
        held.save()
