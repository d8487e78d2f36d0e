"""Parsers and renderers of the command line on inputs nobody thought of."""

from __future__ import annotations

import csv
import io

from hypothesis import example, given
from hypothesis import strategies as st

from wherry.cli.flags import Flag, FlagSet, UsageError
from wherry.cli.formatting import camel_words, has_range, is_json, render_rows
from wherry.cli.goquote import quote
from wherry.cli.gotemplate import constants
from wherry.cli.gotemplate.errors import TemplateError
from wherry.cli.gotemplate.goformat import sprintf
from wherry.cli.gotemplate.gotime import GoTime
from wherry.cli.gotemplate.template import Template
from wherry.cli.gotemplate.values import Struct, show_float
from wherry.cli.tables import align, table
from wherry.cli.units import human_duration, human_size
from wherry.cli.yamltext import scalar

FLAGS = (
    Flag("all", "a", "bool"),
    Flag("quiet", "q", "bool"),
    Flag("name", "n"),
    Flag("last", "l", "int"),
    Flag("env", "e", many=True),
    Flag("cap", "c", many=True, split=True),
    Flag("pull", bare="always"),
)
TEXT = st.text(max_size=12)
WORD = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
#: Pieces templates are made of, so that random ones get past the lexer.
PIECES = st.sampled_from([
    "{{", "}}", "{{-", "-}}", ".", ".ID", ".Map.k", "$", "$x", ":=", "=", "|", "(", ")", " ", " ", "range", "if",
    "else", "end", "with", "define", "template", "block", "break", "printf", "index", "eq", "len", "json", "and", "nil",
    "true",
    '"s"', "`r`", "'c'", "1", "-2.5", "0x1F", "/*", "*/", ",", "text", "\n", "\\t", '"%d %v"',
])
DATA = Struct("x.data", {"ID": "abc", "Map": {"k": 1}, "List": ["a"]})


@st.composite
def command_lines(draw: st.DrawFn) -> tuple[list[str], dict[str, object], list[str]]:
    """Words in a random spelling, the values they mean, and the positional words among them."""
    words: list[str] = []
    values: dict[str, object] = {}
    args: list[str] = []
    for _ in range(draw(st.integers(0, 6))):
        kind = draw(st.sampled_from(["all", "quiet", "name", "last", "env", "word"]))
        if kind == "word":
            word = draw(WORD.filter(lambda text: not text.startswith("-") or text == "-"))
            words.append(word)
            args.append(word)
        elif kind in ("all", "quiet"):
            value = draw(st.booleans())
            words.append(f"--{kind}={str(value).lower()}" if not value or draw(st.booleans()) else f"-{kind[0]}")
            values[kind] = value
        else:
            value_text = str(draw(st.integers(-(1 << 63), (1 << 63) - 1))) if kind == "last" else draw(WORD)
            spelling = draw(st.sampled_from(["long", "equals", "short", "attached"]))
            if spelling == "attached" and (value_text[:1] in ("", "=")):
                spelling = "long"
            words += {
                "long": [f"--{kind}", value_text],
                "equals": [f"--{kind}={value_text}"],
                "short": [f"-{kind[0]}", value_text],
                "attached": [f"-{kind[0]}{value_text}"],
            }[spelling]
            if kind == "env":
                values.setdefault("env", []).append(value_text)  # type: ignore[attr-defined]
            else:
                values[kind] = int(value_text) if kind == "last" else value_text
    return words, values, args


@given(command_lines())
def test_every_spelling_means_the_same(line: tuple[list[str], dict[str, object], list[str]]) -> None:
    words, values, args = line
    parsed = FlagSet(FLAGS).parse(words)
    assert parsed.values == values
    assert parsed.args == args


@given(st.lists(st.text("-=anlecqxy01,\"' ", max_size=8), max_size=6), st.booleans())
def test_any_words_parse_or_are_a_usage_error(words: list[str], interspersed: bool) -> None:
    try:
        parsed = FlagSet(FLAGS).parse(words, interspersed=interspersed)
    except UsageError as error:
        assert error.message
        return
    assert all(argument in words for argument in parsed.args)


