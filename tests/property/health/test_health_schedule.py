"""When probes are due and what results mean, against plain models."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wherry.health.schedule import BEGIN, Entry, Situation, due, interval, is_startup, judge, next_due
from wherry.model.health import HealthConfig

SECOND = 10**9
RESULTS = st.lists(st.tuples(st.booleans(), st.integers(0, 20)), max_size=40)


@given(RESULTS, st.integers(0, 4), st.integers(0, 60), st.sampled_from(["none", "kill", "restart", "stop"]))
def test_the_regular_check(results: list[tuple[bool, int]], retries: int, period: int, action: str) -> None:
    check = HealthConfig(test=["CMD", "x"], retries=retries, start_period=period * SECOND)
    situation, age = BEGIN, 0
    status, row = "starting", 0
    for ok, seconds in results:
        age += seconds
        verdict = judge(check, None, action, situation, ok=ok, age=age * SECOND)
        before = status
        if ok:
            status, row = "healthy", 0
        elif age >= period:
            row += 1
            if row >= max(retries, 1):
                status = "unhealthy"
        situation = verdict.situation
        assert (situation.status, situation.streak) == (status, row)
        assert verdict.changed == (status != before)
        turned = status == "unhealthy" != before
        assert verdict.action == (action if turned and action != "none" else "")
        assert verdict.starting == (not ok and age < period and status == "starting")


@given(st.lists(st.booleans(), max_size=30), st.integers(0, 4), st.integers(0, 4))
def test_the_startup_check(results: list[bool], successes: int, retries: int) -> None:
    regular = HealthConfig(test=["CMD", "x"], retries=1)
    startup = HealthConfig(test=["CMD", "y"], successes=successes, retries=retries)
    situation = BEGIN
    good = bad = 0
    for ok in results:
        assert is_startup(startup, situation)
        verdict = judge(regular, startup, "kill", situation, ok=ok, age=0)
        good, bad = good + ok, bad + (not ok)
        situation = verdict.situation
        if good >= max(successes, 1):
            assert (situation.status, situation.passed, verdict.moved_on) == ("healthy", True, True)
            assert not is_startup(startup, situation)
            return
        assert (situation.status, situation.streak, verdict.starting) == ("starting", 0, True)
        assert verdict.action == ("restart" if not ok and 0 < retries <= bad else "")


@given(st.booleans(), st.integers(0, 3), st.integers(-1, 3), st.integers(0, 3), st.integers(0, 9), st.integers(0, 9))
def test_the_pace(passed: bool, begin: int, regular: int, hurry: int, period: int, age: int) -> None:
    check = HealthConfig(
        test=["CMD", "x"], interval=regular * SECOND, start_interval=hurry * SECOND, start_period=period * SECOND
    )
    startup = HealthConfig(test=["CMD", "y"], interval=begin * SECOND)
    situation = Situation(status="starting", passed=passed)
    found = interval(check, startup, situation, age=age * SECOND)
    if not passed:
        assert found == begin * SECOND
    elif regular <= 0:
        assert found == 0
    else:
        assert found == (hurry if hurry and age < period else regular) * SECOND
    settled = situation.replace(status="healthy", passed=True)
    assert interval(check, startup, settled, age=age * SECOND) == max(regular, 0) * SECOND


def test_no_check_has_no_pace() -> None:
    assert interval(HealthConfig(test=["NONE"], interval=SECOND), None, BEGIN, age=0) == 0


@given(
    st.lists(st.tuples(st.integers(1, 50), st.integers(0, 30), st.booleans()), min_size=1, max_size=6),
    st.integers(1, 4),
)
def test_probes_come_an_interval_after_the_last_and_never_twice(
    jobs: list[tuple[int, int, bool]], limit: int
) -> None:
    """A loop as the supervisor's, in simulated time: job n takes its duration for each probe."""
    entries = {str(n): Entry(pace, 0, at_once=at_once) for n, (pace, _duration, at_once) in enumerate(jobs)}
    ends: dict[str, int] = {}
    last: dict[str, int] = {}
    now = 0
    for _step in range(200):
        for name in [name for name, end in ends.items() if end <= now]:
            del ends[name]
            entries[name].ended(now)
            last[name] = now
        names = due(entries, now, limit)
        assert len(names) <= limit
        for name in names:
            pace, duration, at_once = jobs[int(name)]
            assert name not in ends
            first = 0 if at_once else pace
            assert now >= last[name] + pace if name in last else now >= first
            entries[name].began()
            ends[name] = now + duration
        waiting = next_due(entries)
        times = [*ends.values(), *([waiting] if waiting is not None else [])]
        assert times, "something always comes next"
        now = max(now, min(times)) if len(names) < limit else now
    assert len(last) == len(jobs), "none is left out"


def test_a_change_counts_from_now_and_outlives_the_probe_under_way() -> None:
    entry = Entry(100, 0, at_once=True)
    entry.began()
    entry.change(10, 50, at_once=True)
    entry.ended(60)
    assert (entry.due, entry.running) == (50, False)
    entry.began()
    entry.ended(70)
    assert entry.due == 80
    entry.change(20, 75, at_once=False)
    assert entry.due == 95
