"""Commands named by labels: in the container always, on the host only where the administrator allows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from wherry.config.environment import environ
from wherry.engine.container import Container
from wherry.errors import PermissionRefused, RuntimeFailed, WherryError, from_os_error
from wherry.model.update import POST_HOOK_LABEL, POST_HOST_LABEL, PRE_HOOK_LABEL, PRE_HOST_LABEL
from wherry.spec.parse_values import quote

if TYPE_CHECKING:
    from wherry.engine.runtime import Runtime
    from wherry.update.plan import Task

#: Seconds a command may take.
TIMEOUT = 600.0
_SHOWN = 500        # characters of its output in a message


def before(runtime: Runtime, task: Task, identity: str) -> None:
    """Run what the labels want run before the update: on the host, then in the container *identity*.

    Raises ``WherryError`` when a command fails or is not allowed: the update must not go on then.
    """
    _run(runtime, task, identity, PRE_HOST_LABEL, PRE_HOOK_LABEL)


def after(runtime: Runtime, task: Task, identity: str) -> None:
    """Run what the labels want run once the new container has proven itself; a failure makes it a bad one."""
    _run(runtime, task, identity, POST_HOST_LABEL, POST_HOOK_LABEL)


def _run(runtime: Runtime, task: Task, identity: str, host_label: str, label: str) -> None:
    variables = {
        "WHERRY_UPDATE_CONTAINER": task.name, "WHERRY_UPDATE_CONTAINER_ID": identity,
        "WHERRY_UPDATE_IMAGE": task.reference,
        "WHERRY_UPDATE_OLD_DIGEST": task.old_digest, "WHERRY_UPDATE_NEW_DIGEST": task.new_digest,
    }
    command = task.labels.get(host_label, "")
    if command:
        _on_host(runtime, host_label, command, variables)
    command = task.labels.get(label, "")
    if command:
        _inside(runtime, label, command, identity, variables)


def _on_host(runtime: Runtime, label: str, command: str, variables: Mapping[str, str]) -> None:
    from wherry.sys.processes import run

    if not runtime.settings.auto_update.host_hooks:
        error = PermissionRefused(f"label {label}: commands on the host are not allowed here")
        error.hint = "containers.conf, [wherry.auto_update]: host_hooks = true allows them"
        raise error
    try:
        done = run(["/bin/sh", "-c", command], env={**environ(), **variables}, timeout=TIMEOUT)
    except OSError as error:
        raise from_os_error(error, f"label {label}") from None
    _check(label, command, done.returncode, done.stderr.decode(errors="replace"))


def _inside(
    runtime: Runtime, label: str, command: str, identity: str, variables: Mapping[str, str]
) -> None:
    container = Container(runtime, runtime.state.container_config(identity))
    try:
        done = container.exec(["sh", "-c", command], environment=variables, timeout=TIMEOUT)
    except WherryError as error:
        raise RuntimeFailed(f"label {label}: {error}") from None
    _check(label, command, done.exit_code, done.stderr)


def _check(label: str, command: str, code: int, output: str) -> None:
    if code:
        said = output.strip()[-_SHOWN:]
        more = f": {said}" if said else ""
        raise RuntimeFailed(f"label {label}: {quote(command)} ended with exit code {code}{more}")
