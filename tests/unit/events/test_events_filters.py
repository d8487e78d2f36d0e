"""Filters of events."""

from __future__ import annotations

import pytest

from wherry.errors import InvalidArgument
from wherry.events.filters import EventFilter
from wherry.model.event import Event

CONTAINER = Event(type="container", status="died", id="abc1", name="web", attributes={"k": "v", "e": ""}, time_ns=100)
IMAGE = Event(type="image", status="pull", id="f00d", name="localhost/web:1", time_ns=100)
POD = Event(type="pod", status="create", id="b0", name="group", time_ns=100)
VOLUME = Event(type="volume", status="create", name="data", time_ns=100)
ALL = [CONTAINER, IMAGE, POD, VOLUME]


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        ([], ALL),
        (["container=web"], [CONTAINER]),
        (["container=ab"], [CONTAINER]),
        (["container=we"], []),
        (["container="], [CONTAINER]),          # every id begins with nothing
        (["image=f0"], [IMAGE]),
        (["image=localhost/web:1"], [IMAGE]),
        (["pod=group"], [POD]),
        (["pod=b"], [POD]),
        (["volume=da"], [VOLUME]),
        (["event=died"], [CONTAINER]),
        (["event=die"], [CONTAINER]),
        (["status=create"], [POD, VOLUME]),
        (["status=create", "event=create", "type=pod"], [POD]),
        (["type=pod", "type=volume"], [POD, VOLUME]),
        (["TYPE=pod", "type=volume"], [POD, VOLUME]),
        (["type=pod", "container=web"], []),
        (["label=k"], [CONTAINER]),
        (["label=k=v"], [CONTAINER]),
        (["label=k=w"], []),
        (["label=e="], [CONTAINER]),
        (["label=k=w", "label=k"], [CONTAINER]),
    ],
)
def test_filters(filters: list[str], wanted: list[Event]) -> None:
    chosen = EventFilter(filters)
    assert [event for event in ALL if chosen(event)] == wanted


@pytest.mark.parametrize("text", ["colour=red", "container", ""])
def test_bad_filters(text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        EventFilter([text])
    assert str(caught.value) == f"{text.partition('=')[0]} is an invalid filter"


def test_bounds_exclude_the_moment_itself() -> None:
    assert [EventFilter(since=moment)(POD) for moment in (99, 100, 101)] == [True, False, False]
    assert [EventFilter(until=moment)(POD) for moment in (99, 100, 101)] == [False, False, True]
