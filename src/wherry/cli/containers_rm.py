"""``wherry rm``."""

from __future__ import annotations

from wherry.cli import targets
from wherry.cli.containers_stop import ALL, CIDFILE, LATEST, existing, seconds
from wherry.cli.flags import Flag
from wherry.errors import IN_USE, NOT_FOUND, STATE, NoSuchContainer, WherryError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from wherry.cli.call import Call
    from wherry.engine.runtime import Runtime

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


def rm(call: Call) -> int:
    """Remove containers."""
    flags = call.flags
    targets.check(call, id_file="cidfile")
    force, volumes, timeout = flags.on("force"), flags.on("volumes"), seconds(call)
    ignore = force or flags.on("ignore")

    if flags.on("depend"):
        return _with_dependents(call, targets.select(call, ignore_missing_file=ignore), ignore)

    def work(runtime: Runtime, text: str) -> None:
        runtime.containers.remove(text, force=force, volumes=volumes, timeout=timeout)

    chosen = targets.select(call, ignore_missing_file=ignore)
    if flags.on("storage"):
        return _rm_storage(call, chosen, force, ignore)
    if ignore:
        chosen = existing(call, chosen)
    ordered = _dependents_first(call, chosen) if flags.on("all") and len(chosen) > 1 else None
    return targets.each_named(call, ordered or chosen, work, parallel=force and not ordered, code=exit_code)


def _dependents_first(call: Call, chosen: Sequence[targets.Target]) -> list[targets.Target] | None:
    """*chosen* in the order in which they can be removed; None if any will do."""
    from wherry.engine.graph import levels

    state = call.runtime.state
    by_id = {target.text: target for target in chosen}
    needs: dict[str, list[str]] = {key: [] for key in by_id}
    for key in by_id:
        for other in state.dependents(key):
            if other in needs:
                needs[other].append(key)
    if not any(needs.values()):
        return None
    return [by_id[key] for group in reversed(levels(needs)) for key in group]


def _rm_storage(call: Call, chosen: Sequence[targets.Target], force: bool, ignore: bool) -> int:
    """Containers of the shared store that are in no engine's records, or another engine's."""

    def work(runtime: Runtime, text: str) -> None:
        try:
            runtime.containers.remove_from_storage(text, force=force)
        except NoSuchContainer:
            if not ignore:
                raise

    return targets.each_named(call, chosen, work, code=exit_code)


def exit_code(errors: Sequence[WherryError]) -> int:
    """1 if any container was missing, else 2 if any was in a state that forbids it, else 125."""
    kinds = {error.kind for error in errors}
    if NOT_FOUND in kinds:
        return 1
    return 2 if kinds & {STATE, IN_USE} else 125


def _with_dependents(call: Call, chosen: Sequence[targets.Target], ignore: bool) -> int:
    """Remove containers and what depends on them; prints the ids of all that are gone."""
    flags = call.flags
    errors: list[WherryError] = []
    for target in chosen:
        try:
            container = call.runtime.containers.get(target.text)
            gone = container.remove_with_dependents(
                force=flags.on("force"), volumes=flags.on("volumes"), timeout=seconds(call)
            )
        except NoSuchContainer as error:
            if not ignore:
                errors.append(error)
        except WherryError as error:
            errors.append(error)
        else:
            call.out("".join(identity + "\n" for identity in gone))
    return targets.finish(errors, exit_code)
