"""Lists and inspect output of objects whose JSON tree is all there is to show (volumes, secrets, pods)."""

from __future__ import annotations

import sys

from wherry.cli.formatting import is_json, render_rows, title
from wherry.cli.gotemplate.errors import TemplateError
from wherry.cli.shapes import parse, wrap
from wherry.model.jsontext import dumps_pretty

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from wherry.cli.call import Call


def show_list(
    call: Call, name: str, shape: str, trees: Sequence[Mapping[str, Any]], headings: Mapping[str, str]
) -> None:
    """The rows *trees* through ``--format`` (a template); *headings* are the titles that do not follow from a name."""
    parsed = parse(shape)
    titles = {field: headings.get(field, title(field)) for field in parsed.fields}
    rows = [wrap(parsed, tree) for tree in trees]
    heading = not call.flags.on("noheading")
    call.out(render_rows(name, call.flags.text("format"), rows, titles, heading=heading))


def show_inspect(call: Call, name: str, shape: str, trees: Sequence[Mapping[str, Any]], indent: int = 5) -> None:
    """The *trees* as a JSON list, or each through the template of ``--format``."""
    text = call.flags.text("format")
    if not text.strip() or is_json(text):
        call.out(dumps_pretty(list(trees), indent) + "\n")
        return
    parsed = parse(shape)
    try:
        call.out(render_rows(name, text, [wrap(parsed, tree) for tree in trees]))
    except TemplateError as error:
        call.out(error.output)
        sys.stdout.flush()
        raise
