"""Quoting text the way Go's ``strconv.Quote`` does; error messages and the ``%q`` verb use it."""

from __future__ import annotations

_ESCAPES = {
    "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\\": "\\\\",
}


def quote(text: str, *, ascii_only: bool = False) -> str:
    """*text* in double quotes."""
    return '"' + "".join(_escape(char, '"', ascii_only) for char in text) + '"'


def quote_char(char: str, *, ascii_only: bool = False) -> str:
    """One character in single quotes."""
    return "'" + _escape(char, "'", ascii_only) + "'"


def _escape(char: str, delimiter: str, ascii_only: bool) -> str:
    if char == delimiter:
        return "\\" + char
    escaped = _ESCAPES.get(char)
    if escaped:
        return escaped
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:            # a byte that was not UTF-8 (surrogateescape)
        return f"\\x{code - 0xDC00:02x}"
    if char.isprintable() and (code < 0x80 or not ascii_only):
        return char
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
