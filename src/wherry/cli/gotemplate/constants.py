"""Literals of the template language: strings, characters and numbers as Go writes them."""

from __future__ import annotations

from wherry.cli.goquote import quote
from wherry.errors import InvalidArgument

_SIMPLE = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, "'": 39, '"': 34}
_HEX = {"x": 2, "u": 4, "U": 8}


def unquote(text: str) -> str:
    """The value of a quoted or raw string literal. Raises :class:`ValueError`."""
    if text[0] == "`":
        return text[1:-1].replace("\r", "")
    return _unescape(text[1:-1], '"')


def _unescape(body: str, delimiter: str) -> str:
    out = bytearray()
    index = 0
    while index < len(body):
        char = body[index]
        if char != "\\":
            out += char.encode("utf-8", "surrogateescape")
            index += 1
            continue
        index, code, is_byte = _escape(body, index + 1, delimiter)
        out += bytes((code,)) if is_byte else chr(code).encode()
    return out.decode("utf-8", "surrogateescape")


def _escape(body: str, index: int, delimiter: str) -> tuple[int, int, bool]:
    """What follows a backslash: (next index, code, is it a byte rather than a character)."""
    char = body[index:index + 1]
    if char in _SIMPLE and char and (char not in "'\"" or char == delimiter):
        return index + 1, _SIMPLE[char], False
    try:
        if char in _HEX and char:
            size = _HEX[char]
            digits = body[index + 1:index + 1 + size]
            code = int(digits, 16)
            if len(digits) == size and (code < 0xD800 or 0xE000 <= code < 0x110000):
                return index + 1 + size, code, char == "x"
        elif char and char in "01234567":
            code = int(body[index:index + 3], 8)
            if len(body[index:index + 3]) == 3 and code < 256:
                return index + 3, code, True
    except ValueError:
        pass
    raise ValueError("invalid syntax")


def number(text: str) -> int | float:
    """The value of a number or character literal. Raises :class:`ValueError`."""
    if text[0] == "'":
        try:
            body = _unescape(text[1:-1], "'")
        except ValueError:
            body = ""
        if len(body) != 1:
            raise ValueError(f"malformed character constant: {text}")
        return ord(body)
    from wherry.spec.parse_values import integer
    from wherry.spec.parse_values import number as real

    try:
        return integer(text)
    except InvalidArgument:
        pass
    try:
        value = real(text)
    except InvalidArgument:
        raise ValueError(f"bad number syntax: {quote(text)}") from None
    if not any(char in text for char in ".eE"):
        raise ValueError(f"integer overflow: {quote(text)}")
    return value
