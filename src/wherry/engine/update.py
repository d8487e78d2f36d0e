"""update: limits, restart policy, health check and variables of a container that exists.

Limits reach a container that has a process at once, through the OCI runtime; all of it counts from the next start on.
"""

from __future__ import annotations

from wherry.errors import InvalidArgument
from wherry.model import status
from wherry.sys import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from wherry.engine.runtime import Runtime
    from wherry.model.container import ContainerConfig
    from wherry.spec.container_spec import ContainerSpec

_APPLY = (status.CREATED, status.RUNNING, status.PAUSED, status.STOPPING)


def update(runtime: Runtime, identity: str, asked: ContainerSpec) -> ContainerConfig:
    """Change what *asked* sets and nothing else; returns the configuration now.

    Raises ``InvalidArgument`` for values that make no sense and ``RuntimeFailed`` when the limits cannot be applied;
    the container is as it was then.
    """
    with runtime.lock(identity) as held:
        resources = changed_resources(runtime, held.config, asked)
        config = changed(runtime, held.config, asked, resources)
        if resources and held.state.status in _APPLY:
            runtime.oci_runtime(held.state.runtime or config.runtime).update(identity, resources)
        if config.health_check is not None:
            from wherry.engine.healthcheck import Change

            change = Change(held, config)
        runtime.state.rewrite_config(identity, config, held.event("update"))
        held.config = config
        if config.health_check is not None:
            change.finish()
    runtime.publish()
    return config


def changed_resources(runtime: Runtime, config: ContainerConfig, asked: ContainerSpec) -> dict[str, Any]:
    """The sections of ``linux.resources`` that *asked* changes, each as it will be."""
    from wherry.engine.host import EngineLookup, host_facts
    from wherry.spec.resolve_inputs import Inputs
    from wherry.spec.resolve_resources import limits

    have: Mapping[str, Any] = (config.spec.get("linux") or {}).get("resources") or {}
    memory = have.get("memory") or {}
    complete = asked
    if asked.memory is None and asked.memory_swap is not None and memory.get("limit"):
        complete = asked.replace(memory=memory["limit"])
    warnings: list[str] = []
    inputs = Inputs(complete, None, runtime.settings, host_facts(runtime), EngineLookup(runtime), warnings)
    found = limits(inputs)
    for warning in warnings:
        log.warning(warning)
    found.pop("unified", None)
    if asked.pids_limit is None:
        found.pop("pids", None)
    return {key: {**(have.get(key) or {}), **value} for key, value in found.items()}


def changed(
    runtime: Runtime, config: ContainerConfig, asked: ContainerSpec, resources: Mapping[str, Any]
) -> ContainerConfig:
    """*config* with the changes."""
    spec = dict(config.spec)
    if resources:
        linux = dict(spec.get("linux") or {})
        linux["resources"] = {**(linux.get("resources") or {}), **resources}
        spec["linux"] = linux
    process = dict(spec.get("process") or {})
    process["env"] = _environment(process.get("env") or (), asked)
    if asked.ulimits:
        process["rlimits"] = _limits(process.get("rlimits") or (), asked)
    spec["process"] = process
    changes: dict[str, Any] = {"spec": spec}
    if any(name.startswith(("health_", "startup_")) for name in asked.__dict__):
        from wherry.engine.health_update import health_changes

        changes |= health_changes(config, asked)
    if asked.restart is not None:
        if config.auto_remove and asked.restart.policy not in ("", "no"):
            raise InvalidArgument(
                'the --rm option conflicts with --restart, when the restartPolicy is not "" and "no"'
            )
        changes["restart_policy"] = asked.restart.policy
        changes["restart_retries"] = asked.restart.retries
    return config.replace(**changes)


def _environment(have: Any, asked: ContainerSpec) -> list[str]:
    found = dict(entry.partition("=")[::2] for entry in have)
    for name in asked.environment_unset or ():
        found.pop(name, None)
    found.update(asked.environment or {})
    return [f"{name}={value}" for name, value in found.items()]


def _limits(have: Any, asked: ContainerSpec) -> list[dict[str, Any]]:
    unlimited = (1 << 64) - 1
    found = {limit["type"]: dict(limit) for limit in have}
    for limit in asked.ulimits or ():
        kind = "RLIMIT_" + limit.name.upper()
        soft, hard = (value if value >= 0 else unlimited for value in (limit.soft, limit.hard))
        found[kind] = {"type": kind, "hard": hard, "soft": soft}
    return list(found.values())
