"""``wherry rm``."""

from __future__ import annotations

from wherry.cli import targets
from wherry.cli.containers_stop import ALL, CIDFILE, LATEST, existing, seconds
from wherry.cli.flags import Flag
from wherry.errors import IN_USE, NOT_FOUND, STATE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from wherry.cli.call import Call
    from wherry.engine.container import Container
    from wherry.errors import WherryError

RM = (
    ALL,
    CIDFILE,
    Flag("depend", kind="bool", help="Remove the containers that depend on it as well"),
    Flag("filter", many=True, metavar="filter", help="Containers that match this condition (key=value)"),
    Flag("force", "f", "bool", "Remove running containers too; missing ones are no error"),
    Flag("ignore", "i", "bool", "Missing containers are no error"),
    LATEST,
    Flag("storage", kind="bool", hidden=True),
    Flag("time", "t", "int", "Seconds to wait before a running container is killed", default="10", metavar="seconds"),
    Flag("volumes", "v", "bool", "Remove the container's anonymous volumes as well"),
)
#: Accepted, but an error when used.
REFUSED = {"storage": "containers of other engines are removed by them"}


def rm(call: Call) -> int:
    """Remove containers."""
    flags = call.flags
    targets.check(call, id_file="cidfile")
    force, volumes, timeout = flags.on("force"), flags.on("volumes"), seconds(call)
    ignore = force or flags.on("ignore")

    def work(container: Container) -> None:
        if flags.on("depend"):
            _remove_dependents(container, volumes, timeout)
        container.remove(force=force or flags.on("depend"), volumes=volumes, timeout=timeout)

    chosen = targets.select(call, ignore_missing_file=ignore)
    if ignore:
        chosen = existing(call, chosen)
    return targets.each(call, chosen, work, parallel=force, code=exit_code)


def exit_code(errors: Sequence[WherryError]) -> int:
    """1 if any container was missing, else 2 if any was in a state that forbids it, else 125."""
    kinds = {error.kind for error in errors}
    if NOT_FOUND in kinds:
        return 1
    return 2 if kinds & {STATE, IN_USE} else 125


def _remove_dependents(container: Container, volumes: bool, timeout: int | None) -> None:
    """Remove what depends on *container*, the farthest first."""
    runtime = container._runtime
    for identity in runtime.state.dependents(container.id):
        other = runtime.containers.get(identity)
        _remove_dependents(other, volumes, timeout)
        other.remove(force=True, volumes=volumes, timeout=timeout)
