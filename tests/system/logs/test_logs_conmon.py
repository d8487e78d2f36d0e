"""Logs as a real conmon writes them, into files and into a journal."""

from __future__ import annotations

import os
from pathlib import Path

import conmon_run
import pytest
from tests.helpers.private_journal import run_python, usable

from wherry.logs.copy import copy
from wherry.logs.line import LogOptions
from wherry.logs.reader import read

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(not os.path.exists(conmon_run.CONMON), reason="needs conmon"),
]

COMMAND = """
echo out; sleep 0.1; echo err >&2; sleep 0.1; echo
printf part; sleep 0.2; echo rest
head -c 20000 /dev/zero | tr '\\0' x; echo
printf 'no end'
"""
LINES = [
    (b"out", "stdout", False), (b"err", "stderr", False), (b"", "stdout", False), (b"partrest", "stdout", False),
    (b"x" * 20000, "stdout", False), (b"no end", "stdout", True),
]


def shown(path: str, **options: object) -> list[tuple[bytes, str, bool]]:
    return [(line.text, line.stream, line.partial) for line in read("k8s-file", path, **options)]  # type: ignore[arg-type]


def test_a_log_file(tmp_path: Path) -> None:
    path = str(tmp_path / "ctr.log")
    conmon_run.run(tmp_path, COMMAND, f"k8s-file:{path}")
    assert shown(path) == LINES
    assert shown(path, options=LogOptions(tail=2)) == LINES[-2:]
    reader, writer = os.pipe()
    copy(path, writer, -1)
    os.close(writer)
    with open(reader, "rb") as pipe:
        assert pipe.read() == b"out\n\npartrest\n" + b"x" * 20000 + b"\nno end"


def test_following_conmon_to_its_end(tmp_path: Path) -> None:
    path = str(tmp_path / "ctr.log")
    _, pid = conmon_run.run(tmp_path, COMMAND, f"k8s-file:{path}", wait=False)
    lines = shown(path, options=LogOptions(follow=True), pid=pid)
    os.waitpid(pid, 0)
    for stream in ("stdout", "stderr"):
        wanted = b"\n".join(text for text, which, _ in LINES if which == stream)
        got = b"".join(text + (b"" if partial else b"\n") for text, which, partial in lines if which == stream)
        assert got.rstrip(b"\n") == wanted
    assert (b"part", "stdout", True) in lines       # was shown before its end came


def test_a_log_with_a_size_limit(tmp_path: Path) -> None:
    """conmon begins a new file; whoever follows does not notice."""
    path = str(tmp_path / "ctr.log")
    command = "i=0; while [ $i -lt 300 ]; do echo line $i; i=$((i+1)); [ $((i % 20)) = 0 ] && sleep 0.1; done"
    _, pid = conmon_run.run(tmp_path, command, f"k8s-file:{path}", "--log-size-max", "4000", wait=False)
    followed = shown(path, options=LogOptions(follow=True), pid=pid)
    os.waitpid(pid, 0)
    assert [text for text, _, _ in followed] == [b"line %d" % number for number in range(300)]
    assert os.stat(path).st_size < 4000
    left = shown(path)
    assert left == followed[-len(left):]


JOURNAL_CODE = """
import pathlib, sys, threading, time
sys.path.insert(0, sys.argv[2])
import conmon_run
from wherry.logs.line import LogOptions
from wherry.logs.reader import read

directory, command = pathlib.Path(sys.argv[1]), sys.argv[3]
identity, _ = conmon_run.run(directory, command, "journald:")

def shown(**options):
    lines = read("journald", container_id=identity, options=LogOptions(**options), finished=lambda: True)
    return [(line.text, line.stream, line.partial) for line in lines]

deadline = time.monotonic() + 20
while len(shown()) < 6 and time.monotonic() < deadline:
    time.sleep(0.1)
print(shown() == eval(sys.argv[4]), shown(tail=2) == eval(sys.argv[4])[-2:], shown(follow=True) == shown())

identity, pid = conmon_run.run(directory, "echo a; sleep 1; echo b", "journald:", wait=False)
lines = read("journald", container_id=identity, options=LogOptions(follow=True), pid=pid)
print([line.text for line in lines])
"""


@pytest.mark.skipif(not usable(), reason="needs root and systemd-journald")
def test_a_journal(tmp_path: Path) -> None:
    here = os.path.dirname(conmon_run.__file__)
    out = run_python(JOURNAL_CODE, str(tmp_path), here, COMMAND, repr(LINES))
    assert out == "True True True\n[b'a', b'b']\n"
