"""Template text to tokens (the states of Go's ``text/template/parse/lex.go``)."""

from __future__ import annotations

from wherry.cli.goquote import quote, quote_char

TEXT = "text"
LEFT = "left delimiter"
RIGHT = "right delimiter"
SPACE = "space"
FIELD = "field"
VARIABLE = "variable"
IDENTIFIER = "identifier"
KEYWORD = "keyword"
BOOL = "bool"
NUMBER = "number"
CHARACTER = "character constant"
STRING = "string"
RAW_STRING = "raw string"
PIPE = "pipe"
ASSIGN = "="
DECLARE = ":="
OPEN = "("
CLOSE = ")"
CHAR = "char"
ERROR = "error"
EOF = "EOF"

KEYWORDS = frozenset((
    ".", "block", "break", "continue", "define", "else", "end", "if", "nil", "range", "template", "with",
))
_SPACES = " \t\r\n"
_TERMINATORS = frozenset(" \t\r\n.,|:()")


class Token:
    """One lexical item: its place in the token list, kind, text, offset in the template and line (from 1)."""

    __slots__ = ("index", "kind", "line", "pos", "text")

    def __init__(self, index: int, kind: str, pos: int, text: str, line: int) -> None:
        self.index = index
        self.kind = kind
        self.pos = pos
        self.text = text
        self.line = line

    def __str__(self) -> str:
        if self.kind in (EOF, ERROR):
            return self.text or "EOF"
        if self.kind == KEYWORD:
            return f"<{self.text}>"
        if len(self.text) > 10:
            return quote(self.text[:10]) + "..."
        return quote(self.text)


def tokenize(text: str) -> list[Token]:
    """All tokens of *text*; the last one is ``EOF`` or ``ERROR``."""
    lexer = _Lexer(text)
    lexer.run()
    return lexer.tokens


class _Stop(Exception):
    """An error token was emitted."""


def _is_word(char: str) -> bool:
    return char == "_" or char.isalnum()


