"""``wherry top``."""

from __future__ import annotations

from wherry.cli.containers_stop import LATEST
from wherry.cli.flags import Flag, UsageError
from wherry.errors import NoSuchContainer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.call import Call

TOP = (
    LATEST,
    Flag("list-descriptors", kind="bool", hidden=True),
)


def top(call: Call) -> int:
    """Show the processes of a container."""
    from wherry.engine.top_columns import COLUMNS

    flags, args = call.flags, call.args
    if flags.on("list-descriptors"):
        call.out("\n".join(sorted(COLUMNS)) + "\n")
        return 0
    if not args and not flags.on("latest"):
        raise UsageError("you must provide the name or id of a running container", see=False)
    if flags.on("latest"):
        from wherry.cli.targets import latest

        name, words = latest(call.runtime), args
    else:
        name, words = args[0], args[1:]
    try:
        identity = call.runtime.containers.get(name).id
    except NoSuchContainer as error:
        raise NoSuchContainer(f"unable to look up requested container: {error}") from None
    _show(call, identity, words)
    return 0


def _show(call: Call, identity: str, words: list[str]) -> None:
    from wherry.cli.tables import table
    from wherry.engine.top import host_ps, parse, top

    columns = parse(words)
    if columns is None:
        call.out(host_ps(call.runtime, identity, words))
        return
    found = top(call.runtime, identity, columns)
    call.out(table(found.rows, found.titles))
