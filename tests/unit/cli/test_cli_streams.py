"""Signals, detach keys and the reporter that is made only when needed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from wherry.cli.containers_create import LazyReporter
from wherry.cli.streams import SignalProxy, chosen, raw_mode, standard
from wherry.errors import InvalidArgument
from wherry.sys.processes import start_time


@pytest.fixture
def child() -> subprocess.Popen[bytes]:
    """A process that says which signal it got and ends."""
    source = (
        "import signal,sys,time\n"
        "def got(n,f):\n print(n,flush=True); sys.exit(0)\n"
        "signal.signal(signal.SIGUSR1,got); signal.signal(signal.SIGTERM,got)\n"
        "print('ready',flush=True)\ntime.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


def end(process: subprocess.Popen[bytes]) -> bytes:
    out, _ = process.communicate(timeout=30)
    return out


def test_signals_go_to_the_container(child: subprocess.Popen[bytes]) -> None:
    with SignalProxy() as proxy:
        proxy.started(child.pid, start_time(child.pid))
        os.kill(os.getpid(), signal.SIGUSR1)
        assert end(child) == b"%d\n" % signal.SIGUSR1


def test_signals_that_come_early_wait(child: subprocess.Popen[bytes]) -> None:
    with SignalProxy() as proxy:
        os.kill(os.getpid(), signal.SIGTERM)
        proxy.started(child.pid, start_time(child.pid))
        assert end(child) == b"%d\n" % signal.SIGTERM


def test_a_reused_pid_gets_no_signal(child: subprocess.Popen[bytes]) -> None:
    with SignalProxy() as proxy:
        proxy.started(child.pid, start_time(child.pid) + 1)
        os.kill(os.getpid(), signal.SIGUSR1)
    assert child.poll() is None
    child.kill()
    child.wait()


def test_handlers_are_put_back() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)}
    with SignalProxy():
        assert signal.getsignal(signal.SIGINT) != before[signal.SIGINT]
        assert signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL
    assert {number: signal.getsignal(number) for number in before} == before
    with SignalProxy(enabled=False):
        assert signal.getsignal(signal.SIGTERM) == before[signal.SIGTERM]


def test_streams() -> None:
    streams = standard(stdin=False, terminal=True, keys=b"\x10")
    assert (streams.stdin, streams.stdout, streams.stderr, streams.terminal) == (-1, 1, 2, False)
    only = chosen(streams, ["STDERR"], interactive=False)
    assert (only.stdin, only.stdout, only.stderr) == (-1, -1, 2)
    both = chosen(streams, ["stdin", "stdout"], interactive=True)
    assert (both.stdin, both.stdout, both.stderr) == (0, 1, -1)
    with pytest.raises(InvalidArgument, match='invalid stream "x" for --attach'):
        chosen(streams, ["x"], interactive=False)
    with raw_mode(streams):
        pass


def test_a_reporter_is_made_when_there_is_something_to_report(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = LazyReporter(quiet=False)
    reporter.message("Trying to pull x...")  # type: ignore[operator]
    assert capsys.readouterr().err == "Trying to pull x...\n"
    LazyReporter(quiet=True).message("nothing")  # type: ignore[operator]
    assert capsys.readouterr().err == ""