@given(st.lists(st.text(st.characters(exclude_characters="\r\n\0", codec="utf-8")), min_size=1, max_size=5))
def test_comma_separated_values_come_back(fields: list[str]) -> None:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(fields)
    parsed = FlagSet(FLAGS).parse(["--cap", line.getvalue()])
    assert parsed.many("cap") == fields if fields != [""] else parsed.many("cap") in ([], [""])


@given(st.binary(max_size=20))
@example("\x80é\n\"\\\x7f\u2028😀".encode() + b"\xff")
def test_quoting_can_be_undone(raw: bytes) -> None:
    text = raw.decode("utf-8", "surrogateescape")
    assert constants.unquote(quote(text)) == text
    assert constants.unquote(quote(text, ascii_only=True)) == text


@given(st.lists(PIECES, max_size=25).map("".join))
def test_any_template_renders_or_is_a_template_error(text: str) -> None:
    try:
        Template("t", text).render(DATA)
    except TemplateError as error:
        assert error.message.startswith("template: t")


@given(TEXT)
def test_text_without_actions_is_itself(text: str) -> None:
    if "{{" not in text:
        assert Template("t", text).render(DATA) == text


OPERANDS = st.one_of(st.integers(), TEXT, st.floats(), st.none(), st.booleans(), st.lists(TEXT, max_size=2))


@given(st.text("%dsvqxTf+-# 0123456789.*[]!é", max_size=12), st.lists(OPERANDS))
@example("%9999999d%.9999999f%*d", [1, 2.0, 99999999, 3])
def test_printf_never_fails(layout: str, values: list[object]) -> None:
    assert isinstance(sprintf(layout, values), str)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_keep_their_value(value: float) -> None:
    assert float(show_float(value)) == value


@given(st.integers(-62135596800, 253402300799))
def test_times_come_back_from_rfc_3339(seconds: int) -> None:
    time = GoTime(seconds * 1_000_000_000)
    assert GoTime.parse(time.format("2006-01-02T15:04:05Z07:00")) == time or seconds in (0, -62135596800)


@given(st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(st.text(st.characters(exclude_characters="\t\n", codec="utf-8")), min_size=width,
                                    max_size=width), min_size=1, max_size=5)))
def test_a_table_is_its_tab_separated_text_aligned(rows: list[list[str]]) -> None:
    made = table(rows)
    assert made == align("\n".join("\t".join(row) for row in rows) + "\n")
    lines = made.split("\n")[:-1]
    assert len(lines) == len(rows)
    starts = [[line.startswith(row[0]) for line, row in zip(lines, rows, strict=True)]]
    assert all(all(column) for column in starts)


@given(st.text("a\tbc é\n", max_size=40))
def test_aligning_changes_blanks_only(text: str) -> None:
    aligned = align(text)
    assert aligned.count("\n") == text.count("\n")
    assert "\t" not in aligned
    assert aligned.replace(" ", "") == text.replace("\t", "").replace(" ", "")


@given(st.integers(0, 10**20))
def test_durations_never_decrease(ns: int) -> None:
    units = ["Less", "second", "minute", "hour", "day", "week", "month", "year"]

    def rank(text: str) -> int:
        return next(index for index in reversed(range(len(units))) if units[index] in text)

    assert rank(human_duration(ns)) <= rank(human_duration(ns * 2))


@given(st.integers(0, 10**26), st.integers(3, 6))
def test_sizes_keep_their_magnitude(size: int, precision: int) -> None:
    text = human_size(size, precision)
    number = float(text.rstrip("BkMGTPEZY"))
    scale = 1000 ** ["B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"].index(text.lstrip("0123456789.e+"))
    assert abs(number * scale - size) <= size / 10 ** (precision - 1)


@given(TEXT)
def test_formats_are_classified_without_failing(text: str) -> None:
    assert is_json(text) in (True, False)
    assert has_range(text) in (True, False)
    assert "".join(camel_words(text)) == text


@given(st.text("{}. range end json table IDx\\tn", max_size=30))
def test_any_format_of_rows_renders_or_is_a_template_error(text: str) -> None:
    try:
        render_rows("x", text, [DATA], {"ID": "ID"})
    except TemplateError as error:
        assert error.message.startswith("template: x")


@given(st.text(st.characters(min_codepoint=32, codec="utf-8"), max_size=20))
def test_a_yaml_scalar_is_one_line(text: str) -> None:
    assert "\n" not in scalar(text)
    assert scalar(text)
