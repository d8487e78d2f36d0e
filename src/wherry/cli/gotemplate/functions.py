"""The functions a template may call: Go's predefined ones and those Podman adds (containers/common ``pkg/report``)."""

from __future__ import annotations

from wherry.cli.gotemplate import goformat
from wherry.cli.gotemplate.errors import CallError
from wherry.cli.gotemplate.values import MISSING, Nil, is_true, show, to_json, type_name
from wherry.model import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

ANY = "interface {}"
STRING = "string"
INT = "int"
STRINGS = "[]string"


class GoFunction:
    """A function with the Go types of its parameters; ``variadic`` repeats the last one any number of times."""

    __slots__ = ("call", "types", "variadic")

    def __init__(self, call: Callable[..., Any], types: Sequence[str], variadic: bool = False) -> None:
        self.call = call
        self.types = types
        self.variadic = variadic


# -- access ------------------------------------------------------------------------------------------------------


def length(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogateescape"))
    if isinstance(value, (list, tuple, dict)):
        return len(value)
    if value is None or value is MISSING:
        raise CallError("len of nil pointer")
    raise CallError(f"len of type {type_name(value)}")


def _position(value: Any, size: int) -> int:
    """A checked index; Go allows it to be any integer but not out of range."""
    if value is None or value is MISSING:
        raise CallError("cannot index slice/array with nil")
    if isinstance(value, bool) or not isinstance(value, int):
        raise CallError(f"cannot index slice/array with type {type_name(value)}")
    if not 0 <= value < size:
        raise CallError(f"index out of range: {value}")
    return value


def index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if value is None or value is MISSING:
            raise CallError("index of untyped nil")
        if isinstance(value, dict):
            if not isinstance(key, str):
                raise CallError(f"value has type {type_name(key)}; should be string")
            value = value[key] if key in value else _zero_like(list(value.values()))
        elif isinstance(value, str):
            raw = value.encode("utf-8", "surrogateescape")
            value = raw[_position(key, len(raw))]
        elif isinstance(value, (list, tuple)):
            value = value[_position(key, len(value))]
        else:
            raise CallError(f"can't index item of type {type_name(value)}")
    return value


def _zero_like(values: Sequence[Any]) -> Any:
    """The zero value of a map's element type, as far as its values tell it."""
    kinds = {type(value) for value in values} or {str}
    kind = kinds.pop()
    return kind() if not kinds and kind in (str, int, bool, float, list, dict) else MISSING


def cut(value: Any, *limits: Any) -> Any:
    if len(limits) > 3:
        raise CallError(f"too many slice indexes: {len(limits)}")
    if isinstance(value, str):
        if len(limits) == 3:
            raise CallError("cannot 3-index slice a string")
        raw = value.encode("utf-8", "surrogateescape")
        start, end = _bounds(limits, len(raw))
        return raw[start:end].decode("utf-8", "surrogateescape")
    if isinstance(value, (list, tuple)):
        start, end = _bounds(limits[:2], len(value))
        return value[start:end]
    raise CallError(f"can't slice item of type {type_name(value)}")


def _bounds(limits: Sequence[Any], size: int) -> tuple[int, int]:
    numbers = [_position(limit, size + 1) for limit in limits]
    start, end = [*numbers, *(0, size)[len(numbers):]]
    if start > end:
        raise CallError(f"invalid slice index: {start} > {end}")
    return start, end


def call(function: Any, *_args: Any) -> Any:
    if function is None or function is MISSING:
        raise CallError("call of nil")
    raise CallError(f"non-function of type {type_name(function)}")


# -- comparison --------------------------------------------------------------------------------------------------


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float, str)):
        return type(value).__name__
    return ""


def _is_nil(value: Any) -> bool:
    return value is None or value is MISSING or isinstance(value, Nil)


def equal(first: Any, *others: Any) -> bool:
    if isinstance(first, (list, tuple, dict)):
        raise CallError(f"non-comparable type {show(first)}: {type_name(first)}")
    if not others:
        raise CallError("missing argument for comparison")
    for other in others:
        if _is_nil(first) or _is_nil(other):
            if _is_nil(first) and _is_nil(other):
                return True
            continue
        if _kind(first) != _kind(other):
            raise CallError("incompatible types for comparison")
        if isinstance(other, (list, tuple, dict)):
            raise CallError(f"non-comparable type {show(other)}: {type_name(other)}")
        if first == other:
            return True
    return False


def not_equal(first: Any, second: Any) -> bool:
    return not equal(first, second)


def less(first: Any, second: Any) -> bool:
    kind = _kind(first)
    if not kind or not _kind(second):
        raise CallError("invalid type for comparison")
    if kind != _kind(second):
        raise CallError("incompatible types for comparison")
    if kind == "bool":
        raise CallError("invalid type for comparison")
    return bool(first < second)


