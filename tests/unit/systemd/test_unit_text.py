"""Unit text: quoting as systemd.service(5) reads it, and create commands taken apart."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.errors import InvalidArgument
from wherry.systemd.command import CreateCommand, of_container, of_pod
from wherry.systemd.options import UnitOptions, check, service_name
from wherry.systemd.unit import Unit, assignment, quoted


def test_plain_words_stay() -> None:
    for word in ("run", "--name", "web", "8080:80", "/a/b@c,d=e", "ä", "a;b"):
        assert quoted(word) == word


@pytest.mark.parametrize(("word", "expected"), [
    ("", '""'), (";", '";"'), ("a b", '"a b"'), ("it's", '"it\'s"'), ('"', '"\\""'), ("\\", '"\\\\"'),
    ("$HOME", "$$HOME"), ("100%", "100%%"), ("a\nb\tc", '"a\\nb\\tc"'), ("\x01", '"\\x01"'), ("\u200b", '"\\u200b"'),
])
def test_quoting(word: str, expected: str) -> None:
    assert quoted(word) == expected


def test_specifiers_may_be_kept() -> None:
    assert quoted("web-%i", specifiers=True) == "web-%i"


def test_environment_lines() -> None:
    assert assignment("A=B") == "A=B"
    assert assignment("A=b c$D 5%") == '"A=b c$D 5%%"'


def unquote(text: str) -> list[str]:
    """The words systemd makes of a command line, by the rules of extract-word.c."""
    words: list[str] = []
    word, quote, index, begun = "", "", 0, False
    while index < len(text):
        char = text[index]
        index += 1
        if char == "\\":
            escape = text[index]
            index += 1
            plain = dict(zip('abfnrtv\\"\'s', '\a\b\f\n\r\t\v\\"\' ', strict=True))
            size = {"x": 2, "u": 4, "U": 8}.get(escape)
            if size:
                word += chr(int(text[index:index + size], 16))
                index += size
            else:
                word += plain[escape]
            begun = True
        elif quote:
            if char == quote:
                quote = ""
            else:
                word += char
        elif char in "\"'":
            quote, begun = char, True
        elif char in " \t\n\r":
            if begun:
                words.append(word)
            word, begun = "", False
        else:
            word, begun = word + char, True
    return [*words, word] if begun else words


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0")), max_size=4))
def test_every_word_comes_back(words: list[str]) -> None:
    line = " ".join(quoted(word) for word in words)
    assert "\n" not in line
    assert [word.replace("%%", "%").replace("$$", "$") for word in unquote(line)] == words


def test_a_unit() -> None:
    unit = Unit("web.service")
    unit.comment("web.service")
    unit.section("Service")
    unit.exec("ExecStart", ["/bin/x", "run", "--rm", "image", "-c"])
    unit.set_each("Environment", ["A=1", "B=2"])
    assert unit.text() == (
        "# web.service\n\n[Service]\nExecStart=/bin/x run \\\n\t--rm image \\\n\t-c\nEnvironment=A=1\nEnvironment=B=2\n"
    )


@pytest.mark.parametrize("name", ["../x.service", "a b.service", ".service", "@.service", "x" * 250 + ".service"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid unit name"):
        Unit(name)


def test_service_names() -> None:
    assert service_name("container", "-", "web") == "container-web"
    assert service_name("", "-", "web") == "web"


def test_restart_policies() -> None:
    check(UnitOptions(restart_policy="on-watchdog"))
    with pytest.raises(InvalidArgument, match="unless-stopped is not a valid restart policy"):
        check(UnitOptions(restart_policy="unless-stopped"))


def shape(found: CreateCommand) -> tuple[list[str], list[tuple[str, str | None]], list[str]]:
    return found.leading, [(option.name, option.value) for option in found.options], found.words


def test_a_command_taken_apart() -> None:
    words = ["wherry", "--root", "/x", "run", "-dit", "--name=web", "-p8080:80", "-e", "A=B", "--rm=false", "--init",
             "-d=false", "--memory", "5m", "image", "--rm", "-x"]
    assert shape(of_container(words)) == (
        ["--root", "/x"],
        [("", None), ("name", "web"), ("publish", "8080:80"), ("env", "A=B"), ("rm", "false"), ("init", None),
         ("detach", "false"), ("memory", "5m")],
        ["image", "--rm", "-x"],
    )


def test_other_spellings() -> None:
    assert shape(of_container(["w", "container", "create", "--net", "host", "--", "-image"])) == (
        [], [("network", "host")], ["-image"]
    )
    assert shape(of_container(["w", "run", "--log-level", "debug", "--syslog", "i"]))[1:] == (
        [("log-level", "debug"), ("syslog", None)], ["i"]
    )


def test_a_pods_command() -> None:
    words = ["w", "pod", "create", "pp", "-n", "x", "--share", "net", "--infra=false", "-p", "1:2", "--replace"]
    assert shape(of_pod(words)) == (
        [], [("name", "x"), ("share", "net"), ("infra", "false"), ("publish", "1:2"), ("replace", None)], ["pp"]
    )


def test_a_value_replaced_as_it_was_written() -> None:
    found = of_container(["w", "run", "--name=a", "--name", "b", "i"])
    assert [option.with_value("c").words for option in found.options] == [["--name=c"], ["--name", "c"]]


def test_what_is_no_create_command() -> None:
    with pytest.raises(InvalidArgument, match="cannot make out"):
        of_container(["w", "ps"])


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_systemd_accepts_the_text(tmp_path: Path) -> None:
    unit = Unit("quoted.service")
    unit.section("Service")
    unit.exec("ExecStart", ["/bin/true", *(quoted(word) for word in ("a b", "it's", "$x", "%h", "", ";", "\\", "\n"))])
    path = tmp_path / "quoted.service"
    path.write_text(unit.text())
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", path], capture_output=True, text=True)
    assert "quoted.service" not in done.stderr
