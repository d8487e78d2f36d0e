"""``fmt.Sprintf``, ``Sprint`` and ``Sprintln`` over Python values."""

from __future__ import annotations

from wherry.cli.goquote import quote, quote_char
from wherry.cli.gotemplate.values import MISSING, show, show_float, type_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


#: Widths and precisions of more digits are refused, as Go refuses those above a million.
LARGEST_DIGITS = 6


class _Verb:
    """One parsed ``%`` directive."""

    __slots__ = ("alternate", "letter", "minus", "plus", "position", "precision", "space", "width", "zero")

    def __init__(self) -> None:
        self.minus = self.plus = self.alternate = self.space = self.zero = False
        self.width = -1
        self.precision = -1
        self.position = -1              # explicit operand number, from 0
        self.letter = ""

    def pad(self, text: str) -> str:
        """*text* padded to the width."""
        missing = self.width - len(text)
        if missing <= 0:
            return text
        if self.minus:
            return text + " " * missing
        if self.zero:
            sign = text[:1] if text[:1] in ("+", "-") and self.letter not in "sqxXv" else ""
            return sign + "0" * missing + text[len(sign):]
        return " " * missing + text


def sprint(values: Sequence[Any]) -> str:
    """``fmt.Sprint``: a space between operands when neither is a string."""
    out: list[str] = []
    before_text = True
    for index, value in enumerate(values):
        is_text = isinstance(value, str)
        if index and not is_text and not before_text:
            out.append(" ")
        out.append(show(value))
        before_text = is_text
    return "".join(out)


def sprintln(values: Sequence[Any]) -> str:
    """``fmt.Sprintln``: spaces between operands and a newline."""
    return " ".join(show(value) for value in values) + "\n"


def sprintf(layout: str, values: Sequence[Any]) -> str:
    """``fmt.Sprintf``, its complaints in the text (``%!d(string=x)``, ``%!v(MISSING)``, ``%!(EXTRA int=1)``)."""
    out: list[str] = []
    used = 0
    reordered = False
    index = 0
    while index < len(layout):
        percent = layout.find("%", index)
        if percent < 0:
            out.append(layout[index:])
            break
        out.append(layout[index:percent])
        verb = _Verb()
        index, used = _read(layout, percent + 1, verb, values, used, out)
        if verb.position >= 0:
            reordered, used = True, verb.position
        if verb.letter == "":
            out.append("%!(NOVERB)")
        elif verb.letter == "%":
            out.append("%")
        elif used >= len(values):
            out.append(f"%!{verb.letter}(MISSING)")
        else:
            out.append(_one(verb, values[used]))
            used += 1
    if used < len(values) and not reordered:
        extra = (f"{type_name(value)}={show(value)}" if value is not None else "<nil>" for value in values[used:])
        out.append(f"%!(EXTRA {', '.join(extra)})")
    return "".join(out)


_FLAGS = {"-": "minus", "+": "plus", "#": "alternate", " ": "space", "0": "zero"}


def _read(layout: str, index: int, verb: _Verb, values: Sequence[Any], used: int, out: list[str]) -> tuple[int, int]:
    """Read flags, width, precision and letter after a percent sign: (next index, operands used)."""
    while layout[index:index + 1] in _FLAGS and index < len(layout):
        setattr(verb, _FLAGS[layout[index]], True)
        index += 1
    if verb.minus:
        verb.zero = False
    index, used, verb.width = _count(layout, index, values, used, out, "BADWIDTH")
    if verb.width < -1:
        verb.minus, verb.zero, verb.width = True, False, -verb.width
    if layout[index:index + 1] == ".":
        index, used, verb.precision = _count(layout, index + 1, values, used, out, "BADPREC")
        verb.precision = max(verb.precision, 0)
    close = layout.find("]", index)
    if layout[index:index + 1] == "[" and layout[index + 1:close].isdigit():
        verb.position = int(layout[index + 1:close]) - 1
        index = close + 1
    verb.letter = layout[index:index + 1]
    return index + 1, used


def _count(
    layout: str, index: int, values: Sequence[Any], used: int, out: list[str], complaint: str
) -> tuple[int, int, int]:
    """A number or ``*``: (next index, operands used, number or -1)."""
    if layout[index:index + 1] == "*":
        value = values[used] if used < len(values) else None
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**LARGEST_DIGITS:
            return index + 1, used + 1, value
        out.append(f"%!({complaint})")
        return index + 1, used + 1, -1
    end = index
    while layout[end:end + 1] and layout[end] in "0123456789":
        end += 1
    if end - index > LARGEST_DIGITS:
        out.append(f"%!({complaint})")
        return end, used, -1
    return end, used, int(layout[index:end]) if end > index else -1


