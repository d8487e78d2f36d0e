"""When the host goes down and comes up: containers end in good order, and those whose policy says so come back.

Any init system can call both (``wherry system stop-all`` and ``restart-all``); with systemd ``wherry-restart.service``
does.  Policies mean what they do in docker: ``always`` brings back whatever had run, ``unless-stopped`` all but what
somebody stopped; ``on-failure`` is about failures, not about reboots.
"""

from __future__ import annotations

from wherry.engine.graph import levels
from wherry.engine.parallel import for_each
from wherry.errors import NoSuchContainer
from wherry.model import status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from wherry.engine.locked import LockedContainer
    from wherry.engine.runtime import Runtime
    from wherry.errors import WherryError
    from wherry.model.container import ContainerConfig

#: The label that names the unit a container is run by.
UNIT_LABEL = "PODMAN_SYSTEMD_UNIT"


def restart_all(runtime: Runtime) -> tuple[list[str], dict[str, WherryError]]:
    """Start every container whose restart policy brings it back and that does not run.

    What a container depends on is started before it.  Returns the ids of those started, and id -> error for those
    that could not be; none keeps the others from starting.  Containers of a systemd unit are the unit's business.
    """
    started: list[str] = []

    def work(own: Runtime, identity: str) -> None:
        from wherry.engine.start import start

        with own.lock(identity) as held:
            wanted = comes_back(held)
        if wanted and start(own, identity):
            started.append(identity)

    return started, _each(runtime, work, reverse=False)


def stop_all(runtime: Runtime, timeout: int | None = None) -> tuple[list[str], dict[str, WherryError]]:
    """Stop every container that runs, dependents first; for :func:`restart_all` nobody has stopped them.

    *timeout* as for ``stop``.  Returns ids and errors as :func:`restart_all` does.
    """
    stopped: list[str] = []

    def work(own: Runtime, identity: str) -> None:
        from wherry.engine.stop import stop

        with own.lock(identity) as held:
            runs = held.state.status in (status.RUNNING, status.PAUSED)
        if not (runs and stop(own, identity, timeout)):
            return
        stopped.append(identity)
        if own.state.has_container(identity):
            with own.lock(identity) as held:
                if held.state.status == status.EXITED:
                    held.state.stopped_by_user = False
                    held.save()

    return stopped, _each(runtime, work, reverse=True)


def comes_back(held: LockedContainer) -> bool:
    """Does the restart policy want this container, which the host's reboot ended, to run again?"""
    state, policy = held.state, held.config.restart_policy
    if state.status not in (status.EXITED, status.STOPPED):
        return False
    return policy == "always" or (policy == "unless-stopped" and not state.stopped_by_user)


def _each(
    runtime: Runtime, work: Callable[[Runtime, str], None], *, reverse: bool
) -> dict[str, WherryError]:
    """Do *work* to all containers but those of units, in the order of dependency or against it."""
    configs: dict[str, ContainerConfig] = {}
    for row in runtime.state.container_rows():
        try:
            configs[row.id] = runtime.state.container_config(row.id)
        except NoSuchContainer:
            continue
    groups = levels({identity: config.dependencies for identity, config in configs.items()})
    errors: dict[str, WherryError] = {}
    for group in reversed(groups) if reverse else groups:
        own = [identity for identity in group if UNIT_LABEL not in configs[identity].labels]
        failed = for_each(runtime, own, work)
        errors.update((identity, error) for identity, error in failed.items() if not isinstance(error, NoSuchContainer))
    return errors
