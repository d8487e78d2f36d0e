"""start, stop and the like for all containers of a pod: in order, each whatever became of the others."""

from __future__ import annotations

from wherry.engine.graph import levels
from wherry.engine.parallel import for_each
from wherry.errors import ALREADY, NoSuchContainer, StateError, WherryError
from wherry.model import status
from wherry.model.record import EMPTY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from wherry.engine.runtime import Runtime
    from wherry.model.container import ContainerConfig


class SomeContainersFailed(WherryError):
    """``errors``: container id -> what went wrong."""

    cause = "some containers failed"

    def __init__(self, message: str, errors: Mapping[str, WherryError] = EMPTY) -> None:
        super().__init__(message)
        self.errors = errors


def members(runtime: Runtime, pod: str) -> dict[str, ContainerConfig]:
    """Configurations of the pod's containers by id, in the order of creation, the infra container among them."""
    found = {}
    for identity in runtime.state.containers_in_pod(pod):
        try:
            found[identity] = runtime.state.container_config(identity)
        except NoSuchContainer:
            continue
    return found


def ordered(configs: Mapping[str, ContainerConfig]) -> list[list[str]]:
    """Ids in groups, each needing only groups before it."""
    return levels({identity: config.dependencies for identity, config in configs.items()})


def _told(runtime: Runtime, pod: str, what: str, errors: Mapping[str, WherryError], doing: str) -> None:
    """Record the event, then raise if any container failed."""
    from wherry.engine.pod_create import event

    runtime.state.add_events(event(runtime.state.pod(pod)[0], what))
    runtime.publish()
    if errors:
        raise SomeContainersFailed(f"{doing} containers of pod {pod}", errors)


# -- start -----------------------------------------------------------------------------------------------------------


def start(runtime: Runtime, pod: str) -> None:
    """Start the infra container, the init containers one after the other, then the rest in order of dependency.

    Raises :class:`SomeContainersFailed` when some could not be started; the others run.
    """
    configs = members(runtime, pod)
    if not configs:
        raise NoSuchContainer(f"no containers in pod {pod} have no dependencies, cannot start pod")
    errors: dict[str, WherryError] = {}
    initial = [identity for identity, config in configs.items() if config.init_container_type]
    if initial and not _runs(runtime, pod):
        _run_init_containers(runtime, [configs[identity] for identity in initial])
    _start_all(runtime, {key: config for key, config in configs.items() if not config.init_container_type}, errors)
    _told(runtime, pod, "start", errors, "starting")


def _runs(runtime: Runtime, pod: str) -> bool:
    """Is any container of the pod but the infra container up?"""
    identities = runtime.state.containers_in_pod(pod)
    rows = runtime.state.container_rows(ids=identities)
    return any(row.status in (status.RUNNING, status.PAUSED) and not row.is_infra for row in rows)


def _start_all(
    runtime: Runtime, configs: Mapping[str, ContainerConfig], errors: dict[str, WherryError]
) -> None:
    from wherry.engine.start import start as start_container

    for group in ordered(configs):
        for identity in group:
            broken = [other for other in configs[identity].dependencies if other in errors]
            if broken:
                errors[identity] = StateError(
                    f"a dependency of container {identity} failed to start: {', '.join(broken)}"
                )
                continue
            try:
                start_container(runtime, identity)
            except WherryError as error:
                errors[identity] = error


def _run_init_containers(runtime: Runtime, configs: Sequence[ContainerConfig]) -> None:
    """Run each to its end; one that fails keeps the pod from starting. ``once`` containers are removed."""
    from wherry.engine.remove import remove
    from wherry.engine.start import start as start_container
    from wherry.engine.wait import wait

    for config in configs:
        start_container(runtime, config.id)
        code = wait(runtime, config.id)
        if code > 0:
            raise WherryError(f"init container {config.id} exited with code {code}")
        if config.init_container_type == "once":
            remove(runtime, config.id, force=True, volumes=True)


# -- the other verbs -------------------------------------------------------------------------------------------------


def _backwards(
    runtime: Runtime, configs: Mapping[str, ContainerConfig], work: Callable[[Runtime, str], None]
) -> dict[str, WherryError]:
    """Do *work* to dependents before what they depend on, each group at once."""
    errors: dict[str, WherryError] = {}
    for group in reversed(ordered(configs)):
        errors.update(for_each(runtime, group, work))
    return {key: error for key, error in errors.items() if not _harmless(error)}


def _harmless(error: WherryError) -> bool:
    return error.kind == ALREADY or isinstance(error, (NoSuchContainer, StateError))


def stop(runtime: Runtime, pod: str, timeout: int | None = None) -> None:
    """Stop all containers of the pod, the infra container last; those that do not run are left alone."""

    def work(own: Runtime, identity: str) -> None:
        from wherry.engine.stop import stop as stop_container

        if own.state.container_state(identity).status in (status.RUNNING, status.PAUSED, status.STOPPING,
                                                          status.CREATED, status.STOPPED):
            stop_container(own, identity, timeout)

    _told(runtime, pod, "stop", _backwards(runtime, members(runtime, pod), work), "stopping")


def kill(runtime: Runtime, pod: str, number: int) -> None:
    """Send signal *number* to all running containers of the pod."""

    def work(own: Runtime, identity: str) -> None:
        from wherry.engine.stop import kill as kill_container

        kill_container(own, identity, number)

    _told(runtime, pod, "kill", _backwards(runtime, members(runtime, pod), work), "killing")


def pause(runtime: Runtime, pod: str) -> None:
    """Freeze all running containers of the pod."""
    from wherry.engine.freezer import pause as pause_container

    _told(runtime, pod, "pause", _each(runtime, pod, status.RUNNING, pause_container), "pausing")


def unpause(runtime: Runtime, pod: str) -> None:
    """Thaw all frozen containers of the pod."""
    from wherry.engine.freezer import unpause as unpause_container

    _told(runtime, pod, "unpause", _each(runtime, pod, status.PAUSED, unpause_container), "unpausing")


def _each(
    runtime: Runtime, pod: str, wanted: str, work: Callable[[Runtime, str], None]
) -> dict[str, WherryError]:
    errors: dict[str, WherryError] = {}
    for identity in members(runtime, pod):
        try:
            if runtime.state.container_state(identity).status == wanted:
                work(runtime, identity)
        except NoSuchContainer:
            continue
        except WherryError as error:
            errors[identity] = error
    return errors


def restart(runtime: Runtime, pod: str) -> None:
    """Stop what runs of the pod, then start all of it."""
    try:
        stop(runtime, pod)
    except SomeContainersFailed as failed:
        errors = dict(failed.errors)
    else:
        errors = {}
    configs = members(runtime, pod)
    _start_all(
        runtime,
        {key: config for key, config in configs.items() if not config.init_container_type and key not in errors},
        errors,
    )
    _told(runtime, pod, "restart", errors, "restarting")


def after_exit(runtime: Runtime, pod: str) -> None:
    """The exit policy ``stop``: once no member runs any more the infra container is stopped too."""
    from wherry.errors import NoSuchPod

    try:
        config, state = runtime.state.pod(pod)
    except NoSuchPod:
        return
    if config.exit_policy != "stop" or not state.infra_id:
        return
    rows = runtime.state.container_rows(ids=runtime.state.containers_in_pod(pod))
    waiting = (*status.ALIVE, status.STOPPED)       # stopped: its exit command has not decided on a restart yet
    if any(row.status in waiting for row in rows if row.id != state.infra_id):
        return
    if any(row.status == status.RUNNING for row in rows if row.id == state.infra_id):
        stop(runtime, pod)
