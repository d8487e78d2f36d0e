"""Events as JSON and as lines for people, compared with what Podman writes."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.events.codec import from_line, to_json, to_line
from wherry.events.human import go_time, line
from wherry.model.event import Event
from wherry.model.timestamps import SECOND

ID = "c6e7cb875faf6a161bc4499bec82598b181a9e80f9ec7d44a2194dffc4e24ac1"
STAMP = 1795304562 * SECOND     # 2026-11-21T23:42:42Z

#: Lines that Podman 4.3.1 wrote with events_logger="file".
PODMAN_LINES = [
    '{"Status":"refresh","Time":"2026-11-21T23:42:42.534261822Z","Type":"system","Attributes":null}',
    f'{{"ID":"{ID}","Name":"localhost/bb:1","Status":"tag","Time":"2026-11-21T23:42:42.619679287Z","Type":"image",'
    '"Attributes":null}',
    '{"Name":"v1","Status":"create","Time":"2026-11-21T23:42:42.647349767Z","Type":"volume","Attributes":null}',
    f'{{"ContainerExitCode":3,"ID":"{ID}","Image":"localhost/bb:1","Name":"c1","Status":"died",'
    '"Time":"2026-11-21T23:42:42.819774438Z","Type":"container","Attributes":{"a":"b","z":"y"}}',
    f'{{"ID":"{ID}","Name":"p1","Status":"remove","Time":"2026-11-21T23:42:42.999933929Z","Type":"pod",'
    '"Attributes":null}',
]
EVENTS = [
    Event(type="system", status="refresh", time_ns=STAMP + 534261822),
    Event(type="image", status="tag", id=ID, name="localhost/bb:1", time_ns=STAMP + 619679287),
    Event(type="volume", status="create", name="v1", time_ns=STAMP + 647349767),
    Event(
        type="container", status="died", id=ID, name="c1", image="localhost/bb:1", exit_code=3,
        attributes={"z": "y", "a": "b"}, time_ns=STAMP + 819774438,
    ),
    Event(type="pod", status="remove", id=ID, name="p1", time_ns=STAMP + 999933929),
]


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


class TestLogFile:
    @pytest.mark.parametrize(("event", "text"), list(zip(EVENTS, PODMAN_LINES, strict=True)))
    def test_podmans_lines_are_written_and_read(self, event: Event, text: str) -> None:
        assert to_line(event) == text
        assert from_line(text) == event
        assert from_line(text.encode()) == event

    def test_all_keys_in_podmans_order(self) -> None:
        event = Event(
            id="i", name="n", image="m", type="container", status="health_status", time_ns=SECOND, pod_id="p",
            network="net", exit_code=0, health_status="healthy", error="e", inspect_data="{}", attributes={"a": "b"},
        )
        assert to_line(event) == (
            '{"ContainerExitCode":0,"ID":"i","Image":"m","Name":"n","network":"net","Status":"health_status",'
            '"Time":"1970-01-01T00:00:01Z","Type":"container","health_status":"healthy","error":"e",'
            '"ContainerInspectData":"{}","PodID":"p","Attributes":{"a":"b"}}'
        )
        assert from_line(to_line(event)) == event

    def test_other_zones_are_read(self) -> None:
        text = '{"Status":"refresh","Time":"2026-11-22T05:12:42.5+05:30","Type":"system","Attributes":null}'
        assert from_line(text).time_ns == STAMP + SECOND // 2

    @pytest.mark.parametrize("text", ["", "[]", "5", "null", '{"Status"', "\0\0\0"])
    def test_other_text_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError):
            from_line(text)

    @given(
        st.builds(
            Event,
            id=st.text(max_size=4), name=st.text(max_size=4), image=st.text(max_size=4), type=st.text(max_size=4),
            status=st.text(max_size=4), time_ns=st.integers(0, 10**19), pod_id=st.text(max_size=4),
            exit_code=st.one_of(st.none(), st.integers(-1, 255)), error=st.text(max_size=4),
            attributes=st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=3),
        )
    )
    def test_what_is_written_is_read_back(self, event: Event) -> None:
        text = to_line(event)
        assert "\n" not in text
        assert from_line(text) == event


class TestJSON:
    def test_the_keys_of_podman_5(self) -> None:
        assert list(to_json(EVENTS[3]).items()) == [
            ("ContainerExitCode", 3), ("ID", ID), ("Image", "localhost/bb:1"), ("Name", "c1"), ("Status", "died"),
            ("time", 1795304562), ("timeNano", STAMP + 819774438), ("Type", "container"),
            ("Attributes", {"a": "b", "z": "y"}),
        ]
        assert to_json(EVENTS[0]) == {
            "Status": "refresh", "time": 1795304562, "timeNano": STAMP + 534261822, "Type": "system", "Attributes": None
        }
        assert to_json(Event(type="image", status="pull-error", error="no"))["Error"] == "no"


class TestForPeople:
    @pytest.mark.parametrize(
        ("event", "text"),
        [
            (EVENTS[0], "2026-11-21 23:42:42.534261822 +0000 UTC system refresh"),
            (EVENTS[1], f"2026-11-21 23:42:42.619679287 +0000 UTC image tag {ID} localhost/bb:1"),
            (EVENTS[2], "2026-11-21 23:42:42.647349767 +0000 UTC volume create v1"),
            (
                EVENTS[3],
                f"2026-11-21 23:42:42.819774438 +0000 UTC container died {ID} "
                "(image=localhost/bb:1, name=c1, a=b, z=y)",
            ),
            (EVENTS[4], f"2026-11-21 23:42:42.999933929 +0000 UTC pod remove {ID} (image=, name=p1)"),
        ],
    )
    def test_podmans_lines(self, event: Event, text: str) -> None:
        assert line(event) == text

    @pytest.mark.parametrize(
        ("event", "rest"),
        [
            (
                Event(
                    type="container", status="health_status", id=ID, name="c", pod_id="pp", health_status="unhealthy",
                    health_failing_streak=3, health_log="{}",
                ),
                f"container health_status {ID} (image=, name=c, pod_id=pp, health_status=unhealthy, "
                "health_failing_streak=3, health_log={})",
            ),
            (Event(type="image", status="pull-error", name="x", error="no"), "image pull-error  x no"),
            (
                Event(type="network", status="create", id=ID, network="n", attributes={"driver": "bridge"}),
                f"network create {ID} (name=n, type=bridge)",
            ),
            (
                Event(type="network", status="connect", id=ID, network="n"),
                f"network connect {ID} (container={ID}, name=n)",
            ),
            (Event(type="secret", status="create", id=ID), f"secret create {ID}"),
            (Event(type="system", status="log-rotation", name="/e"), "system log-rotation /e"),
        ],
    )
    def test_the_other_forms(self, event: Event, rest: str) -> None:
        assert line(event) == "1970-01-01 00:00:00 +0000 UTC " + rest

    def test_ids_can_be_cut(self) -> None:
        assert f" {ID[:12]} (" in line(EVENTS[3], truncate=True)

    def test_times_are_local(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for zone, text in (
            ("Asia/Kolkata", "2026-11-22 05:12:42.5 +0530 IST"),
            ("America/St_Johns", "2026-11-21 20:12:42.5 -0330 NST"),
        ):
            monkeypatch.setenv("TZ", zone)
            time.tzset()
            assert go_time(STAMP + SECOND // 2) == text
