"""Terminal size and raw mode on a pseudo terminal."""

from __future__ import annotations

import os
import termios
from collections.abc import Iterator

import pytest

from wherry.sys import terminal


@pytest.fixture
def pty() -> Iterator[tuple[int, int]]:
    master, slave = os.openpty()
    yield master, slave
    os.close(master)
    os.close(slave)


def test_size_is_set_and_read_in_rows_and_columns(pty: tuple[int, int]) -> None:
    master, slave = pty
    terminal.set_size(master, 43, 132)
    assert terminal.size(slave) == (43, 132)


def test_what_is_a_terminal(pty: tuple[int, int]) -> None:
    assert terminal.is_terminal(pty[1])
    reader, writer = os.pipe()
    try:
        assert not terminal.is_terminal(reader)
        with pytest.raises(OSError):
            terminal.size(reader)
        with terminal.RawMode(reader):
            pass
    finally:
        os.close(reader)
        os.close(writer)


def test_raw_mode_passes_control_characters_and_is_restored(pty: tuple[int, int]) -> None:
    master, slave = pty
    before = termios.tcgetattr(slave)
    with terminal.RawMode(slave):
        os.write(master, b"\x03\x04\r")
        assert os.read(slave, 10) == b"\x03\x04\r"
        os.write(slave, b"a\n")
        assert os.read(master, 10) == b"a\n"        # no echo before it, no carriage return added
    assert termios.tcgetattr(slave) == before


def test_raw_mode_is_restored_after_an_error(pty: tuple[int, int]) -> None:
    before = termios.tcgetattr(pty[1])
    with pytest.raises(RuntimeError), terminal.RawMode(pty[1]):
        raise RuntimeError
    assert termios.tcgetattr(pty[1]) == before
