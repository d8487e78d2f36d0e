"""``wherry history`` and ``wherry image tree``."""

from __future__ import annotations

import time

from wherry.cli.flags import Flag
from wherry.cli.units import human_duration, human_size
from wherry.model.timestamps import parse_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from wherry.cli.call import Call
    from wherry.engine.image_history import HistoryEntry, TreeLayer

HISTORY = (
    Flag("format", metavar="format", help="Show as json or through a Go template"),
    Flag("human", "H", "bool", "Show times as durations", default="true"),
    Flag("no-trunc", kind="bool", aliases=("notruncate",), help="Do not shorten ids and commands"),
    Flag("quiet", "q", "bool", "Show ids only"),
)
TREE = (Flag("whatrequires", kind="bool", help="Show what is built on the image instead"),)

SHORT = 12
_COMMAND = 45       # characters of a command that are shown


def history(call: Call) -> int:
    """Show what an image was made by."""
    from wherry.cli.formatting import is_json

    flags = call.flags
    entries = call.runtime.images.get(call.args[0]).history()
    if is_json(flags.text("format")):
        call.out(_json(entries) + "\n")
        return 0
    rows = [_fields(call, entry) for entry in entries]
    if flags.on("quiet"):
        call.out("".join(row["ID"] + "\n" for row in rows))
    elif flags.given("format"):
        from wherry.cli.formatting import render_rows, title

        headings = {name: title(name) for name in _FIELDS} | {"CreatedSince": "CREATED", "CreatedAt": "CREATED AT"}
        call.out(render_rows("history", flags.text("format"), rows, headings))
    else:
        from wherry.cli.tables import table

        cells = [[row[name] for name in ("ID", "Created", "CreatedBy", "Size", "Comment")] for row in rows]
        call.out(table(cells, ("ID", "CREATED", "CREATED BY", "SIZE", "COMMENT")))
    return 0


_FIELDS = ("ID", "Created", "CreatedAt", "CreatedSince", "CreatedBy", "Size", "Comment", "Tags")


def _fields(call: Call, entry: HistoryEntry) -> dict[str, Any]:
    from wherry.cli.gotemplate.gotime import GoTime

    flags = call.flags
    full = flags.on("no-trunc")
    since = human_duration(time.time_ns() - parse_ns(entry.created)) + " ago" if entry.created else ""
    command = entry.created_by
    if not full and len(command) > _COMMAND:
        command = command[:_COMMAND - 3] + "..."
    return {
        "ID": entry.id if full else entry.id[:SHORT],
        "Created": since if flags.on("human") else _seconds(entry.created),
        "CreatedAt": str(GoTime.parse(_seconds(entry.created))),
        "CreatedSince": since,
        "CreatedBy": command,
        "Size": human_size(entry.size, 3, space=True),
        "Comment": entry.comment,
        "Tags": list(entry.tags),
    }


def _seconds(created: str) -> str:
    """The time without its fraction."""
    head, dot, rest = created.partition(".")
    return head + rest.lstrip("0123456789") if dot else created


def _json(entries: Sequence[HistoryEntry]) -> str:
    from wherry.registry.conversion import go_json

    rows = []
    for entry in entries:
        row: dict[str, Any] = {"id": entry.id, "created": entry.created}
        optional = (("CreatedBy", entry.created_by), ("tags", list(entry.tags)))
        row |= {key: value for key, value in optional if value}
        row["size"] = entry.size
        if entry.comment:
            row["comment"] = entry.comment
        row["Created"] = _seconds(entry.created)
        rows.append(row)
    return go_json(rows).decode()


def tree(call: Call) -> int:
    """Show an image's layers, or what is built on it."""
    image = call.runtime.images.get(call.args[0])
    lines = [
        f"Image ID: {image.id[:SHORT]}",
        f"Tags:     [{' '.join(image.names)}]",
        f"Size:     {human_size(image.size)}",
        "Image Layers",
    ]
    _draw(image.tree(what_requires=call.flags.on("whatrequires")), "", lines)
    call.out("\n".join(lines) + "\n\n")
    return 0


def _draw(layers: Sequence[TreeLayer], indent: str, lines: list[str]) -> None:
    for layer in layers:
        last = layer is layers[-1]
        tags = f" Top Layer of: [{' '.join(layer.tags)}]" if layer.tags else ""
        branch = "└── " if last else "├── "
        lines.append(f"{indent}{branch}ID: {layer.id[:SHORT]} Size: {human_size(layer.size)}{tags}")
        _draw(layer.children, indent + ("    " if last else "│   "), lines)
