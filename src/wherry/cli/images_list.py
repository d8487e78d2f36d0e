"""``wherry images``."""

from __future__ import annotations

import time

from wherry.cli.flags import Flag, UsageError
from wherry.cli.targets import filters
from wherry.cli.units import human_duration, human_size
from wherry.model.timestamps import parse_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from wherry.cli.call import Call
    from wherry.engine.image import Image

SORTS = ("created", "id", "repository", "size", "tag")
IMAGES = (
    Flag("all", "a", "bool", "Show intermediate images as well"),
    Flag("digests", kind="bool", help="Show digests"),
    Flag("filter", "f", many=True, metavar="filter",
         help="Show images that match this condition (key=value or key!=value)"),
    Flag("format", metavar="format", help="Show as json or through a Go template"),
    Flag("history", kind="bool", help="Show the names the image had"),
    Flag("no-trunc", kind="bool", aliases=("notruncate",), help="Do not shorten ids"),
    Flag("noheading", "n", "bool", "Leave out the heading"),
    Flag("quiet", "q", "bool", "Show ids only"),
    Flag("sort", metavar="created", default="created", help=f"Sort by {', '.join(SORTS)}"),
)
NONE = "<none>"
SHORT = 12


class Row:
    """One name of one image (or a nameless image) as ``images`` shows it."""

    __slots__ = ("full", "image", "now", "repository", "tag")

    def __init__(self, image: Image, name: str, now: int, full: bool) -> None:
        self.image = image
        self.repository, self.tag = split_name(name)
        self.now = now              # ns since the epoch
        self.full = full

    def id(self) -> str:
        return "sha256:" + self.image.id if self.full else self.image.id[:SHORT]

    def created(self) -> str:
        return human_duration(self.now - parse_ns(self.image.record.created)) + " ago"

    def size(self) -> str:
        return human_size(self.image.size, 3, space=True)

    def digest(self) -> str:
        return self.image.digest or NONE

    def history(self) -> str:
        return ", ".join(self.image.record.names_history) or NONE


def split_name(name: str) -> tuple[str, str]:
    """Repository and tag of a stored name, ``<none>`` where there is none."""
    if not name:
        return NONE, NONE
    if "@" in name:
        return name.partition("@")[0], NONE
    repository, colon, tag = name.rpartition(":")
    return (repository, tag) if colon and "/" not in tag else (name, NONE)


def images(call: Call) -> int:
    """List images, one line per name."""
    flags = call.flags
    if flags.given("filter") and call.args:
        raise UsageError("cannot specify an image and a filter(s)", see=False)
    order = flags.text("sort")
    if order not in SORTS:
        known = ", ".join(SORTS)
        raise UsageError(f'"{order}" is not a valid field for sorting. Choose from: {known}', see=False)
    wanted = {"reference": [call.args[0]]} if call.args else filters(call)
    found = call.runtime.images.list(all=flags.on("all"), filters=wanted)
    if flags.on("quiet"):
        call.out(_ids(found, order, flags.on("no-trunc")))
        return 0
    now = time.time_ns()
    rows = [Row(image, name, now, flags.on("no-trunc")) for image in found for name in image.names or [""]]
    _sort(rows, order)
    text = flags.text("format")
    if text:
        from wherry.cli import images_list_format

        call.out(images_list_format.render(call, rows, text))
    else:
        call.out(_table(call, rows))
    return 0


def _ids(found: Sequence[Image], order: str, full: bool) -> str:
    rows = [Row(image, "", 0, full) for image in found]
    _sort(rows, order)
    return "".join([row.id() + "\n" for row in rows])


def _sort(rows: list[Row], order: str) -> None:
    if order != "created":
        rows.sort(key=_SORT_KEYS[order])
    else:
        rows.sort(key=lambda row: parse_ns(row.image.record.created), reverse=True)


_SORT_KEYS: dict[str, Callable[[Row], Any]] = {
    "id": lambda row: row.image.id,
    "repository": lambda row: (row.repository, row.tag),
    "size": lambda row: row.image.size,
    "tag": lambda row: row.tag,
}


def _table(call: Call, rows: Sequence[Row]) -> str:
    from wherry.cli.tables import table

    flags = call.flags
    columns: list[tuple[str, Callable[[Row], str]]] = [
        ("REPOSITORY", lambda row: row.repository),
        ("TAG", lambda row: row.tag),
        ("IMAGE ID", Row.id),
        ("CREATED", Row.created),
        ("SIZE", Row.size),
    ]
    if flags.on("digests"):
        columns.insert(2, ("DIGEST", Row.digest))
    if flags.on("history"):
        columns.append(("HISTORY", Row.history))
    if any(row.image.record.read_only for row in rows):
        columns.append(("R/O", lambda row: "true" if row.image.record.read_only else "false"))
    cells = [[cell(row) for _name, cell in columns] for row in rows]
    return table(cells, () if flags.on("noheading") else [name for name, _cell in columns])
