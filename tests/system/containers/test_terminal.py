"""The command line at a terminal and behind a pipe: size, detach keys, attach, signals, half-closed input."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.system.fixtures.engine import IMAGE, REPOSITORY

from wherry.engine.runtime import Runtime

pytestmark = pytest.mark.system
DETACH = b"\x10\x11"        # ctrl-p, ctrl-q


def words(base: Path, *rest: str) -> list[str]:
    return [
        sys.executable, "-m", "wherry", f"--root={base}/root", f"--runroot={base}/run",
        f"--network-config-dir={base}/networks", "--storage-driver=overlay", *rest,
    ]


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src")}


class Terminal:
    """A command at a pseudo-terminal of its own, driven by what is typed and seen."""

    def __init__(self, argv: list[str], rows: int = 24, columns: int = 80) -> None:
        self.main, side = pty.openpty()
        self.size(rows, columns)
        self.process = subprocess.Popen(
            argv, stdin=side, stdout=side, stderr=side, env=ENVIRONMENT, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(side)
        self.seen = b""

    def size(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.main, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: bytes) -> None:
        os.write(self.main, text)

    def expect(self, text: bytes, seconds: float = 20) -> None:
        """Read until *text* comes; what came before it is forgotten."""
        os.set_blocking(self.main, False)
        deadline = time.monotonic() + seconds
        while text not in self.seen:
            assert time.monotonic() < deadline, (text, self.seen)
            try:
                self.seen += os.read(self.main, 65536)
            except BlockingIOError:
                time.sleep(0.01)
            except OSError:
                break       # the command is gone
        assert text in self.seen, self.seen
        self.seen = self.seen.partition(text)[2]

    def end(self, seconds: float = 20) -> int:
        code = self.process.wait(seconds)
        os.close(self.main)
        return code


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    made: list[Terminal] = []
    yield made
    for one in made:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


def test_size_and_resize(rt: Runtime, base: Path, terminals: list[Terminal]) -> None:
    terminal = Terminal(words(base, "run", "--rm", "-it", "--network", "none", IMAGE, "sh"), rows=33, columns=101)
    terminals.append(terminal)
    terminal.type(b"stty size; echo re''ady\r")
    terminal.expect(b"33 101")
    terminal.expect(b"ready")
    terminal.size(50, 132)
    terminal.type(b"sleep 0.5; stty size\r")
    terminal.expect(b"50 132")
    terminal.type(b"exit 5\r")
    assert terminal.end() == 5


def test_detach_and_attach_again(rt: Runtime, base: Path, terminals: list[Terminal]) -> None:
    first = Terminal(words(base, "run", "-it", "--name", "shell", "--network", "none", IMAGE, "sh"))
    terminals.append(first)
    first.type(b"word=kept; echo re''ady\r")
    first.expect(b"ready")
    first.type(DETACH)
    assert first.end() == 0
    assert rt.containers.get("shell").status == "running"
    second = Terminal(words(base, "attach", "--detach-keys", "ctrl-a,x", "shell"))
    terminals.append(second)
    second.type(b"echo $word-and-read\r")
    second.expect(b"kept-and-read")
    second.type(b"\x01x")
    assert second.end() == 0
    with rt.containers.get("shell") as shell:
        assert shell.status == "running"


def test_detaching_from_exec_leaves_it_running(rt: Runtime, base: Path, terminals: list[Terminal]) -> None:
    with rt.containers.create(IMAGE, ["sleep", "100"], name="box", network="none") as box:
        box.start()
        terminal = Terminal(words(base, "exec", "-it", "box", "sh", "-c", "echo re''ady; cat; sleep 50"))
        terminals.append(terminal)
        terminal.expect(b"ready")
        terminal.type(DETACH)
        assert terminal.end() == 0
        assert any("sleep 50" in row[-1] for row in box.top("args").rows)


def test_signals_are_handed_on(rt: Runtime, base: Path) -> None:
    script = "trap 'echo got; exit 9' USR1; echo ready; while :; do sleep 0.05; done"
    process = subprocess.Popen(
        words(base, "run", "--rm", "--network", "none", IMAGE, "sh", "-c", script),
        stdout=subprocess.PIPE, env=ENVIRONMENT,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGUSR1)
    assert process.stdout.readline() == b"got\n"
    assert process.wait(20) == 9


def test_signals_are_kept_when_told_so(rt: Runtime, base: Path) -> None:
    with rt.containers.create(IMAGE, ["sh", "-c", "echo ready; sleep 100"], name="box", network="none") as box:
        box.start()
        process = subprocess.Popen(
            words(base, "attach", "--sig-proxy=false", "box"), stdout=subprocess.PIPE, env=ENVIRONMENT
        )
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) in (-signal.SIGTERM, 128 + signal.SIGTERM)
        assert box.status == "running"


def test_the_end_of_input_is_handed_on(rt: Runtime, base: Path) -> None:
    done = subprocess.run(
        words(base, "run", "--rm", "-i", "--network", "none", IMAGE, "sh", "-c", "wc -c; echo after"),
        input=b"x" * 200_000, capture_output=True, env=ENVIRONMENT, timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, b"200000\nafter\n"), done.stderr


def test_start_attached_loses_no_output(rt: Runtime, base: Path) -> None:
    with rt.containers.create(IMAGE, ["sh", "-c", "seq 20000; exit 3"], name="box", network="none"):
        done = subprocess.run(words(base, "start", "-a", "box"), capture_output=True, env=ENVIRONMENT, timeout=60)
        assert done.returncode == 3, done.stderr
        assert done.stdout.split() == [b"%d" % number for number in range(1, 20001)]
