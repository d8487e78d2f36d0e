"""``--format``: what a word, a table template or a template means (containers/common ``pkg/report``).

    json, {{json}}           the command's JSON, indented
    table TEMPLATE           heading line and aligned columns; spaces in the template become tabs
    TEMPLATE                 once per row, a line each
"""

from __future__ import annotations

from wherry.cli.gotemplate.errors import TemplateError
from wherry.cli.gotemplate.template import Template
from wherry.cli.tables import align

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

_SPACES = " \t\n\r\f\v"
_RANGE = "{{range .}}"
_END = "{{end -}}"


def is_json(text: str) -> bool:
    """Is *text* ``json``, ``{{json}}`` or ``{{json.}}``, blanks aside? (``{{json .}}`` is a template.)"""
    text = text.strip(_SPACES)
    if text == "json":
        return True
    if text.startswith("{{") and text.endswith("}}") and len(text) >= 4:
        return text[2:-2].strip(_SPACES) in ("json", "json.")
    return False


def is_table(text: str) -> bool:
    """Does *text* ask for a table of its own?"""
    return text.startswith("table ")


def normalize(text: str) -> str:
    """``\\t`` and ``\\n`` become what they stand for; in a table blanks become tabs; a line end is added."""
    if is_table(text):
        text = text.removeprefix("table ").replace("table ", "").replace(" ", "\t")
    text = text.replace("\\t", "\t").replace("\\n", "\n")
    return text if text.endswith("\n") else text + "\n"


def has_range(text: str) -> bool:
    """Does the template loop over the rows itself: ``{{range .}} ... {{end}}``?"""
    start = text.find("{{")
    while start >= 0:
        close = text.find("}}", start)
        if close < 0:
            return False
        if text[start + 2:close].split() in (["range", "."],):
            return _has_end(text[close + 2:])
        start = text.find("{{", start + 2)
    return False


def _has_end(text: str) -> bool:
    start = text.find("{{")
    while start >= 0:
        close = text.find("}}", start)
        if close < 0:
            return False
        if text[start + 2:close].strip(_SPACES).removesuffix("-").rstrip(_SPACES) == "end":
            return True
        start = text.find("{{", start + 2)
    return False


def _ranged(text: str) -> str:
    return text if has_range(text) else _RANGE + text + _END


def _parse(name: str, text: str, *, rows: bool) -> Template:
    """The template for *text*; if its normal form does not parse, the text as it is."""
    plain = normalize(text)
    if is_table(text):
        plain, text = _RANGE + plain + _END, _RANGE + text + _END
    elif rows:
        plain, text = _ranged(plain), _ranged(text)
    try:
        return Template(name, plain)
    except TemplateError:
        return Template(name, text)


def render_one(name: str, text: str, value: Any) -> str:
    """*value* through the template *text*, without an implied loop (version, info, events)."""
    if is_table(text):
        return render_rows(name, text, value)
    return _parse(name, text, rows=False).render(value)


def render_rows(
    name: str, text: str, rows: Sequence[Any], headings: Mapping[str, str] | None = None, *, heading: bool = True
) -> str:
    """*rows* through the template *text*; for a table, *headings* gives field -> column title."""
    template = _parse(name, text, rows=True)
    if not is_table(text):
        return template.render(rows)
    out = ""
    if heading and headings is not None:
        out = template.render([dict(headings)])
    try:
        return align(out + template.render(rows))
    except TemplateError as error:
        error.output = align(out + error.output)
        raise


def title(field: str) -> str:
    """The default heading of a field: its CamelCase words in upper case."""
    return " ".join(camel_words(field)).upper()


def camel_words(text: str) -> list[str]:
    """Split CamelCase: ``ImageID`` -> Image, ID; ``PIDNS`` stays whole."""
    runs: list[str] = []
    kinds: list[int] = []
    for char in text:
        kind = 1 if char.islower() else 2 if char.isupper() else 3 if char.isdigit() else 4
        if kinds and kinds[-1] == kind:
            runs[-1] += char
        else:
            runs.append(char)
            kinds.append(kind)
    for index in range(len(runs) - 1):
        if kinds[index] == 2 and kinds[index + 1] == 1:
            runs[index + 1] = runs[index][-1] + runs[index + 1]
            runs[index] = runs[index][:-1]
    return [run for run in runs if run]