class _Lexer:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[Token] = []
        self.pos = 0
        self.line = 1
        self.parens = 0

    def run(self) -> None:
        try:
            while self._literal():
                self._action()
        except _Stop:
            return
        self._append(EOF, "")

    def _append(self, kind: str, value: str) -> None:
        self.tokens.append(Token(len(self.tokens), kind, self.pos, value, self.line))

    def emit(self, kind: str, end: int) -> None:
        value = self.text[self.pos:end]
        self._append(kind, value)
        self.line += value.count("\n")
        self.pos = end

    def fail(self, message: str) -> _Stop:
        self._append(ERROR, message)
        return _Stop()

    def skip(self, end: int) -> None:
        self.line += self.text.count("\n", self.pos, end)
        self.pos = end

    # -- outside actions ---------------------------------------------------------------------------------------

    def _literal(self) -> bool:
        """Text up to the next action; True when there is one. Comments are dropped here."""
        text = self.text
        while True:
            start = text.find("{{", self.pos)
            end = len(text) if start < 0 else start
            kept = end
            if start >= 0 and self._trims_left(start + 2):
                kept = len(text[:end].rstrip(_SPACES))
                kept = max(kept, self.pos)
            if kept > self.pos:
                self.emit(TEXT, kept)
            self.skip(end)
            if start < 0:
                return False
            inner = start + 4 if self._trims_left(start + 2) else start + 2
            if not text.startswith("/*", inner):
                self.emit(LEFT, start + 2)
                self.skip(inner)
                return True
            self._comment(inner)

    def _trims_left(self, index: int) -> bool:
        return self.text[index:index + 1] == "-" and self.text[index + 1:index + 2] in tuple(_SPACES)

    def _comment(self, start: int) -> None:
        end = self.text.find("*/", start + 2)
        if end < 0:
            raise self.fail("unclosed comment")
        self.skip(end + 2)
        delimiter, trim = self._at_right()
        if not delimiter:
            raise self.fail("comment ends before closing delimiter")
        self._close(trim)

    def _at_right(self) -> tuple[bool, bool]:
        """Is the closing delimiter here, and does it trim the text that follows?"""
        text, pos = self.text, self.pos
        if text[pos:pos + 1] in tuple(_SPACES) and text.startswith("-}}", pos + 1):
            return True, True
        return text.startswith("}}", pos), False

    def _close(self, trim: bool) -> None:
        if trim:
            self.skip(self.pos + 2)
        self.skip(self.pos + 2)
        if trim:
            end = self.pos
            while end < len(self.text) and self.text[end] in _SPACES:
                end += 1
            self.skip(end)

    # -- inside an action --------------------------------------------------------------------------------------

    def _action(self) -> None:
        self.parens = 0
        while True:
            delimiter, trim = self._at_right()
            if delimiter:
                if self.parens:
                    raise self.fail("unclosed left paren")
                if trim:
                    self.skip(self.pos + 2)
                self.emit(RIGHT, self.pos + 2)
                if trim:
                    end = self.pos
                    while end < len(self.text) and self.text[end] in _SPACES:
                        end += 1
                    self.skip(end)
                return
            if self.pos >= len(self.text):
                raise self.fail("unclosed action")
            self._item(self.text[self.pos])

    def _item(self, char: str) -> None:
        text, pos = self.text, self.pos
        if char in _SPACES:
            end = pos + 1
            while end < len(text) and text[end] in _SPACES:
                end += 1
            if text.startswith("-}}", end):
                end -= 1                # the last space belongs to the trimming delimiter
            if end > pos:
                self.emit(SPACE, end)
        elif char == "=":
            self.emit(ASSIGN, pos + 1)
        elif char == ":":
            if text[pos + 1:pos + 2] != "=":
                raise self.fail("expected :=")
            self.emit(DECLARE, pos + 2)
        elif char == "|":
            self.emit(PIPE, pos + 1)
        elif char == '"':
            self._quoted()
        elif char == "`":
            end = text.find("`", pos + 1)
            if end < 0:
                raise self.fail("unterminated raw quoted string")
            self.emit(RAW_STRING, end + 1)
        elif char == "'":
            self._character()
        elif char == "$":
            self._field(VARIABLE)
        elif char == "." and not text[pos + 1:pos + 2].isdigit():
            self._field(FIELD)
        elif char in "+-." or "0" <= char <= "9":
            self._number()
        elif _is_word(char):
            self._identifier()
        elif char in "()":
            self._paren(char)
        elif " " < char <= "~":
            self.emit(CHAR, pos + 1)
        else:
            raise self.fail(f"unrecognized character in action: {code_point(char)}")

    def _paren(self, char: str) -> None:
        if char == "(":
            self.emit(OPEN, self.pos + 1)
            self.parens += 1
            return
        self.emit(CLOSE, self.pos + 1)
        self.parens -= 1
        if self.parens < 0:
            raise self.fail(f"unexpected right paren {code_point(char)}")

    def _at_terminator(self, index: int) -> bool:
        return index >= len(self.text) or self.text[index] in _TERMINATORS or self.text.startswith("}}", index)

    def _word_end(self, index: int) -> int:
        text = self.text
        while index < len(text) and _is_word(text[index]):
            index += 1
        if not self._at_terminator(index):
            raise self.fail(f"bad character {code_point(text[index])}")
        return index

    def _field(self, kind: str) -> None:
        if self._at_terminator(self.pos + 1):
            self.emit(VARIABLE if kind == VARIABLE else KEYWORD, self.pos + 1)
        else:
            self.emit(kind, self._word_end(self.pos + 1))

    def _identifier(self) -> None:
        end = self._word_end(self.pos)
        word = self.text[self.pos:end]
        kind = KEYWORD if word in KEYWORDS else BOOL if word in ("true", "false") else IDENTIFIER
        self.emit(kind, end)

    def _quoted(self) -> None:
        text = self.text
        index = self.pos + 1
        while True:
            char = text[index:index + 1]
            if char == "\\" and text[index + 1:index + 2] not in ("", "\n"):
                index += 2
            elif char in ("", "\n", "\\"):
                raise self.fail("unterminated quoted string")
            elif char == '"':
                self.emit(STRING, index + 1)
                return
            else:
                index += 1

    def _character(self) -> None:
        text = self.text
        index = self.pos + 1
        while True:
            char = text[index:index + 1]
            if char == "\\" and text[index + 1:index + 2] not in ("", "\n"):
                index += 2
            elif char in ("", "\n", "\\"):
                raise self.fail("unterminated character constant")
            elif char == "'":
                self.emit(CHARACTER, index + 1)
                return
            else:
                index += 1

    def _number(self) -> None:
        text = self.text
        index = self.pos
        if text[index] in "+-":
            index += 1
        digits, exponent = "0123456789_", "eE"
        if text[index:index + 1] == "0":
            index += 1
            prefix = text[index:index + 1]
            if prefix and prefix in "xX":
                digits, exponent, index = "0123456789abcdefABCDEF_", "pP", index + 1
            elif prefix and prefix in "oO":
                digits, exponent, index = "01234567_", "", index + 1
            elif prefix and prefix in "bB":
                digits, exponent, index = "01_", "", index + 1
        index = self._accept(index, digits)
        if text[index:index + 1] == ".":
            index = self._accept(index + 1, digits)
        if exponent and text[index:index + 1] and text[index] in exponent:
            index += 1
            if text[index:index + 1] and text[index] in "+-":
                index += 1
            index = self._accept(index, "0123456789_")
        if index < len(text) and _is_word(text[index]):
            raise self.fail(f"bad number syntax: {quote(text[self.pos:index + 1])}")
        self.emit(NUMBER, index)

    def _accept(self, index: int, allowed: str) -> int:
        while index < len(self.text) and self.text[index] in allowed:
            index += 1
        return index


def code_point(char: str) -> str:
    """``U+007B '{'``: Go's ``%#U``."""
    text = f"U+{ord(char):04X}"
    return f"{text} {quote_char(char)}" if char.isprintable() else text