def _one(verb: _Verb, value: Any) -> str:
    letter = verb.letter
    if letter == "T":
        return verb.pad(type_name(value))
    if letter == "v":
        return _value(verb, value)
    if isinstance(value, bool):
        return verb.pad("true" if value else "false") if letter == "t" else _bad(verb, value)
    if isinstance(value, int):
        return _integer(verb, value)
    if isinstance(value, float):
        return _real(verb, value)
    if isinstance(value, str):
        return _text(verb, value)
    if isinstance(value, (list, tuple)):
        return "[" + " ".join(_one(verb, item) for item in value) + "]"
    if isinstance(value, dict):
        return "map[" + " ".join(f"{_one(verb, key)}:{_one(verb, value[key])}" for key in sorted(value)) + "]"
    if value is None or value is MISSING:
        return f"%!{letter}(<nil>)"
    return verb.pad(show(value)) if letter in "sq" else _bad(verb, value)


def _bad(verb: _Verb, value: Any) -> str:
    """The complaint about a verb that does not fit the operand."""
    return f"%!{verb.letter}({type_name(value)}={verb.pad(show(value))})"


def _value(verb: _Verb, value: Any) -> str:
    if verb.alternate:
        return verb.pad(_go_syntax(value))
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        text = show(value)
        if verb.precision >= 0 and isinstance(value, str):
            text = text[: verb.precision]
        return verb.pad(text)
    if isinstance(value, float):
        verb.plus = False               # %+v asks for field names, not for a sign
        return _real(verb, value)
    return verb.pad(show(value))


def _go_syntax(value: Any) -> str:
    """``%#v``."""
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, (list, tuple)):
        return f"{type_name(value)}{{{', '.join(_go_syntax(item) for item in value)}}}"
    if isinstance(value, dict):
        items = ", ".join(f"{quote(str(key))}:{_go_syntax(value[key])}" for key in sorted(value))
        return f"{type_name(value)}{{{items}}}"
    return show(value)


_BASES = {"b": "b", "o": "o", "x": "x", "X": "X", "d": "d", "O": "o"}
_PREFIXES = {"b": "0b", "o": "0", "x": "0x", "X": "0X", "O": "0o"}


def _integer(verb: _Verb, value: int) -> str:
    letter = verb.letter
    if letter in _BASES:
        digits = format(abs(value), _BASES[letter])
        if verb.precision >= 0:
            digits = digits.zfill(verb.precision)
        if (verb.alternate and letter in _PREFIXES) or letter == "O":
            digits = _PREFIXES[letter] + digits
        sign = "-" if value < 0 else "+" if verb.plus else " " if verb.space else ""
        if verb.zero and verb.precision < 0 and verb.width > 0:
            digits = digits.zfill(verb.width - len(sign))
        return verb.pad(sign + digits)
    if letter in "cqU":
        char = chr(value) if 0 <= value < 0x110000 and not 0xD800 <= value < 0xE000 else "\ufffd"
        if letter == "c":
            return verb.pad(char)
        if letter == "q":
            return verb.pad(quote_char(char, ascii_only=verb.plus))
        return verb.pad(f"U+{value:04X}" + (f" '{char}'" if verb.alternate else ""))
    return _bad(verb, value)


def _real(verb: _Verb, value: float) -> str:
    letter = "g" if verb.letter == "v" else verb.letter
    if letter in "xX":
        mantissa, _, exponent = value.hex().partition("p")
        text = f"{mantissa.rstrip('0').removesuffix('.')}p{exponent[0]}{exponent[1:].zfill(2)}"
        return verb.pad(text.upper() if letter == "X" else text)
    if letter not in "eEfFgG":
        return _bad(verb, value)
    if verb.precision < 0 and letter in "gG":
        text = show_float(value)
    else:
        precision = 6 if verb.precision < 0 else verb.precision
        text = format(value, f".{precision}{letter}")
    if value >= 0:
        text = ("+" if verb.plus else " " if verb.space else "") + text
    return verb.pad(text)


def _text(verb: _Verb, value: str) -> str:
    letter = verb.letter
    if verb.precision >= 0 and letter in "sq":
        value = value[: verb.precision]
    if letter == "s":
        return verb.pad(value)
    if letter == "q":
        if verb.alternate and "`" not in value and value.isprintable():
            return verb.pad(f"`{value}`")
        return verb.pad(quote(value, ascii_only=verb.plus))
    if letter in "xX":
        pairs = [f"{byte:02x}" for byte in value.encode("utf-8", "surrogateescape")]
        if verb.alternate:
            pairs = ["0x" + pair if verb.space or not at else pair for at, pair in enumerate(pairs)]
        digits = (" " if verb.space else "").join(pairs)
        return verb.pad(digits.upper() if letter == "X" else digits)
    return _bad(verb, value)
