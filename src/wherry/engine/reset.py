"""system reset: an engine as it was before its first use."""

from __future__ import annotations

from wherry.errors import WherryError
from wherry.sys.files import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.engine.runtime import Runtime


def reset(runtime: Runtime, *, images: bool = False) -> list[WherryError]:
    """Remove every pod, container, volume, secret and network of this engine, then its state.

    Other engines share the store: its *images* go only when asked to, and only those no other engine uses.  Returns
    what could not be removed; the state stays then, so that it can be tried again.
    """
    errors: list[WherryError] = []
    for pod in runtime.pods.list():
        _try(errors, lambda pod=pod: pod.remove(force=True, timeout=0))
    left = [summary.id for summary in runtime.containers.list(all=True)]
    while left:
        rest = [identity for identity in left if not _remove_container(runtime, identity, errors)]
        if len(rest) == len(left):
            break       # those that stay depend on each other's failures
        errors = [] if rest else errors
        left = rest
    for volume in runtime.volumes.list():
        _try(errors, lambda volume=volume: volume.remove(force=True, timeout=0))
    for secret in runtime.secrets.list():
        _try(errors, lambda secret=secret: runtime.secrets.remove(secret.id))
    _try(errors, lambda: runtime.networks.prune())
    if images:
        _try(errors, lambda: runtime.images.prune(all=True))
    if not errors:
        state_dir, run_dir = runtime.paths.state_dir, runtime.paths.run_dir
        _detach_below(run_dir)
        runtime.close()
        for directory in (state_dir, run_dir):
            try:
                remove_tree(directory)
            except OSError as error:
                from wherry.errors import from_os_error

                errors.append(from_os_error(error, "removing the engine's state"))
    return errors


def _remove_container(runtime: Runtime, identity: str, errors: list[WherryError]) -> bool:
    from wherry.engine.remove import remove
    from wherry.errors import NoSuchContainer

    try:
        remove(runtime, identity, force=True, volumes=True, timeout=0, infra=True)
    except NoSuchContainer:
        return True
    except WherryError as error:
        errors.append(error)
        return False
    return True


def _try(errors: list[WherryError], step: object) -> None:
    try:
        step()  # type: ignore[operator]
    except WherryError as error:
        errors.append(error)


def _detach_below(directory: str) -> None:
    """The engine's own directories are mounts (private, so that namespaces bound there stay here)."""
    from wherry.sys.mounts import detach, mount_table

    for entry in reversed(mount_table()):
        if entry.target.startswith(directory + "/"):
            detach(entry.target)
