"""``wherry auto-update``, its history and the way back."""

from __future__ import annotations

import time

from wherry.cli.flags import Flag, UsageError
from wherry.errors import WherryError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from wherry.cli.call import Call
    from wherry.update.plan import Plan
    from wherry.update.report import Result

_FORMAT = Flag("format", metavar="format", help="Show as json or through a Go template")
_WINDOW = Flag(
    "window", kind="duration", metavar="duration",
    help="How long to watch what was updated (default: label, setting or health check of the container)",
)
AUTO_UPDATE = (
    Flag("authfile", metavar="path", help="Credentials for registries (default: $REGISTRY_AUTH_FILE, usual files)"),
    Flag("dry-run", kind="bool", help="Only show what would be updated"),
    Flag("exclude", many=True, metavar="name", help="Leave out this container, pod or unit"),
    Flag("filter", many=True, metavar="filter", help="Only containers that match this condition (key=value)"),
    _FORMAT,
    Flag("retry-bad", kind="bool", help="Try images again that were rolled back"),
    Flag("rollback", kind="bool", default="true", help="Go back to the previous image when an update fails"),
    Flag("tls-verify", kind="bool", default="true", help="Insist on HTTPS and valid certificates"),
    _WINDOW,
)
HISTORY = (
    Flag("bad", kind="bool", help="Show the digests that were rolled back"),
    _FORMAT,
    Flag("no-trunc", kind="bool", help="Show digests and ids in full"),
    Flag("noheading", "n", "bool", "No heading line"),
)
ROLLBACK = (
    Flag("dry-run", kind="bool", help="Only show what would be done"),
    _FORMAT,
    _WINDOW,
)
_SHAPE = """Report{Unit:str, Container:str, ContainerName:str, ContainerID:str, Image:str, Policy:str, Updated:str,
    Pod:str, Reason:str, OldDigest:str, NewDigest:str, OldImageID:str, NewImageID:str, Created:str, Size:int,
    OldSize:int, Version:str, OldVersion:str, Revision:str, Signature:str, Window:int, NewContainerID:str,
    DownTime:int}"""
_COLUMNS = ("Unit", "Container", "Image", "Policy", "Updated")
_HISTORY_SHAPE = """Update{Number:int, Time:str, Finished:str, Container:str, ContainerID:str, NewContainerID:str,
    Unit:str, Pod:str, Image:str, Policy:str, OldImageID:str, NewImageID:str, OldDigest:str, NewDigest:str, Updated:str,
    Reason:str, DownTime:int}"""
_BAD_SHAPE = "BadDigest{Image:str, Digest:str, Reason:str, Time:str, Container:str}"
_SECOND = 10**9
_DIGEST = 19        # sha256: and 12 digits


def auto_update(call: Call) -> int:
    """Update containers to newer images as their labels say."""
    from wherry.cli import targets

    flags = call.flags
    noun = call.runtime.auto_update
    tls_verify = flags.on("tls-verify") if flags.given("tls-verify") else None
    dry = flags.on("dry-run")
    problems = [] if dry else noun.settle()
    plan = noun.plan(
        call.args, exclude=flags.many("exclude"), filters=targets.filters(call), authfile=flags.text("authfile"),
        tls_verify=tls_verify, retry_bad=flags.on("retry-bad"), window=_window(call),
    )
    if dry:
        return _planned(call, plan)
    from wherry.cli.progress import reporter

    result = noun.apply(plan, rollback=flags.on("rollback"), tls_verify=tls_verify, progress=reporter())
    return _told(call, result.replace(errors=[*problems, *result.errors]))


def history(call: Call) -> int:
    """Show what auto-update has done."""
    from wherry.update.report import history_tree

    noun = call.runtime.auto_update
    if call.flags.on("bad"):
        if call.args:
            raise UsageError("--bad shows the digests of all containers", see=False)
        trees = [_bad_tree(bad) for bad in noun.bad_digests()]
        _show(call, trees, _BAD_SHAPE, ("Image", "Digest", "Time", "Container", "Reason"))
        return 0
    trees = [history_tree(update) for update in noun.history(call.args[0] if call.args else "")]
    _show(call, trees, _HISTORY_SHAPE, ("Time", "Container", "Image", "OldDigest", "NewDigest", "Updated", "Reason"))
    return 0


def rollback(call: Call) -> int:
    """Go back to the images before the last update."""
    noun = call.runtime.auto_update
    name = call.args[0]
    if call.flags.on("dry-run"):
        return _planned(call, noun.plan_rollback(name, window=_window(call)))
    noun.settle()
    return _told(call, noun.rollback(name, window=_window(call)))


def _window(call: Call) -> float | None:
    return call.flags.number("window") / _SECOND if call.flags.given("window") else None


def _planned(call: Call, plan: Plan) -> int:
    from wherry.update.report import Result, rows_of

    return _told(call, Result(rows=rows_of(plan), errors=plan.errors))


def _told(call: Call, result: Result) -> int:
    """Show the rows, then fail with every error there was."""
    trees = [row.to_tree() for row in result.rows]
    format = call.flags.text("format")
    if trees or format:
        _show(call, trees, _SHAPE, _COLUMNS, indented=True)
    if not result.errors:
        return 0
    call.flush()
    raise joined(result.errors)


def joined(errors: Sequence[str]) -> WherryError:
    """All errors as one, as the original lists them."""
    if len(errors) == 1:
        return WherryError(errors[0])
    lines = "".join(f"\n\t* {error}" for error in errors)
    return WherryError(f"{len(errors)} errors occurred:{lines}")


def _show(
    call: Call, trees: Sequence[dict[str, Any]], shape: str, columns: Sequence[str], *, indented: bool = False
) -> None:
    """As JSON, through a template, or as a table of *columns*; *indented* with an empty first cell, as Podman's is."""
    from wherry.cli.formatting import is_json

    format = call.flags.text("format")
    if is_json(format):
        from wherry.model.jsontext import dumps_pretty

        call.out(dumps_pretty(list(trees), 4) + "\n")
    elif format:
        from wherry.cli.formatting import render_rows, title
        from wherry.cli.shapes import parse, wrap

        parsed = parse(shape)
        headings = {field: title(field) for field in parsed.fields}
        call.out(render_rows("auto-update", format, [wrap(parsed, tree) for tree in trees], headings))
    else:
        from wherry.cli.formatting import title
        from wherry.cli.tables import table

        cut = indented or not call.flags.on("no-trunc")
        first = [""] if indented else []
        cells = [[*first, *(_cell(tree, column, cut) for column in columns)] for tree in trees]
        bare = not indented and call.flags.on("noheading")
        call.out(table(cells, () if bare else [*first, *(title(column) for column in columns)]))


def _cell(tree: dict[str, Any], column: str, cut: bool) -> str:
    value = str(tree[column])
    if not cut:
        return value
    if column.endswith("Digest"):
        return value[:_DIGEST]
    if column in ("Time", "Finished"):
        from wherry.cli.units import human_duration
        from wherry.model.timestamps import parse_ns

        return f"{human_duration(time.time_ns() - parse_ns(value))} ago"
    return value


def _bad_tree(bad: Any) -> dict[str, Any]:
    from wherry.model.timestamps import format_ns

    return {
        "Image": bad.image, "Digest": bad.digest, "Reason": bad.reason, "Time": format_ns(bad.time_ns),
        "Container": bad.container,
    }
