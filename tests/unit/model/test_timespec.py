"""Times and durations as people type them."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.errors import InvalidArgument
from wherry.model.timespec import parse_duration, parse_range, parse_until
from wherry.model.timestamps import SECOND, format_ns

NOW = 1795295987 * SECOND + 123
#: 2026-11-21T21:19:47Z
STAMP = 1795295987 * SECOND


@pytest.fixture
def kolkata(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


class TestRange:
    @pytest.mark.parametrize(
        ("text", "moment"),
        [
            ("2026-11-21T21:19:47Z", STAMP),
            ("2026-11-21T22:49:47+01:30", STAMP),
            ("2026-11-21T16:19:47-05:00", STAMP),
            ("2026-11-21T21:19:47.000000001Z", STAMP + 1),
            ("2026-11-21T21:19:47", STAMP),
            ("2026-11-21T21:19:47.25", STAMP + SECOND // 4),
            ("2026-11-21T21:19", STAMP - 47 * SECOND),
            ("2026-11-21", STAMP - (21 * 3600 + 19 * 60 + 47) * SECOND),
            ("2026-11-21+01:00", STAMP - (22 * 3600 + 19 * 60 + 47) * SECOND),
            ("2026-11-21Z", STAMP - (21 * 3600 + 19 * 60 + 47) * SECOND),
            ("1795295987", STAMP),
            ("1795295987.5", STAMP + SECOND // 2),
            ("1795295987.0000000019", STAMP + 1),
            ("0", 0),
            ("1h", NOW - 3600 * SECOND),
            ("-5m", NOW + 300 * SECOND),
        ],
    )
    def test_since(self, text: str, moment: int) -> None:
        assert parse_range(text, now=NOW) == (moment, 0)

    def test_a_time_without_a_zone_is_utc(self, kolkata: None) -> None:
        assert parse_range("2026-11-21T21:19:47", now=NOW) == (STAMP, 0)

    def test_a_duration_counts_forward_for_until(self) -> None:
        assert parse_range("1m", "1m30s", now=NOW) == (NOW - 60 * SECOND, NOW + 90 * SECOND)

    def test_nothing_given(self) -> None:
        assert parse_range() == (0, 0)

    def test_the_wall_clock_is_now(self) -> None:
        before = time.time_ns()
        start, _ = parse_range("1h")
        assert before <= start + 3600 * SECOND <= time.time_ns()

    @pytest.mark.parametrize(
        "text",
        ["yesterday", "2026-13-01", "2026-11-21 21:19:47", "2026-11-21T1:19:47", "1.2.3", "10 m", "-", "2026-11-21T"],
    )
    def test_everything_else_is_refused(self, text: str) -> None:
        with pytest.raises(InvalidArgument, match=r"since time of .*: unable to interpret time value"):
            parse_range(text)
        with pytest.raises(InvalidArgument, match="unable to convert until time of "):
            parse_range("", text)


class TestUntilFilter:
    def test_a_duration_counts_back(self) -> None:
        assert parse_until("24h", now=NOW) == NOW - 86400 * SECOND

    def test_a_time_without_a_zone_is_local(self, kolkata: None) -> None:
        assert parse_until("2026-11-22T02:49:47", now=NOW) == STAMP
        assert parse_until("2026-11-21T21:19:47Z", now=NOW) == STAMP

    def test_refusal(self) -> None:
        with pytest.raises(InvalidArgument, match="failed to parse 'soon' as a time or a duration"):
            parse_until("soon")


class TestDuration:
    @pytest.mark.parametrize(
        ("text", "length"),
        [
            ("0", 0), ("1ns", 1), ("2us", 2000), ("2µs", 2000), ("2μs", 2000), ("3ms", 3_000_000), ("1s", SECOND),
            ("1m", 60 * SECOND), ("1h", 3600 * SECOND), ("1h2m3.5s", 3723 * SECOND + SECOND // 2), (".5s", SECOND // 2),
            ("1.s", SECOND), ("-1.5h", -5400 * SECOND), ("+1s", SECOND), ("0.000000001s", 1),
        ],
    )
    def test_what_go_accepts(self, text: str, length: int) -> None:
        assert parse_duration(text) == length

    @pytest.mark.parametrize(
        ("text", "complaint"),
        [
            ("", 'time: invalid duration ""'),
            ("-", 'time: invalid duration "-"'),
            ("1", 'time: missing unit in duration "1"'),
            ("1d", 'time: unknown unit "d" in duration "1d"'),
            (".s", 'time: invalid duration ".s"'),
            ("1.2.3s", 'time: invalid duration "1.2.3s"'),
            ("s", 'time: invalid duration "s"'),
            ("1s2", 'time: missing unit in duration "1s2"'),
        ],
    )
    def test_what_go_refuses(self, text: str, complaint: str) -> None:
        with pytest.raises(InvalidArgument) as caught:
            parse_duration(text)
        assert str(caught.value) == complaint

    @given(st.text(alphabet="0123456789.+-hmsuµn TZ:", max_size=12))
    def test_any_text_is_read_or_refused(self, text: str) -> None:
        for parse in (parse_duration, parse_until, parse_range):
            try:
                parse(text)
            except InvalidArgument:
                pass

    @given(st.integers(0, 4_000_000_000 * SECOND))
    def test_what_is_printed_is_read_back(self, moment: int) -> None:
        assert parse_range(format_ns(moment), now=NOW) == (moment, 0)
