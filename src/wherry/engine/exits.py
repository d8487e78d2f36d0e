"""What happens after a container's process ended: restart policy, clean-up, removal."""

from __future__ import annotations

import time

from wherry.engine.cleanup import cleanup
from wherry.engine.owner import is_owned, wait_for_owners
from wherry.errors import NoSuchContainer
from wherry.model import status
from wherry.model.health import RESTART
from wherry.model.timestamps import SECOND, now_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.engine.locked import LockedContainer
    from wherry.engine.runtime import Runtime

#: How long (ns) the exit code of a removed container is remembered, as in libpod.
KEPT = 300 * SECOND
#: Seconds before the nth automatic restart: 0.1, 0.2, 0.4 ... up to a minute, as Docker does.
FIRST_DELAY = 0.1
LONGEST_DELAY = 60.0
#: A container that ran this long (seconds) starts counting its delays anew.
STEADY = 10.0


def finish(runtime: Runtime, identity: str) -> None:
    """The exit command's work (``wherry container cleanup``): wait for owners, then do what is left to do."""
    forget_old_codes(runtime)
    try:
        delay, pod = _finish(runtime, identity)
        if pod:
            _tell_pods(runtime, pod)
        if delay is not None:
            restart_after(runtime, identity, delay)
    except NoSuchContainer:
        _tell_pods(runtime)


def forget_old_codes(runtime: Runtime) -> None:
    """Drop the exit codes of containers that were removed a while ago."""
    runtime.state.prune_exit_codes(now_ns() - KEPT)


def _finish(runtime: Runtime, identity: str) -> tuple[float | None, str]:
    """Delay before a restart, or None; and the pod that lost a member for good. Raises ``NoSuchContainer``."""
    while True:
        wait_for_owners(runtime, identity)
        if not runtime.state.has_container(identity):
            raise NoSuchContainer(identity)
        with runtime.lock(identity) as held:
            # Somebody may own the end of a later life by now; with the lock held no other can begin to.
            if is_owned(runtime, identity):
                continue
            delay = after_exit(held)
            return delay, "" if delay is not None or held.config.is_infra else held.config.pod


def _tell_pods(runtime: Runtime, pod: str = "") -> None:
    """A member of *pod* (or of any: it is gone already) has ended."""
    for identity in [pod] if pod else [row.id for row in runtime.state.pod_rows()]:
        from wherry.engine.pod_verbs import after_exit as after_member_exit

        after_member_exit(runtime, identity)


def after_exit(held: LockedContainer) -> float | None:
    """Clean up or remove an ended container; the number of seconds to wait if it is to be started again instead."""
    if held.alive:
        return None
    restart = should_restart(held)
    cleanup(held)
    if restart:
        held.state.restart_policy_match = True
        held.state.restart_count += 1
        held.save()
        return _delay(held)
    if held.config.auto_remove and held.state.status == status.EXITED:
        from wherry.engine.remove import remove_locked

        remove_locked(held)
    return None


def should_restart(held: LockedContainer) -> bool:
    """Does the restart policy want the container started again now?"""
    state, config = held.state, held.config
    if state.status != status.STOPPED or state.stopped_by_user:
        return False
    if state.health_action == RESTART:
        return True
    policy = config.restart_policy
    if policy in ("always", "unless-stopped"):
        return True
    if policy == "on-failure" and state.exit_code != 0:
        return config.restart_retries <= 0 or state.restart_count < config.restart_retries
    return False


def _delay(held: LockedContainer) -> float:
    from wherry.model.timestamps import parse_ns

    state = held.state
    ran = (parse_ns(state.finished_time) - parse_ns(state.started_time)) / SECOND
    if ran >= STEADY or state.restart_count <= 1:
        return FIRST_DELAY
    return min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(state.restart_count - 1, 12))


def restart_after(runtime: Runtime, identity: str, delay: float) -> None:
    """Start a container again after *delay* seconds, unless somebody stopped, started or removed it meanwhile."""
    from wherry.engine.start import init, launch, start_dependencies

    time.sleep(delay)
    start_dependencies(runtime, identity)
    with runtime.lock(identity) as held:
        state = held.state
        if state.status != status.EXITED or state.stopped_by_user or not state.restart_policy_match:
            return
        count = state.restart_count
        init(held)
        state.restart_count = count
        state.restart_policy_match = False
        launch(held)
        held.save(held.event("restart"))
