"""A JSON tree as YAML, in the block style Podman's ``info`` prints (go-yaml: sorted keys, quotes only where needed)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Plain words YAML 1.1 would read as something other than text.
_WORDS = frozenset(("", "~", "null", "true", "false", "yes", "no", "on", "off", "y", "n", ".inf", "-.inf", ".nan"))
_SPECIAL_START = frozenset("!&*-?|>@`%{}[],#\"':= \t")
_LINE_WIDTH = 2


def dump(tree: dict[str, Any]) -> str:
    """The document, ending with a line end."""
    out: list[str] = []
    _mapping(tree, 0, out)
    return "".join(out)


def _mapping(tree: dict[str, Any], indent: int, out: list[str], first: str = "") -> None:
    """Lines of a mapping; *first* replaces the indentation of the first line (after the dash of a list)."""
    pad = " " * indent
    for key in sorted(tree):
        value = tree[key]
        lead = first or pad
        first = ""
        if isinstance(value, dict) and value:
            out.append(f"{lead}{key}:\n")
            _mapping(value, indent + _LINE_WIDTH, out)
        elif isinstance(value, list) and value:
            out.append(f"{lead}{key}:\n")
            _sequence(value, indent, out)
        elif isinstance(value, str) and "\n" in value:
            out.append(f"{lead}{key}: |-\n")
            out.extend(f"{pad}{' ' * _LINE_WIDTH}{line}\n" for line in value.split("\n"))
        else:
            out.append(f"{lead}{key}: {scalar(value)}\n")


def _sequence(items: list[Any], indent: int, out: list[str]) -> None:
    pad = " " * indent
    for item in items:
        if isinstance(item, dict) and item:
            _mapping(item, indent + _LINE_WIDTH, out, f"{pad}- ")
        else:
            out.append(f"{pad}- {scalar(item)}\n")


def scalar(value: Any) -> str:
    """One value on its line."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, dict):
        return "{}"
    if isinstance(value, list):
        return "[]"
    return _text(str(value))


def _text(text: str) -> str:
    if not text.isprintable():
        from wherry.cli.goquote import quote

        return quote(text)
    needs = (
        text.lower() in _WORDS
        or text[0] in _SPECIAL_START
        or text[-1] in " :"
        or ": " in text
        or " #" in text
        or _is_number(text)
    )
    if not needs:
        return text
    if _is_number(text) or text.lower() in _WORDS:
        return f'"{text}"'
    return "'" + text.replace("'", "''") + "'"


def _is_number(text: str) -> bool:
    try:
        float(text.replace("_", ""))
        return True
    except ValueError:
        return text[:2].lower() == "0x" and all(char in "0123456789abcdefABCDEF" for char in text[2:])
