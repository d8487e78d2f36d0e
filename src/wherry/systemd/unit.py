"""The text of a unit file (systemd.syntax(7)): sections, lines, and command lines quoted for ``Exec...=``."""

from __future__ import annotations

from wherry.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: What systemd.unit(5) allows in a unit's name, apart from the one "@" of a template.
_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@")
_LONGEST_NAME = 255
_ESCAPES = {
    "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\\": "\\\\",
    '"': '\\"',
}
_NEEDS_QUOTES = frozenset(" \t\n\r\f\v\a\b\"'\\")


class Unit:
    """A unit being written; ``name`` is the file's, with its suffix."""

    def __init__(self, name: str) -> None:
        if len(name) > _LONGEST_NAME or not set(name) <= _NAME_CHARACTERS or name.partition(".")[0] in ("", "@"):
            raise InvalidArgument(
                f"invalid unit name {name}: letters, digits and :-_.\\ are allowed, at most {_LONGEST_NAME}"
            )
        self.name = name
        self._lines: list[str] = []

    def comment(self, text: str) -> None:
        self._lines.append(f"# {text}")

    def section(self, name: str) -> None:
        """Begin ``[name]``, after an empty line."""
        self._lines += ["", f"[{name}]"]

    def gap(self) -> None:
        self._lines.append("")

    def set(self, key: str, value: object) -> None:
        self._lines.append(f"{key}={value}")

    def set_each(self, key: str, values: Iterable[str]) -> None:
        """One line for every value."""
        for value in values:
            self.set(key, value)

    def exec(self, key: str, words: Sequence[str]) -> None:
        """A command line of words that are quoted already (:func:`quoted`), an option beginning a new line each."""
        text = words[0]
        for word in words[1:]:
            text += f" \\\n\t{word}" if word.startswith("-") else f" {word}"
        self.set(key, text)

    def text(self) -> str:
        return "\n".join(self._lines).lstrip("\n") + "\n"


def quoted(word: str, *, specifiers: bool = False) -> str:
    """*word* as one argument that reaches the program as it is.

    ``$`` and, unless it holds *specifiers* that systemd is to resolve, ``%`` are doubled (systemd.service(5), "Command
    lines"); white space, quotes, backslashes and an empty word need quotes, and a lone semicolon would end the command.
    """
    word = word.replace("$", "$$")
    if not specifiers:
        word = word.replace("%", "%%")
    if word and word != ";" and not _NEEDS_QUOTES & set(word) and word.isprintable():
        return word
    return '"' + "".join(_ESCAPES.get(char) or _printable(char) for char in word) + '"'


def assignment(text: str) -> str:
    """``NAME=value`` for ``Environment=``, which resolves specifiers but no variables."""
    word = text.replace("%", "%%")
    if _NEEDS_QUOTES & set(word) or not word.isprintable():
        return '"' + "".join(_ESCAPES.get(char) or _printable(char) for char in word) + '"'
    return word


def _printable(char: str) -> str:
    if char.isprintable():
        return char
    number = ord(char)
    return f"\\x{number:02x}" if number < 0x80 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
