"""Flags of one command as data, and the parser that reads an argument list by them.

The rules are those of pflag and cobra, which Podman's users know: ``--long``, ``--long=value``, ``-s``, combined
shorts (``-it``), a short's value attached or after ``=``, ``--`` ends the flags, a bool takes a value only with
``=``, and flags may follow positional words unless the command says otherwise.  Errors have pflag's texts.
"""

from __future__ import annotations

from wherry.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

#: Kinds of value.
KINDS = ("bool", "string", "count", "int", "int32", "int64", "uint", "uint64", "float64", "duration", "ip")


class UsageError(InvalidArgument):
    """The words of the command line do not fit the command; ``see`` asks for the "See 'X --help'" line."""

    bare = False        # printed without "Error: "

    def __init__(self, message: str, *, see: bool = True, exit_code: int = -1) -> None:
        super().__init__(message, exit_code=exit_code)
        self.see = see


class Flag:
    """One flag.

    ``kind`` is one of :data:`KINDS`; ``many`` makes it repeatable and ``split`` also splits every value at commas (CSV
    quoting); ``bare`` is the value meant when the flag is given without one (empty: a value is required);
    ``aliases`` are other spellings without dashes; ``choices`` are the only values allowed.  ``default`` is what an
    absent flag reads as, and shown in help.
    """

    __slots__ = (
        "aliases", "bare", "choices", "default", "help", "hidden", "kind", "many", "metavar", "name", "short", "split",
    )

    def __init__(
        self,
        name: str,
        short: str = "",
        kind: str = "string",
        help: str = "",
        *,
        default: str = "",
        many: bool = False,
        split: bool = False,
        bare: str = "",
        aliases: Sequence[str] = (),
        hidden: bool = False,
        metavar: str = "",
        choices: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.short = short
        self.kind = kind
        self.help = help
        self.default = default
        self.many = many
        self.split = split
        self.bare = bare or ("true" if kind == "bool" else "+1" if kind == "count" else "")
        self.aliases = aliases
        self.hidden = hidden
        self.metavar = metavar
        self.choices = choices

    def spelled(self) -> str:
        """``-s, --long`` or ``--long``: how error messages name the flag."""
        return f"-{self.short}, --{self.name}" if self.short else f"--{self.name}"


class Parsed:
    """What the parser found: positional words and the values of the flags that were given."""

    __slots__ = ("args", "dash", "flags", "values")

    def __init__(self, flags: FlagSet) -> None:
        self.flags = flags
        self.values: dict[str, Any] = {}
        self.args: list[str] = []
        self.dash = -1              # number of positional words before "--", -1 without one

    def given(self, name: str) -> bool:
        """Was the flag on the command line?"""
        return name in self.values

    def on(self, name: str) -> bool:
        """A bool flag's value."""
        value = self._value(name)
        return value is True

    def text(self, name: str) -> str:
        """A string flag's value."""
        value = self._value(name)
        return value if isinstance(value, str) else ""

    def number(self, name: str) -> int:
        """An integer, count or duration (nanoseconds) flag's value."""
        value = self._value(name)
        return value if isinstance(value, int) else 0

    def real(self, name: str) -> float:
        """A floating point flag's value."""
        value = self._value(name)
        return value if isinstance(value, float) else 0.0

    def many(self, name: str) -> list[str]:
        """A repeatable flag's values, empty when it was not given."""
        value = self.values.get(name)
        return value if isinstance(value, list) else []

    def _value(self, name: str) -> Any:
        if name in self.values:
            return self.values[name]
        flag = self.flags.named(name)
        if flag is None:
            raise KeyError(name)
        if not flag.default:
            return None
        if flag.kind == "bool":
            return flag.default == "true"
        return flag.default if flag.kind == "string" else _scalar(flag, flag.default, flag.default)


class FlagSet:
    """The flags of a command. ``more`` is asked for flags the command does not have itself (the global ones)."""

    __slots__ = ("by_name", "by_short", "more")

    def __init__(self, flags: Iterable[Flag] = (), more: Callable[[], FlagSet] | None = None) -> None:
        self.by_name: dict[str, Flag] = {}
        self.by_short: dict[str, Flag] = {}
        self.more = more
        for flag in flags:
            self.by_name[flag.name] = flag
            for alias in flag.aliases:
                self.by_name[alias] = flag
            if flag.short:
                self.by_short[flag.short] = flag

    def all(self) -> list[Flag]:
        """The command's own flags, each once, by name: the order in which help shows them."""
        return sorted(set(self.by_name.values()), key=lambda flag: flag.name)

    def owns(self, name: str) -> bool:
        """Is this one of the command's own flags, not one of ``more``?"""
        return name in self.by_name

    def named(self, name: str) -> Flag | None:
        """The flag with this long name or alias."""
        flag = self.by_name.get(name)
        if flag is None and self.more is not None:
            flag = self.more().named(name)
        return flag

    def lettered(self, letter: str) -> Flag | None:
        """The flag with this short name."""
        flag = self.by_short.get(letter)
        if flag is None and self.more is not None:
            flag = self.more().lettered(letter)
        return flag

    def parse(self, words: Sequence[str], *, interspersed: bool = True) -> Parsed:
        """Read *words*. Raises :class:`UsageError`. ``--help`` is an ordinary bool flag the caller adds."""
        parsed = Parsed(self)
        index = 0
        count = len(words)
        while index < count:
            word = words[index]
            index += 1
            if len(word) < 2 or word[0] != "-":
                if not interspersed:
                    parsed.args.extend(words[index - 1:])
                    return parsed
                parsed.args.append(word)
            elif word == "--":
                parsed.dash = len(parsed.args)
                parsed.args.extend(words[index:])
                return parsed
            elif word[1] == "-":
                index = self._long(word, words, index, parsed)
            else:
                index = self._shorts(word[1:], words, index, parsed)
        return parsed

    def _long(self, word: str, words: Sequence[str], index: int, parsed: Parsed) -> int:
        name, equals, value = word[2:].partition("=")
        if not name or name[0] == "-":
            raise UsageError(f"bad flag syntax: {word}")
        flag = self.named(name)
        if flag is None:
            raise UsageError(f"unknown flag: --{name}")
        if not equals:
            if flag.bare:
                value = flag.bare
            elif index < len(words):
                value = words[index]
                index += 1
            else:
                raise UsageError(f"flag needs an argument: --{name}")
        _store(flag, value, parsed.values)
        return index

    def _shorts(self, rest: str, words: Sequence[str], index: int, parsed: Parsed) -> int:
        while rest:
            letter = rest[0]
            flag = self.lettered(letter)
            if flag is None:
                from wherry.cli.goquote import quote_char

                raise UsageError(f"unknown shorthand flag: {quote_char(letter)} in -{rest}")
            if len(rest) > 2 and rest[1] == "=":
                value, rest = rest[2:], ""
            elif flag.bare:
                value, rest = flag.bare, rest[1:]
            elif len(rest) > 1:
                value, rest = rest[1:], ""
            elif index < len(words):
                value, rest = words[index], ""
                index += 1
            else:
                raise UsageError(f"flag needs an argument: '{letter}' in -{rest}")
            _store(flag, value, parsed.values)
        return index


_TRUE = frozenset(("1", "t", "T", "true", "TRUE", "True"))
_FALSE = frozenset(("0", "f", "F", "false", "FALSE", "False"))


def _store(flag: Flag, text: str, values: dict[str, Any]) -> None:
    """Convert *text* and put it into *values*; a repeated list flag appends, any other overwrites."""
    if flag.many:
        items: list[Any] = values.setdefault(flag.name, [])
        for piece in _split(flag, text) if flag.split else (text,):
            items.append(_scalar(flag, piece, text))
    elif flag.kind == "count" and text == "+1":
        values[flag.name] = values.get(flag.name, 0) + 1
    else:
        values[flag.name] = _scalar(flag, text, text)


def _split(flag: Flag, text: str) -> list[str]:
    """The fields of a line of comma-separated values."""
    if '"' not in text:
        return text.split(",") if text else []
    from wherry.spec.parse_values import split_commas

    try:
        return split_commas(text)
    except InvalidArgument as error:
        raise bad_value(flag, text, error.message) from None


def _scalar(flag: Flag, text: str, whole: str) -> Any:
    """The value of *text*, a piece of the word *whole*, by the flag's kind."""
    kind = flag.kind
    if kind == "string":
        if flag.choices and text not in flag.choices:
            known = _quoted(", ".join(flag.choices))
            raise bad_value(flag, whole, f"{_quoted(text)} is not a valid value.  Choose from: {known}")
        return text
    if kind == "bool":
        if text in _TRUE:
            return True
        if text in _FALSE:
            return False
        raise bad_value(flag, whole, f"strconv.ParseBool: parsing {_quoted(text)}: invalid syntax")
    from wherry.spec import parse_values

    try:
        if kind == "float64":
            return parse_values.number(text)
        if kind == "duration":
            return parse_values.duration(text)
        if kind == "ip":
            from wherry.spec.parse_network import address

            return address(text)
        return parse_values.integer(text, bits=32 if kind == "int32" else 64, signed=kind[0] != "u")
    except InvalidArgument as error:
        raise bad_value(flag, whole, error.message) from None


def _quoted(text: str) -> str:
    from wherry.cli.goquote import quote

    return quote(text)


def bad_value(flag: Flag, text: str, detail: str) -> UsageError:
    """``invalid argument "V" for "-s, --flag" flag: DETAIL``."""
    return UsageError(f'invalid argument {_quoted(text)} for "{flag.spelled()}" flag: {detail}')
