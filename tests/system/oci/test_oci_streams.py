"""Attaching to real containers: pipes, terminals, resizing, much output."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.system.oci.conftest import Box

from wherry.errors import NotFound
from wherry.oci.attach import CLOSED, DETACHED, Attachment

pytestmark = [pytest.mark.system, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]


class Reader:
    """Collects what a relay passes on, and can wait for a word in it."""

    def __init__(self) -> None:
        self.data = b""
        self._news = threading.Condition()

    def __call__(self, stream: int, packets: list[memoryview]) -> None:
        with self._news:
            self.data += b"".join(packets)
            self._news.notify_all()

    def wait_for(self, word: bytes) -> None:
        deadline = time.monotonic() + 30
        with self._news:
            while word not in self.data:
                assert self._news.wait(deadline - time.monotonic()), f"{word!r} not in {self.data!r}"


def background(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_a_pipe_through_the_container(box: Box) -> None:
    data = os.urandom(2_000_000)
    found, out, err = box.command("cat").run(data, stdin=True)
    assert (found.code, out == data, err) == (0, True, b"")


def test_a_million_lines(box: Box) -> None:
    found, out, _ = box.command("seq", "1000000").run()
    assert found.code == 0
    assert out == b"".join(b"%d\n" % number for number in range(1, 1_000_001))


def test_many_small_writes_keep_their_order(box: Box) -> None:
    script = "i=0; while [ $i -lt 3000 ]; do echo $i; echo $i >&2; i=$((i+1)); done"
    _, out, err = box.command("sh", "-c", script).run()
    expected = b"".join(b"%d\n" % number for number in range(3000))
    assert out == expected
    assert err == expected


def test_two_clients_see_the_same(box: Box) -> None:
    box.command("sh", "-c", "read go; seq 5000").create(stdin=True, leave_stdin_open=True)
    with box.attach() as first, box.attach() as second:
        box.start()
        seen: list[bytes] = []
        thread = background(lambda: seen.append(first.collect(None)[0]))
        os.write(second.fileno(), b"go\n")
        out, _ = second.collect(None)
        thread.join()
    assert seen == [out]
    assert len(out.splitlines()) == 5000
    assert box.wait().code == 0
    box.runtime.delete(box.id)


def test_a_client_that_leaves_does_not_disturb(box: Box) -> None:
    box.command("sh", "-c", "read a; echo $a; read b; echo $b").create(stdin=True, leave_stdin_open=True)
    with box.attach() as staying:
        box.start()
        with box.attach() as leaving:
            os.write(leaving.fileno(), b"one\n")
            assert os.read(leaving.fileno(), 100) == b"\x02one\n"
        os.write(staying.fileno(), b"two\n")
        assert staying.collect(None)[0] == b"one\ntwo\n"
    box.wait()
    box.runtime.delete(box.id)


def test_the_end_of_input_ends_the_containers(box: Box) -> None:
    box.command("wc", "-c").create(stdin=True)
    with box.attach() as attachment:
        box.start()
        assert attachment.collect(b"12345") == (b"5\n", b"")
    box.wait()
    box.runtime.delete(box.id)


def test_without_stdin_the_container_has_none(box: Box) -> None:
    found, out, _ = box.command("wc", "-c").run(b"ignored")
    assert (found.code, out) == (0, b"0\n")


def test_a_terminal_is_one_stream_and_echoes(box: Box) -> None:
    box.command("sh", "-c", "echo to out; echo to err >&2; read x; echo got $x", terminal=True)
    box.create(terminal=True)
    reader = Reader()
    with box.attach() as attachment:
        box.start()
        how = attachment.relay(reader, None, first=b"word\n")
    assert how == CLOSED
    text = reader.data.replace(b"\r", b"")
    assert b"to out\nto err\n" in text.replace(b"word\n", b"", 1)
    assert text.endswith(b"got word\n")
    assert box.wait().code == 0
    box.runtime.delete(box.id)


def test_the_size_of_a_terminal(box: Box) -> None:
    script = "trap 'stty size; exit' WINCH; stty size; echo ready; while :; do sleep 0.05; done"
    box.command("sh", "-c", script, terminal=True).create(terminal=True)
    reader = Reader()
    with box.attach() as attachment:
        attachment.resize(20, 60)
        box.start()
        thread = background(lambda: attachment.relay(reader, None))
        reader.wait_for(b"ready")
        attachment.resize(41, 101)
        thread.join()
    assert reader.data.replace(b"\r", b"") == b"20 60\nready\n41 101\n"
    box.wait()
    box.runtime.delete(box.id)


def test_detaching_and_coming_back(box: Box) -> None:
    box.command("sh", "-c", "read x; echo first $x; read y; echo second $y", terminal=True).create(terminal=True)
    with box.attach() as attachment:
        box.start()
        how = _typed(attachment, b"one\n\x10\x11")
    assert how == DETACHED
    reader = Reader()
    with box.attach() as attachment:
        assert attachment.relay(reader, None, first=b"two\n") == CLOSED
    assert b"second two" in reader.data
    assert box.wait().code == 0
    assert "first one" in box.log()
    box.runtime.delete(box.id)


def _typed(attachment: Attachment, data: bytes) -> str:
    reader, writer = os.pipe()
    os.write(writer, data)
    try:
        return attachment.run(reader, None, None, detach_keys=b"\x10\x11")
    finally:
        os.close(reader)
        os.close(writer)


def test_a_bundle_path_longer_than_a_socket_address(box: Box, tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    box.bundle = deep
    found, out, _ = box.command("echo", "far").run(bundle=str(deep))
    assert (found.code, out) == (0, b"far\n")


def test_a_container_that_has_ended_cannot_be_attached_to(box: Box) -> None:
    box.command("true").create()
    box.start()
    box.wait()
    with pytest.raises(NotFound):
        box.attach()
    box.runtime.delete(box.id)
