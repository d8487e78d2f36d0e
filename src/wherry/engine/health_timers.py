"""Timers of health checks: who runs them on this host, and whose turn it is.

systemd does where it is the init system and can be reached, the supervisor process everywhere else.
"""

from __future__ import annotations

import fcntl
import os

from wherry.errors import Unavailable, WherryError
from wherry.health import schedule
from wherry.health.timers import Job, SupervisorTimers
from wherry.model.timestamps import now_ns, parse_ns
from wherry.sys import log
from wherry.sys.files import make_dirs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.engine.locked import LockedContainer
    from wherry.engine.runtime import Runtime
    from wherry.health.systemd import SystemdTimers


def start(held: LockedContainer) -> None:
    """Have the check of a running container run, beginning now. What cannot be had is said, and fails no verb."""
    job = _job(held)
    if job is None:
        return
    runtime = held.runtime
    systemd = _systemd(runtime)
    try:
        if systemd is not None:
            try:
                systemd.start(job)
                return
            except WherryError as error:
                log.info(f"health checks of container {held.id} are run without systemd: {error}")
        supervisor(runtime).start(job)
    except (OSError, WherryError) as error:
        log.error(f"health checks of container {held.id} cannot be scheduled: {error}")


def stop(held: LockedContainer) -> None:
    """Have it run no more."""
    forget(held.runtime, held.id)


def forget(runtime: Runtime, identity: str) -> None:
    """:func:`stop` for a container that may be gone."""
    supervisor(runtime).stop(identity)
    systemd = _systemd(runtime)
    if systemd is not None:
        try:
            systemd.stop(identity)
        except Unavailable as error:        # then it was not there to start one either
            log.debug(f"health check timer of container {identity}: {error}")
        except WherryError as error:
            log.warning(f"removing health check timer of container {identity}: {error}")
    Turn.forget(runtime, identity)


def _job(held: LockedContainer) -> Job | None:
    """What the timer is to run; None when there is none (``--health-interval=disable``, no check)."""
    from wherry.engine.exit_command import environment, global_words
    from wherry.engine.healthcheck import situation_of
    from wherry.sys.program import command

    config, state = held.config, held.state
    if config.health_check is None or not config.health_check.active:
        return None
    age = now_ns() - parse_ns(state.started_time)
    interval = schedule.interval(config.health_check, config.startup_health_check, situation_of(state), age=age)
    if interval <= 0:
        return None
    return Job(
        container=held.id,
        interval=interval,
        words=[*command(), *global_words(held.runtime), *PROBE],
        environment=dict(line.partition("=")[::2] for line in environment(held.runtime)),
        pid=state.pid,
        pid_start=state.pid_start,
    )


#: What runs the probe of a container whose id is added.
PROBE = ("healthcheck", "run", "--ignore-result", "--scheduled")


def supervisor(runtime: Runtime) -> SupervisorTimers:
    from wherry.engine.exit_command import environment, global_words
    from wherry.sys.program import command

    directory = runtime.paths.health
    words = [*command(), "healthcheck", "supervise", directory, *command(), *global_words(runtime), *PROBE]
    return SupervisorTimers(directory, words, dict(line.partition("=")[::2] for line in environment(runtime)))


def revive(runtime: Runtime) -> None:
    """The supervisor is gone though something is scheduled: start another."""
    try:
        supervisor(runtime).revive()
    except OSError as error:
        log.warning(f"starting the supervisor of health checks: {(error.strerror or str(error)).lower()}")


def _systemd(runtime: Runtime) -> SystemdTimers | None:
    """Timers of systemd's, None where it is not the init system."""
    from wherry.sys.systemd_bus import is_booted

    if not is_booted():
        return None
    from wherry.health.systemd import SystemdTimers

    settings = runtime.settings
    return runtime.cached("health-timers", lambda: SystemdTimers(
        user=settings.rootless, address=settings.environment.dbus_session_bus_address,
        runtime_dir=settings.runtime_dir,
    ))


class Turn:
    """``with Turn(runtime, ID) as turn:`` - only one timer's probe of a container at a time.

    ``mine`` tells whether it is ours; ``directory`` is where the probe of whose turn it is has its files: what a killed
    one left is found there.
    """

    def __init__(self, runtime: Runtime, identity: str) -> None:
        base = f"{runtime.paths.health}/probes"
        self.directory = f"{base}/{identity}"
        self._path = f"{base}/{identity}.lock"
        self._fd = -1
        self.mine = False

    def __enter__(self) -> Turn:
        make_dirs(os.path.dirname(self._path))
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.mine = True
        except BlockingIOError:
            pass
        return self

    def __exit__(self, *_exc: object) -> None:
        os.close(self._fd)

    @staticmethod
    def forget(runtime: Runtime, identity: str) -> None:
        try:
            os.unlink(f"{runtime.paths.health}/probes/{identity}.lock")
        except FileNotFoundError:
            pass
