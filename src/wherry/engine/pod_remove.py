"""pod rm: a pod with everything in it."""

from __future__ import annotations

from wherry.engine.pod_end import remove_members
from wherry.engine.pod_verbs import members
from wherry.errors import NoSuchContainer, NoSuchPod, WherryError
from wherry.model.record import EMPTY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from wherry.engine.runtime import Runtime


class PodNotEmptied(WherryError):
    """``errors``: container id -> why it stayed."""

    cause = "removing pod containers"

    def __init__(self, message: str, errors: Mapping[str, WherryError] = EMPTY) -> None:
        super().__init__(message)
        self.errors = errors


def remove(runtime: Runtime, pod: str, *, force: bool = False, timeout: int | None = None) -> None:
    """Remove a pod, its containers and their anonymous volumes; running ones only with *force*.

    Raises :class:`PodNotEmptied` when containers stay (and with them the pod), ``NoSuchPod``.
    """
    config, state = runtime.state.pod(pod)
    configs = members(runtime, pod)
    if not force:
        _check_all(runtime, list(configs), state.infra_id)
    errors = remove_members(runtime, configs, force=force, timeout=timeout)
    if errors:
        raise PodNotEmptied(f"not all containers could be removed from pod {pod}", errors)
    if config.uses_pod_cgroup and state.cgroup_path:
        _remove_cgroup(runtime, state.cgroup_path)
    from wherry.engine.pod_create import event

    try:
        runtime.state.remove_pod(pod, event(config, "remove"))
    except NoSuchPod:       # another process was faster
        return
    runtime.publish()


def _check_all(runtime: Runtime, identities: list[str], infra: str) -> None:
    """Without force nothing is removed when something runs, unless that is only the infra container."""
    from wherry.engine.remove import check_idle

    errors: dict[str, WherryError] = {}
    for identity in identities:
        if identity == infra:
            continue
        try:
            with runtime.lock(identity) as held:
                check_idle(held)
        except NoSuchContainer:
            continue
        except WherryError as error:
            errors[identity] = error
    if errors:
        pod = runtime.state.container_config(next(iter(errors))).pod
        raise PodNotEmptied(f"not all containers could be removed from pod {pod}", errors)


def _remove_cgroup(runtime: Runtime, path: str) -> None:
    from wherry.sys import cgroups, log

    if runtime.settings.engine.cgroup_manager == "systemd":
        from wherry.engine.systemd_units import remove_slice

        try:
            remove_slice(runtime, path.rpartition("/")[2])
        except WherryError as error:
            log.warning(f"removing control group {path}: {error}")
        return
    try:
        cgroups.remove(path)
    except OSError as error:
        log.warning(f"removing control group {path}: {error}")
