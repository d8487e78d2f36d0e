"""The journal's wire format; tests/system/events talks to a real journald."""

from __future__ import annotations

import array
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from wherry import errors
from wherry.events import journal
from wherry.events.publisher import Publisher
from wherry.events.reader import EventReader
from wherry.model.event import Event

EVENT = Event(
    type="container", status="died", id="a" * 64, name="web", image="img", pod_id="p", exit_code=0,
    time_ns=1_500_000_000, attributes={"b": "two\nlines", "a": "1"},
)


@pytest.fixture
def listener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(path)
        monkeypatch.setattr(journal, "SOCKET", path)
        yield server


def decode(message: bytes) -> dict[str, str]:
    """Decode as https://systemd.io/JOURNAL_NATIVE_PROTOCOL/ says."""
    fields = {}
    while message:
        head, _, message = message.partition(b"\n")
        name, equals, value = head.partition(b"=")
        if not equals:
            size = int.from_bytes(message[:8], "little")
            value, message = message[8:8 + size], message[8 + size + 1:]
        fields[name.decode()] = value.decode()
    return fields


def test_the_fields_of_an_event() -> None:
    fields = journal.fields_of(EVENT, "/graph")
    message = fields.pop("MESSAGE")
    assert message.endswith(f"container died {'a' * 64} (image=img, name=web, pod_id=p, a=1, b=two\nlines)")
    assert fields == {
        "PRIORITY": "6", "SYSLOG_IDENTIFIER": "wherry", "WHERRY_ROOT": "/graph", "PODMAN_EVENT": "died",
        "PODMAN_TYPE": "container", "PODMAN_TIME": "1970-01-01T00:00:01.5Z", "PODMAN_ID": "a" * 64,
        "PODMAN_NAME": "web", "PODMAN_IMAGE": "img", "PODMAN_POD_ID": "p", "PODMAN_EXIT_CODE": "0",
        "PODMAN_LABELS": '{"a":"1","b":"two\\nlines"}',
    }
    assert journal.event_of(fields) == EVENT


def test_health_is_a_notice() -> None:
    assert journal.fields_of(EVENT.replace(health_status="healthy"))["PRIORITY"] == "5"


def test_what_is_sent_arrives(listener: socket.socket) -> None:
    Publisher("journald", root="/graph").publish([EVENT])
    assert decode(listener.recv(1 << 20)) == journal.fields_of(EVENT, "/graph")


def test_what_is_too_long_for_a_datagram_arrives_as_a_file(listener: socket.socket) -> None:
    event = EVENT.replace(inspect_data="x" * 4_000_000)
    journal.send(event)
    message, ancillary, _, _ = listener.recvmsg(10, socket.CMSG_SPACE(4))
    assert message == b""
    (fd,) = array.array("i", ancillary[0][2])
    try:
        with open(fd, "rb", closefd=False) as file:
            file.seek(0)        # the sender left the shared offset at the end; journald maps the file
            assert decode(file.read()) == journal.fields_of(event)
        with pytest.raises(PermissionError):
            os.write(fd, b"sealed")
    finally:
        os.close(fd)


def test_nobody_listens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(journal, "SOCKET", str(tmp_path / "missing"))
    with pytest.raises(errors.Unavailable, match=r"writing event to the journal: .*/missing: no such file"):
        journal.send(EVENT)


def test_a_journal_that_hangs(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "_PATIENCE", 0.01)
    with pytest.raises(errors.Unavailable, match=r"writing event to the journal: .*: timed out"):
        for _ in range(100_000):
            journal.send(EVENT)


def test_whose_entries_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = tmp_path / "journalctl"
    script.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/words\n')
    script.chmod(0o755)
    monkeypatch.setattr("wherry.sys.processes.find_program", lambda name: str(script))
    for reader, matches in (
        (EventReader("journald", root="/graph", uid=1000), "SYSLOG_IDENTIFIER=wherry _UID=1000 WHERRY_ROOT=/graph"),
        (EventReader("journald"), f"SYSLOG_IDENTIFIER=wherry _UID={os.geteuid()}"),
    ):
        assert list(reader.read(follow=False)) == []
        assert (tmp_path / "words").read_text().strip().endswith(matches)


def test_other_entries_are_no_events() -> None:
    with pytest.raises(ValueError):
        journal.event_of({"MESSAGE": "hello", "SYSLOG_IDENTIFIER": "wherry"})


def test_no_journalctl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wherry.sys.processes.find_program", lambda name: "")
    with pytest.raises(errors.Unavailable, match="needs journalctl, which is not installed"):
        journal.JournalEvents(root="", uid=-1, since=0, follow=False, live=False)


def test_journalctl_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wherry.sys.processes.find_program", lambda name: "/bin/false")
    source = journal.JournalEvents(root="", uid=-1, since=0, follow=False, live=False)
    with pytest.raises(errors.Unavailable, match="journalctl exited with status 1"):
        while source.read(5) is not None:
            pass
    source.close()
