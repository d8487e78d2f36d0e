"""Events through a real journald."""

from __future__ import annotations

import pytest
from tests.helpers.private_journal import run_python, usable

pytestmark = [pytest.mark.system, pytest.mark.skipif(not usable(), reason="needs root and systemd-journald")]

CODE = """
import subprocess, threading, time
from wherry.events.publisher import Publisher
from wherry.events.reader import EventReader
from wherry.model.event import Event

def wait_for(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)

def past(**more):
    return list(EventReader("journald", root="/one").read(follow=False, **more))

publisher = Publisher("journald", root="/one")
events = [
    Event(type="container", status="died", id="a" * 64, name="web", image="i", exit_code=137, pod_id="p",
          time_ns=10**18, attributes={"k": "two\\nlines", "u": "\\u00e9"}),
    Event(type="network", status="connect", id="b" * 64, network="n", time_ns=10**18 + 1),
    Event(type="image", status="pull-error", name="x", error="no", time_ns=10**18 + 2),
    Event(type="container", status="create", id="c" * 64, inspect_data="x" * 1_000_000, time_ns=10**18 + 3),
]
publisher.publish(events)
Publisher("journald", root="/two").publish([Event(type="volume", status="create", name="other", time_ns=10**18)])
wait_for(lambda: len(past()) == 4)
assert past() == events
assert past(filters=["container=web"]) == events[:1]
assert [event.name for event in EventReader("journald").read(follow=False)][-1] == "other"      # any engine's
assert subprocess.run(["journalctl", "-q", "PODMAN_EVENT=died", "-o", "cat"], capture_output=True, text=True).stdout

got = []
stream = EventReader("journald", root="/one").read()
thread = threading.Thread(target=lambda: got.extend(event.name for event in stream))
thread.start()
time.sleep(0.5)                                     # journalctl has found the end of the journal
publisher.publish([Event(type="volume", status="create", name="new")])
wait_for(lambda: got == ["new"])
stream.close()
thread.join(5)
assert not thread.is_alive()
print("ok")
"""


def test_events_come_back() -> None:
    assert run_python(CODE) == "ok\n"
