"""Sizes, numbers, durations and lists, with Go's rules and words."""

import pytest

from wherry.errors import InvalidArgument
from wherry.spec import parse_values as values

MIB = 1 << 20


@pytest.mark.parametrize(("text", "bytes_"), [
    ("0", 0), ("1", 1), ("512", 512), ("512b", 512), ("1k", 1024), ("1K", 1024), ("1kb", 1024), ("1KiB", 1024),
    ("512m", 512 * MIB), ("1.5g", 1536 * MIB), ("1 g", 1024 * MIB), ("2t", 2 << 40), ("1p", 1 << 50), ("1e3", 1000),
    ("+5m", 5 * MIB), (".5k", 512),
])
def test_size(text, bytes_):
    assert values.size(text) == bytes_


@pytest.mark.parametrize(("text", "message"), [
    ("", "invalid size: ''"),
    ("abc", "invalid size: 'abc'"),
    ("m", "invalid size: 'm'"),
    ("-1", "invalid size: '-1'"),
    ("-1m", "invalid size: '-1m'"),
    ("5x", "invalid suffix: 'x'"),
    ("5kx", "invalid suffix: 'kx'"),
    ("5kibb", "invalid suffix: 'kibb'"),
    ("5bb", "invalid suffix: 'bb'"),
    ("5KIBB", "invalid suffix: 'KIBB'"),
    ("1.2.3", 'strconv.ParseFloat: parsing "1.2.3": invalid syntax'),
    ("1_0", 'strconv.ParseFloat: parsing "1_0": invalid syntax'),
    ("nan1", 'strconv.ParseFloat: parsing "nan1": invalid syntax'),
    ("9999999999999p", "invalid size: '9999999999999p'"),
    ("1e999", 'strconv.ParseFloat: parsing "1e999": value out of range'),
])
def test_bad_size(text, message):
    with pytest.raises(InvalidArgument) as caught:
        values.size(text)
    assert str(caught.value) == message


def test_decimal_size():
    assert values.size_decimal("65536k") == 65_536_000
    assert values.size_decimal("1kib") == 1000


@pytest.mark.parametrize(("text", "nanoseconds"), [
    ("0", 0), ("1s", 10**9), ("1.5s", 1_500_000_000), ("1h30m", 5400 * 10**9), ("-1s", -(10**9)), ("+2ms", 2_000_000),
    ("10us", 10_000), ("10µs", 10_000), ("3ns", 3), (".5s", 500_000_000), ("1.s", 10**9),
])
def test_duration(text, nanoseconds):
    assert values.duration(text) == nanoseconds


@pytest.mark.parametrize(("text", "message"), [
    ("", 'time: invalid duration ""'),
    ("-", 'time: invalid duration "-"'),
    ("5", 'time: missing unit in duration "5"'),
    ("5d", 'time: unknown unit "d" in duration "5d"'),
    ("s", 'time: invalid duration "s"'),
    (".s", 'time: invalid duration ".s"'),
    ("1..5s", 'time: invalid duration "1..5s"'),
    ("9999999999h", 'time: invalid duration "9999999999h"'),
])
def test_bad_duration(text, message):
    with pytest.raises(InvalidArgument) as caught:
        values.duration(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(("text", "value"), [
    ("0", 0), ("12", 12), ("-3", -3), ("+3", 3), ("0x10", 16), ("0b11", 3), ("0o17", 15), ("017", 15), ("1_000", 1000),
])
def test_integer(text, value):
    assert values.integer(text) == value


@pytest.mark.parametrize(("text", "options", "message"), [
    ("x", {}, 'strconv.ParseInt: parsing "x": invalid syntax'),
    ("", {}, 'strconv.ParseInt: parsing "": invalid syntax'),
    ("-", {}, 'strconv.ParseInt: parsing "-": invalid syntax'),
    (" 1", {}, 'strconv.ParseInt: parsing " 1": invalid syntax'),
    ("08", {}, 'strconv.ParseInt: parsing "08": invalid syntax'),
    ("٣", {}, 'strconv.ParseInt: parsing "٣": invalid syntax'),
    ("9223372036854775808", {}, 'strconv.ParseInt: parsing "9223372036854775808": value out of range'),
    ("-1", {"signed": False}, 'strconv.ParseUint: parsing "-1": invalid syntax'),
    ("70000", {"bits": 16, "signed": False}, 'strconv.ParseUint: parsing "70000": value out of range'),
    ("0x1", {"base": 10}, 'strconv.ParseInt: parsing "0x1": invalid syntax'),
    ("1_0", {"base": 10}, 'strconv.ParseInt: parsing "1_0": invalid syntax'),
])
def test_bad_integer(text, options, message):
    with pytest.raises(InvalidArgument) as caught:
        values.integer(text, **options)
    assert str(caught.value) == message


def test_decimal_names_its_function():
    with pytest.raises(InvalidArgument, match=r'^strconv\.Atoi: parsing "x": invalid syntax$'):
        values.decimal("x")


@pytest.mark.parametrize(("text", "value"), [("1", True), ("t", True), ("true", True), ("0", False), ("FALSE", False)])
def test_boolean(text, value):
    assert values.boolean(text) is value


def test_bad_boolean():
    with pytest.raises(InvalidArgument, match=r'strconv\.ParseBool: parsing "yes": invalid syntax'):
        values.boolean("yes")


@pytest.mark.parametrize(("line", "fields"), [
    ("", []), ("a", ["a"]), ("a,b", ["a", "b"]), ("a,", ["a", ""]), ('"a,b",c', ["a,b", "c"]),
    ('"say ""hi""",x', ['say "hi"', "x"]), ('a,""', ["a", ""]),
])
def test_split_commas(line, fields):
    assert values.split_commas(line) == fields


@pytest.mark.parametrize("line", ['a"b,c', '"a', '"a"b,c'])
def test_bad_line(line):
    with pytest.raises(InvalidArgument, match="parse error on line 1"):
        values.split_commas(line)


def test_pairs():
    assert values.pairs(["a=1", "b=2=3"], "no {}") == {"a": "1", "b": "2=3"}
    with pytest.raises(InvalidArgument, match=r"^no oops$"):
        values.pairs(["oops"], "no {}")
