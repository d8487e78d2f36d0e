"""The flag parser: pflag's rules and error texts."""

from __future__ import annotations

import pytest

from wherry.cli.flags import Flag, FlagSet, Parsed, UsageError

FLAGS = (
    Flag("all", "a", "bool"),
    Flag("quiet", "q", "bool"),
    Flag("proxy", kind="bool", default="true"),
    Flag("name", "n"),
    Flag("last", "l", "int", default="-1"),
    Flag("env", "e", many=True),
    Flag("cap-add", many=True, split=True),
    Flag("fds", kind="uint", many=True, split=True),
    Flag("time", "t", "int", default="10", aliases=("timeout",)),
    Flag("pull", bare="always"),
    Flag("verbose", "v", "count"),
    Flag("sort", choices=("id", "size")),
)


def parse(*words: str, interspersed: bool = True) -> Parsed:
    return FlagSet(FLAGS).parse(words, interspersed=interspersed)


def error(*words: str) -> str:
    with pytest.raises(UsageError) as caught:
        parse(*words)
    return caught.value.message


def test_long_flags_take_the_next_word_or_what_follows_the_equals_sign() -> None:
    assert parse("--name", "x").text("name") == "x"
    assert parse("--name=x=y").text("name") == "x=y"
    assert parse("--name=").text("name") == ""
    assert parse("--name", "--all").text("name") == "--all"


def test_bool_flags_take_a_value_only_after_an_equals_sign() -> None:
    parsed = parse("--all", "false")
    assert parsed.on("all")
    assert parsed.args == ["false"]
    for text in ("false", "F", "0", "FALSE"):
        assert not parse(f"--all={text}").on("all")
    assert parse("-a=true").on("all")


def test_short_flags_combine_and_take_values_in_every_form() -> None:
    parsed = parse("-aqnx")
    assert parsed.on("all")
    assert parsed.on("quiet")
    assert parsed.text("name") == "x"
    assert parse("-n", "x").text("name") == "x"
    assert parse("-n=x").text("name") == "x"
    assert parse("-l-5").number("last") == -5
    assert parse("-aq=false").values == {"all": True, "quiet": False}


def test_an_absent_flag_reads_as_its_default() -> None:
    parsed = parse()
    assert parsed.on("proxy")
    assert not parsed.on("all")
    assert parsed.number("last") == -1
    assert parsed.text("name") == ""
    assert parsed.many("env") == []
    assert not parsed.given("last")
    assert parse("--proxy=false").on("proxy") is False


def test_repeated_flags() -> None:
    assert parse("-e", "A=1,2", "-e", "B").many("env") == ["A=1,2", "B"]
    assert parse("--cap-add", "a,b", "--cap-add", '"c,d",e').many("cap-add") == ["a", "b", "c,d", "e"]
    assert parse("--fds", "3,4", "--fds=5").many("fds") == [3, 4, 5]
    assert parse("--name", "a", "--name", "b").text("name") == "b"
    assert parse("-vvv", "--verbose").number("verbose") == 4
    assert parse("--cap-add", "").many("cap-add") == []


def test_a_flag_with_an_optional_value_does_not_take_the_next_word() -> None:
    parsed = parse("--pull", "never")
    assert parsed.text("pull") == "always"
    assert parsed.args == ["never"]
    assert parse("--pull=never").text("pull") == "never"


def test_aliases_are_the_same_flag() -> None:
    assert parse("--timeout", "3").number("time") == 3


def test_words_between_flags() -> None:
    parsed = parse("x", "-a", "y", "--", "-q", "z")
    assert parsed.args == ["x", "y", "-q", "z"]
    assert parsed.dash == 2
    assert parsed.on("all")
    parsed = parse("-a", "image", "-q", "--name", interspersed=False)
    assert parsed.args == ["image", "-q", "--name"]
    assert parse("-").args == ["-"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--bogus"], "unknown flag: --bogus"),
        (["--bogus=3"], "unknown flag: --bogus"),
        (["-ax"], "unknown shorthand flag: 'x' in -x"),
        (["-xyz"], "unknown shorthand flag: 'x' in -xyz"),
        (["-=x"], "unknown shorthand flag: '=' in -=x"),
        (["--name"], "flag needs an argument: --name"),
        (["-an"], "flag needs an argument: 'n' in -n"),
        (["--=x"], "bad flag syntax: --=x"),
        (["---x"], "bad flag syntax: ---x"),
        (["--last", "x"],
         'invalid argument "x" for "-l, --last" flag: strconv.ParseInt: parsing "x": invalid syntax'),
        (["--all=maybe"],
         'invalid argument "maybe" for "-a, --all" flag: strconv.ParseBool: parsing "maybe": invalid syntax'),
        (["--cap-add", 'a"b'],
         'invalid argument "a\\"b" for "--cap-add" flag: parse error on line 1, column 1: bare " in non-quoted field'),
        (["--sort", "name"],
         'invalid argument "name" for "--sort" flag: "name" is not a valid value.  Choose from: "id, size"'),
        (["--fds", "3,x"], 'invalid argument "3,x" for "--fds" flag: strconv.ParseUint: parsing "x": invalid syntax'),
    ],
)
def test_errors_have_pflags_words(words: list[str], message: str) -> None:
    assert error(*words) == message


def test_flags_of_another_set_are_found_but_not_owned() -> None:
    more = FlagSet([Flag("root"), Flag("debug", "D", "bool")])
    flags = FlagSet(FLAGS, lambda: more)
    parsed = flags.parse(["--root", "/x", "-D", "-a"])
    assert parsed.text("root") == "/x"
    assert parsed.on("debug")
    assert flags.owns("all")
    assert not flags.owns("root")


def test_asking_for_a_flag_the_command_does_not_have_is_a_mistake_in_the_program() -> None:
    with pytest.raises(KeyError):
        parse().on("nothing")
