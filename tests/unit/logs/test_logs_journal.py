"""Container logs from a journalctl, played by a script; tests/system/logs has a real one."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from wherry.errors import Unavailable
from wherry.logs.line import LogLine, LogOptions
from wherry.logs.reader import read
from wherry.model.jsontext import dumps
from wherry.model.timestamps import SECOND

ID = "a" * 64


class Journal:
    """A directory that a script named journalctl reads entries from, as options ask."""

    def __init__(self, directory: Path) -> None:
        self.entries = directory / "entries"
        self.calls = directory / "calls"
        self.program = directory / "journalctl"
        self.entries.touch()
        self.number = 0
        self.program.write_text(
            f"""#!/bin/sh
echo "$@" >> {self.calls}
from=1; lines=; follow=
for word; do case $word in
    --after-cursor=c*) from=$((${{word#*=c}} + 1));;
    --lines=*) lines=${{word#*=}};;
    --follow) follow=-f;;
esac; done
if [ -n "$lines" ]; then exec tail -n "$lines" {self.entries}; fi
exec tail $follow -n +"$from" {self.entries}
"""
        )
        self.program.chmod(0o755)

    def write(self, message: str | list[int], *, priority: int = 6, partial: bool = False, **more: object) -> None:
        self.number += 1
        entry = {
            "__CURSOR": f"c{self.number}", "__REALTIME_TIMESTAMP": str(self.number * 1_000_000), "MESSAGE": message,
            "PRIORITY": str(priority), "CONTAINER_ID_FULL": ID, **more,
        }
        if partial:
            entry["CONTAINER_PARTIAL_MESSAGE"] = "true"
        with open(self.entries, "a") as file:
            file.write(dumps(entry) + "\n")


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Journal:
    journal = Journal(tmp_path)
    monkeypatch.setattr("wherry.sys.processes.find_program", lambda name: str(journal.program))
    return journal


def texts(options: LogOptions | None = None) -> list[bytes]:
    return [line.text for line in read("journald", container_id=ID, options=options or LogOptions())]


def test_entries_become_lines(journal: Journal) -> None:
    journal.write("one")
    journal.write("two", priority=3)
    journal.write([255, 10, 0])
    journal.write("")
    assert list(read("journald", container_id=ID)) == [
        LogLine(1 * SECOND, "stdout", False, b"one"),
        LogLine(2 * SECOND, "stderr", False, b"two"),
        LogLine(3 * SECOND, "stdout", False, b"\xff\n\0"),
        LogLine(4 * SECOND, "stdout", False, b""),
    ]
    assert f"CONTAINER_ID_FULL={ID} _UID={os.geteuid()}" in journal.calls.read_text()


def test_parts_are_joined(journal: Journal) -> None:
    journal.write("a", partial=True)
    journal.write("err", priority=3)
    journal.write("b")
    journal.write("open", partial=True)
    assert texts() == [b"err", b"ab", b"open"]


def test_bounds(journal: Journal) -> None:
    for number in range(5):
        journal.write(f"l{number}")
    assert texts(LogOptions(since_ns=2 * SECOND, until_ns=5 * SECOND)) == [b"l2", b"l3"]
    assert "--since=@2" in journal.calls.read_text()


@pytest.mark.parametrize("wanted", range(6))
def test_tail_counts_lines(journal: Journal, wanted: int) -> None:
    for number in range(4):
        for part in range(3):
            journal.write(f"{number}{part}", partial=part < 2)
    everything = [b"000102", b"101112", b"202122", b"303132"]
    assert texts(LogOptions(tail=wanted)) == everything[max(0, 4 - wanted):]


def test_a_unit(journal: Journal) -> None:
    journal.write("x")
    stream = read("passthrough", container_id=ID, unit="web.service")
    assert [line.text for line in stream] == [b"x"]
    list(read("passthrough", container_id=ID, unit="web.service", uid=1000))
    assert "_SYSTEMD_USER_UNIT=web.service _UID=1000" in journal.calls.read_text()
    kind = "_SYSTEMD_USER_UNIT" if os.geteuid() else "_SYSTEMD_UNIT"
    assert f"{kind}=web.service" in journal.calls.read_text()


@pytest.mark.parametrize("tail", [-1, 1])
def test_following(journal: Journal, tail: int) -> None:
    journal.write("old")
    journal.write("a")
    stopped = threading.Event()
    got: list[bytes] = []
    seen = threading.Condition()

    def collect() -> None:
        options = LogOptions(follow=True, tail=tail)
        for line in read("journald", container_id=ID, options=options, finished=stopped.is_set):
            with seen:
                got.append(line.text)
                seen.notify()

    def wait_for(text: bytes) -> None:
        with seen:
            assert seen.wait_for(lambda: text in got, 10), got

    thread = threading.Thread(target=collect)
    thread.start()
    wait_for(b"a")
    journal.write("b")
    wait_for(b"b")
    journal.write("c", partial=True)
    wait_for(b"c")
    journal.write("d")
    stopped.set()
    thread.join(10)
    assert not thread.is_alive()
    assert got == ([b"old"] if tail < 0 else []) + [b"a", b"b", b"c", b"d"]
    with pytest.raises(ChildProcessError):      # none is left, running or dead
        os.waitpid(-1, os.WNOHANG)


def test_journalctl_fails(journal: Journal) -> None:
    journal.program.write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(Unavailable, match="journalctl exited with status 3"):
        texts()


def test_journalctl_ends_while_it_is_followed(journal: Journal) -> None:
    journal.program.write_text("#!/bin/sh\nexit 0\n")
    with pytest.raises(Unavailable, match="journalctl has ended"):
        list(read("journald", container_id=ID, options=LogOptions(follow=True), finished=lambda: False))


def test_no_journalctl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wherry.sys.processes.find_program", lambda name: "")
    with pytest.raises(Unavailable) as caught:
        texts()
    assert str(caught.value) == "reading logs of the 'journald' log driver needs journalctl, which is not installed"
    assert "k8s-file" in caught.value.hint
