"""Parsing the detach sequence and finding it however the input is cut up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.errors import InvalidArgument
from wherry.oci.detach_keys import DetachScanner, parse


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("", b""),
        ("ctrl-p,ctrl-q", b"\x10\x11"),
        ("ctrl-@", b"\0"),
        ("ctrl-a,ctrl-z", b"\x01\x1a"),
        ("ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_", b"\x1b\x1c\x1d\x1e\x1f"),
        ("a,B,9", b"aB9"),
        ("DEL", b"\x7f"),
    ],
)
def test_sequences(text: str, keys: bytes) -> None:
    assert parse(text) == keys


@pytest.mark.parametrize("text", ["ctrl-P", "ctrl-", "ctrl-1", "CTRL-p", "ab", "a,,b", ",", "é", "del"])
def test_what_is_not_a_sequence(text: str) -> None:
    with pytest.raises(InvalidArgument, match=r"^invalid detach keys: Unknown character: '"):
        parse(text)


def test_the_unknown_part_is_named() -> None:
    with pytest.raises(InvalidArgument, match="Unknown character: 'bad'"):
        parse("ctrl-p,bad")


def feed(keys: bytes, pieces: list[bytes]) -> tuple[bytes, bool]:
    scanner = DetachScanner(keys)
    out = b""
    for piece in pieces:
        passed, detached = scanner.feed(piece)
        out += passed
        if detached:
            return out, True
    return out + scanner.flush(), False


def test_the_sequence_may_come_in_two_pieces() -> None:
    assert feed(b"\x10\x11", [b"abc\x10", b"\x11def"]) == (b"abc", True)


def test_a_beginning_that_is_not_followed_is_passed_on() -> None:
    scanner = DetachScanner(b"\x10\x11")
    assert scanner.feed(b"a\x10") == (b"a", False)
    assert scanner.feed(b"b") == (b"\x10b", False)
    assert scanner.flush() == b""


def test_without_keys_everything_passes_at_once() -> None:
    assert DetachScanner(b"").feed(b"\x10\x11") == (b"\x10\x11", False)


@given(st.binary(min_size=1, max_size=4).map(lambda b: bytes(c % 3 for c in b)),
       st.lists(st.binary(max_size=6).map(lambda b: bytes(c % 3 for c in b)), max_size=8))
def test_cutting_makes_no_difference(keys: bytes, pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    position = whole.find(keys)
    assert feed(keys, pieces) == ((whole, False) if position < 0 else (whole[:position], True))
