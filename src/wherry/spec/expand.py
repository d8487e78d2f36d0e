"""Variables in words, for ``--env-merge``: ``PATH=${PATH}:/opt/bin`` (the rules of a Containerfile's ENV)."""

from __future__ import annotations

from wherry.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")


def assignment(text: str, known: Mapping[str, str]) -> tuple[str, str]:
    """Name and value of ``NAME=WORD`` with the variables in WORD replaced."""
    name, equals, value = expand(text, known).partition("=")
    if not equals:
        raise InvalidArgument(f"missing `=` for --env-merge substitution {text}")
    return name, value


def expand(text: str, known: Mapping[str, str]) -> str:
    """Replace ``$NAME``, ``${NAME}``, ``${NAME:-word}``, ``${NAME:+word}``; quotes and backslashes as in a shell."""
    out: list[str] = []
    at = 0
    quoted = False
    while at < len(text):
        char = text[at]
        if char == "'" and not quoted:
            end = text.find("'", at + 1)
            if end < 0:
                raise _failure(text, "unexpected end of statement while looking for matching single-quote")
            out.append(text[at + 1:end])
            at = end + 1
        elif char == '"':
            quoted = not quoted
            at += 1
        elif char == "\\" and at + 1 < len(text):
            keep = quoted and text[at + 1] not in '"$\\'
            out.append(text[at:at + 2] if keep else text[at + 1])
            at += 2
        elif char == "$":
            value, at = _variable(text, at + 1, known)
            out.append(value)
        else:
            out.append(char)
            at += 1
    if quoted:
        raise _failure(text, "unexpected end of statement while looking for matching double-quote")
    return "".join(out)


def _variable(text: str, at: int, known: Mapping[str, str]) -> tuple[str, int]:
    """The value of the variable named at *at*, and the offset behind it."""
    if text[at:at + 1] != "{":
        end = _name_end(text, at)
        return (known.get(text[at:end], ""), end) if end > at else ("$", at)
    end = _name_end(text, at + 1)
    name = text[at + 1:end]
    close = text.find("}", end)
    if not name or close < 0:
        raise _failure(text, "syntax error: missing '}'" if close < 0 else "bad substitution")
    modifier, word = text[end:end + 2], text[end + 2:close]
    value = known.get(name, "")
    if close == end:
        return value, close + 1
    if modifier == ":-":
        return value or expand(word, known), close + 1
    if modifier == ":+":
        return expand(word, known) if value else "", close + 1
    raise _failure(text, f"unsupported modifier ({modifier[:1]}) in substitution")


def _name_end(text: str, at: int) -> int:
    while at < len(text) and text[at] in _NAME:
        at += 1
    return at


def _failure(text: str, why: str) -> InvalidArgument:
    return InvalidArgument(f"unable to process variables for --env-merge {text}: {why}")
