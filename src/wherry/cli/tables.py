"""Aligned columns as Go's ``text/tabwriter`` makes them with Podman's settings (least width 12, padding 2, spaces)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

MIN_WIDTH = 12
PADDING = 2


def align(text: str, *, min_width: int = MIN_WIDTH, padding: int = PADDING) -> str:
    """Replace the tabs of *text*: a column is a run of lines that all have a tab-ended cell there; the last cell of a
    line belongs to no column and is not padded.
    """
    lines = [line.split("\t") for line in text.split("\n")]
    out: list[list[str]] = [[] for _ in lines]
    _columns(lines, 0, len(lines), 0, out, min_width, padding)
    return "\n".join("".join(cells) + line[-1] for cells, line in zip(out, lines, strict=True))


def _columns(
    lines: Sequence[Sequence[str]], start: int, end: int, column: int, out: list[list[str]], least: int, padding: int
) -> None:
    """Pad column *column* of every block of lines between *start* and *end* that has it, then the next one within."""
    index = start
    while index < end:
        if column >= len(lines[index]) - 1:
            index += 1
            continue
        stop = index
        width = least
        while stop < end and column < len(lines[stop]) - 1:
            width = max(width, len(lines[stop][column]) + padding)
            stop += 1
        for line in range(index, stop):
            out[line].append(lines[line][column].ljust(width))
        _columns(lines, index, stop, column + 1, out, least, padding)
        index = stop


def table(rows: Sequence[Sequence[str]], headings: Sequence[str] = ()) -> str:
    """Rows of equal length as a table with a line end after each; no *headings*, no heading line."""
    everything = [headings, *rows] if headings else list(rows)
    if not everything:
        return ""
    widths = [MIN_WIDTH] * (len(everything[0]) - 1)
    for row in everything:
        for index in range(len(widths)):
            size = len(row[index]) + PADDING
            if size > widths[index]:
                widths[index] = size
    lines: list[str] = []
    for row in everything:
        lines += [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        lines += [row[-1], "\n"]
    return "".join(lines)