def less_or_equal(first: Any, second: Any) -> bool:
    return less(first, second) or equal(first, second)


def greater(first: Any, second: Any) -> bool:
    return not less_or_equal(first, second)


def greater_or_equal(first: Any, second: Any) -> bool:
    return not less(first, second)


# -- text --------------------------------------------------------------------------------------------------------

_HTML = {"\0": "\ufffd", '"': "&#34;", "'": "&#39;", "&": "&amp;", "<": "&lt;", ">": "&gt;"}
_SCRIPT = {
    "\\": "\\\\", "'": "\\'", '"': '\\"', "<": "\\u003C", ">": "\\u003E", "&": "\\u0026", "=": "\\u003D",
}
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~")


def _joined(values: Sequence[Any]) -> str:
    return values[0] if len(values) == 1 and isinstance(values[0], str) else goformat.sprint(values)


def html(*values: Any) -> str:
    return "".join(_HTML.get(char, char) for char in _joined(values))


def script(*values: Any) -> str:
    return "".join(
        _SCRIPT.get(char) or (char if char.isprintable() else f"\\u{ord(char):04X}") for char in _joined(values)
    )


def url_query(*values: Any) -> str:
    raw = _joined(values).encode("utf-8", "surrogateescape")
    return "".join("+" if byte == 32 else chr(byte) if byte in _UNRESERVED else f"%{byte:02X}" for byte in raw)


def json(value: Any) -> str:
    """Compact JSON without HTML escapes; the two line separators of Unicode are escaped, as Go does."""
    text = jsontext.dumps(to_json(value))
    return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def title(text: str) -> str:
    """The first letter of every word in upper case."""
    out: list[str] = []
    inside = False
    for char in text:
        out.append(char if inside else char.title())
        inside = char.isalnum() or char in "_'"
    return "".join(out)


def truncate(text: str, limit: int) -> str:
    """At most *limit* bytes of *text*."""
    raw = text.encode("utf-8", "surrogateescape")
    if len(raw) <= limit:
        return text
    if limit < 0:
        raise CallError(f"runtime error: slice bounds out of range [:{limit}]")
    return raw[:limit].decode("utf-8", "surrogateescape")


def pad(text: str, before: int, after: int) -> str:
    """*text* between spaces; an empty text stays empty."""
    return " " * before + text + " " * after if text else text


def split(text: str, separator: str) -> list[str]:
    return text.split(separator) if separator else list(text)


def join(parts: Sequence[str], separator: str) -> str:
    return separator.join(parts)


def _sprint(*values: Any) -> str:
    return goformat.sprint(values)


def _sprintln(*values: Any) -> str:
    return goformat.sprintln(values)


def _sprintf(layout: str, *values: Any) -> str:
    return goformat.sprintf(layout, values)


def negate(value: Any) -> bool:
    return not is_true(value)


#: ``and`` and ``or`` are here for the parser and the argument count; the evaluator runs them, for they may stop early.
FUNCTIONS: dict[str, GoFunction] = {
    "and": GoFunction(is_true, (ANY, ANY), True),
    "or": GoFunction(is_true, (ANY, ANY), True),
    "not": GoFunction(negate, (ANY,)),
    "len": GoFunction(length, (ANY,)),
    "index": GoFunction(index, (ANY, ANY), True),
    "slice": GoFunction(cut, (ANY, ANY), True),
    "call": GoFunction(call, (ANY, ANY), True),
    "print": GoFunction(_sprint, (ANY,), True),
    "println": GoFunction(_sprintln, (ANY,), True),
    "printf": GoFunction(_sprintf, (STRING, ANY), True),
    "html": GoFunction(html, (ANY,), True),
    "js": GoFunction(script, (ANY,), True),
    "urlquery": GoFunction(url_query, (ANY,), True),
    "eq": GoFunction(equal, (ANY, ANY), True),
    "ne": GoFunction(not_equal, (ANY, ANY)),
    "lt": GoFunction(less, (ANY, ANY)),
    "le": GoFunction(less_or_equal, (ANY, ANY)),
    "gt": GoFunction(greater, (ANY, ANY)),
    "ge": GoFunction(greater_or_equal, (ANY, ANY)),
    "join": GoFunction(join, (STRINGS, STRING)),
    "json": GoFunction(json, (ANY,)),
    "lower": GoFunction(str.lower, (STRING,)),
    "upper": GoFunction(str.upper, (STRING,)),
    "title": GoFunction(title, (STRING,)),
    "split": GoFunction(split, (STRING, STRING)),
    "truncate": GoFunction(truncate, (STRING, INT)),
    "pad": GoFunction(pad, (STRING, INT, INT)),
}
