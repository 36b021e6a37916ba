"""What an hour and a day held: sums that add up, and nothing unseen that counts as sleep or quiet."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire import composer, hour, stamp

from edgemon.events.bouts import Bouts
from edgemon.events.summary import Summaries
from edgemon.messages import encode
from edgemon.records import BehaviourSummary, Cry, PatientState, Reading, Reason, Sleep
from edgemon.states import StateEstimator

BED, STEP_S = "cot-1", 5.0
EMPTY = StateEstimator(BED).state(0.0)


def reading(value: Sleep | Cry | None, at_s: float) -> Reading[Sleep | Cry]:
    return Reading(value, Reason.DARK if value is None else None, 0.9 if value else 0.0, at_s, at_s)


def state(at_s: float, sleep: Sleep | None, cry: Cry | None) -> PatientState:
    return replace(EMPTY, at_s=at_s, sleep=reading(sleep, at_s), cry=reading(cry, at_s))  # type: ignore[arg-type]


def watch(*spans: tuple[Sleep | None, Cry | None, float], finish: bool = True) -> list[BehaviourSummary]:
    """Step through spans of so many seconds each."""
    bouts, summaries, told, at_s = Bouts(BED, "x"), Summaries(BED), [], 0.0
    for sleep, cry, seconds in spans:
        until_s = at_s + seconds
        while at_s < until_s:
            now = state(at_s, sleep, cry)
            told += summaries.step(now, bouts.step(now))
            at_s += STEP_S
    if finish:
        told += summaries.finish(at_s)
    return told


ASLEEP, AWAKE, CRYING, UNSEEN = (
    (Sleep.ASLEEP, Cry.QUIET),
    (Sleep.AWAKE, Cry.QUIET),
    (Sleep.AWAKE, Cry.CRYING),
    (None, None),
)


def test_an_hour_is_told_when_it_is_over_and_a_day_with_it() -> None:
    told = watch((*ASLEEP, 3000), (*CRYING, 300), (*AWAKE, 400), finish=False)
    assert [s.period for s in told] == ["hour", "day"]
    (first, day) = told
    assert (first.start_s, first.end_s) == (0.0, 3600.0)
    assert (first.asleep_s, first.awake_s, first.crying_s) == (3000.0, 600.0, 300.0)
    assert (first.awakenings, first.sleep_bouts, first.cry_bouts) == (1, 1, 1)
    assert (first.longest_sleep_s, first.longest_cry_s) == (pytest.approx(3000.0, abs=5), pytest.approx(300.0, abs=5))
    assert (first.sleep_coverage, first.cry_coverage) == (1.0, 1.0)
    assert replace(day, period="hour") == first


def test_unseen_time_is_neither_sleep_nor_quiet() -> None:
    told = watch((*ASLEEP, 1800), (*UNSEEN, 1800))[0]
    assert (told.asleep_s, told.awake_s, told.quiet_s) == (1800.0, 0.0, 1800.0)
    assert (told.sleep_coverage, told.cry_coverage) == (0.5, 0.5)
    assert told.longest_sleep_s == pytest.approx(1800.0, abs=5)


def test_a_bout_over_the_hour_counts_whole_in_the_day() -> None:
    told = watch((*AWAKE, 1800), (*ASLEEP, 5400))
    hours = [s for s in told if s.period == "hour"]
    day = [s for s in told if s.period == "day"][-1]
    assert [h.longest_sleep_s for h in hours[:2]] == [pytest.approx(1800, abs=5), pytest.approx(3600, abs=5)]
    assert (day.longest_sleep_s, day.sleep_bouts) == (pytest.approx(5400, abs=5), 1)


def test_a_gap_in_the_states_is_not_filled() -> None:
    summaries = Summaries(BED)
    summaries.step(state(0.0, *ASLEEP), ())
    summaries.step(state(600.0, *ASLEEP), ())
    assert summaries.finish(600.0)[0].asleep_s == 0.0


def test_waking_while_unseen_is_an_awakening() -> None:
    assert watch((*ASLEEP, 600), (*UNSEEN, 600), (*AWAKE, 600))[0].awakenings == 1


def test_a_day_forgets_what_is_older() -> None:
    told = watch((*ASLEEP, 3600), *[(*AWAKE, 3600)] * 25)
    day = [s for s in told if s.period == "day"][-1]
    assert (day.asleep_s, day.sleep_bouts, day.longest_sleep_s) == (0.0, 0, 0.0)
    assert day.end_s - day.start_s <= 24 * 3600 + 60


def test_nothing_seen_is_nothing_told() -> None:
    assert Summaries(BED).finish(10.0) == ()
    with pytest.raises(ValueError, match="cannot take"):
        Summaries("cot-2").step(EMPTY, ())


def test_the_wire_says_minutes_and_coverage() -> None:
    told = json.loads(encode(composer().summary(hour(), stamp())))
    assert (told["asleep_min"], told["crying_min"], told["crying_min_per_h"]) == (33.33, 1.5, 2.0)
    assert (told["sleep_coverage"], told["end"]) == (0.75, told["ts"])
    unseen = replace(hour(), asleep_s=0, awake_s=0, crying_s=0, quiet_s=0)
    assert json.loads(encode(composer().summary(unseen, stamp())))["crying_min_per_h"] is None


def test_more_known_than_there_was_is_refused() -> None:
    with pytest.raises(ValueError, match="known of"):
        replace(hour(), asleep_s=4000.0)


courses = st.lists(
    st.tuples(
        st.sampled_from([None, *Sleep]), st.sampled_from([None, *Cry]), st.sampled_from([5.0, 40.0, 300.0, 1500.0])
    ),
    min_size=1,
    max_size=10,
)


@given(courses)
@settings(max_examples=40, deadline=None)
def test_sums_add_up_and_no_bout_is_longer_than_its_period(
    course: list[tuple[Sleep | None, Cry | None, float]],
) -> None:
    told = watch(*course)
    hours, day = [s for s in told if s.period == "hour"], told[-1]
    assert day.period == "day"
    for name in ("asleep_s", "awake_s", "crying_s", "quiet_s", "awakenings"):
        assert sum(getattr(h, name) for h in hours) == pytest.approx(getattr(day, name))
    spent = {v: sum(seconds for sleep, cry, seconds in course if v in (sleep, cry)) for v in (*Sleep, *Cry)}
    assert day.asleep_s == pytest.approx(spent[Sleep.ASLEEP], abs=STEP_S)
    assert day.crying_s == pytest.approx(spent[Cry.CRYING], abs=STEP_S)
    for one in told:
        assert max(one.longest_sleep_s, one.longest_cry_s) <= one.end_s - one.start_s + 1e-6
        assert 0.0 <= one.sleep_coverage <= 1.0
