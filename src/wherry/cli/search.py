"""``wherry search``."""

from __future__ import annotations

from wherry.cli import transfer
from wherry.cli.flags import Flag, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from wherry.cli.call import Call
    from wherry.engine.search import SearchResult

SEARCH = (
    *transfer.ACCESS,
    Flag("compatible", kind="bool", help="Show stars, official and automated columns (Docker)"),
    Flag("filter", "f", many=True, metavar="filter", help="Show what matches: stars, is-official, is-automated"),
    Flag("format", metavar="format", help="Show as json or through a Go template"),
    Flag("limit", kind="int", default="0", metavar="limit", help="Most results per registry"),
    Flag("list-tags", kind="bool", help="List the tags of a repository"),
    Flag("no-trunc", kind="bool", help="Do not shorten descriptions"),
)


def search(call: Call) -> int:
    """Look for images on a registry."""
    flags = call.flags
    tags = flags.on("list-tags")
    if tags and flags.many("filter"):
        raise UsageError("filters are not applicable to list tags result", see=False)
    filters = dict(text.partition("=")[::2] for text in flags.many("filter"))
    found = call.runtime.images.search(
        call.args[0], limit=flags.number("limit"), filters=filters, list_tags=tags,
        no_truncation=flags.on("no-trunc"), **transfer.access(flags),
    )
    if not found:
        return 0
    format = flags.text("format")
    from wherry.cli.formatting import is_json, render_rows, title

    if is_json(format):
        from wherry.model.jsontext import dumps_pretty

        call.out(dumps_pretty(_tag_lists(found) if tags else [one.to_json() for one in found], 4) + "\n")
        return 0
    rows = [_row(one) for one in found]
    if format:
        call.out(render_rows("search", format, rows, {name: title(name) for name in rows[0]}))
        return 0
    columns = ["Name", "Tag"] if tags else ["Name", "Description"]
    if flags.on("compatible") and not tags:
        columns += ["Stars", "Official", "Automated"]
    from wherry.cli.tables import table

    call.out(table([[str(row[name]) for name in columns] for row in rows], [name.upper() for name in columns]))
    return 0


def _row(one: SearchResult) -> dict[str, Any]:
    return {
        "Index": one.index, "Name": one.name, "Description": one.description, "Stars": one.stars,
        "Official": one.official, "Automated": one.automated, "Tag": one.tag,
    }


def _tag_lists(found: Sequence[SearchResult]) -> list[dict[str, Any]]:
    lists: dict[str, list[str]] = {}
    for one in found:
        lists.setdefault(one.name, []).append(one.tag)
    return [{"Name": name, "Tags": tags} for name, tags in lists.items()]
