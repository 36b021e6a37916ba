"""Bouts: each has one start and one end, short gaps do not split it, and unknown never lengthens it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgemon.events.bouts import RULES, UPDATE_S, BoutRule, Bouts
from edgemon.records import BehaviourEvent, Cry, PatientState, Phase, Reading, Reason, Sleep
from edgemon.states import StateEstimator

BED = "cot-1"
DT_S = 0.25
YES = {rule.type: rule.value for rule in RULES}
NO = {"sleep": Sleep.AWAKE, "cry": Cry.QUIET, "presence": False, "pain_cue": False}
FIELD = {"sleep": "sleep", "cry": "cry", "presence": "face", "pain_cue": "pain_cue"}
T = TypeVar("T")


def reading(value: T | None, since_s: float, at_s: float, quality: float = 0.8) -> Reading[T]:
    return Reading(value, None if value is not None else Reason.OCCLUDED, quality, since_s, at_s)


def state(at_s: float, **readings: Reading[object]) -> PatientState:
    """All unknown, but for what is given."""
    return replace(StateEstimator(BED).state(at_s), **readings)  # type: ignore[arg-type]


def play(kind: str, *spans: tuple[bool | None, float]) -> tuple[Bouts, list[BehaviourEvent]]:
    """Step at 4 Hz through spans of (in the bout, known not to be, unknown), each up to its time."""
    bouts, events, at_s = Bouts(BED, "pi-1/boot/1"), [], 0.0
    for within, until_s in spans:
        value, since_s = {True: YES[kind], False: NO[kind], None: None}[within], at_s
        while at_s < until_s:
            events += bouts.step(state(at_s, **{FIELD[kind]: reading(value, since_s, at_s)}))
            at_s += DT_S
    return bouts, events


def told(events: list[BehaviourEvent]) -> list[tuple[Phase, float, float, float | None]]:
    return [(e.phase, e.at_s, e.start_s, e.end_s) for e in events]


@pytest.fixture(params=RULES, ids=lambda rule: rule.type)
def rule(request: pytest.FixtureRequest) -> BoutRule:
    return request.param  # type: ignore[no-any-return]


def test_a_bout_starts_at_once_and_ends_where_it_stopped(rule: BoutRule) -> None:
    """The end is told after the merge time, and lies where the bout was last seen."""
    _, events = play(rule.type, (False, 2.0), (True, 20.0), (False, 120.0))
    start, end = (e for e in events if e.phase is not Phase.UPDATE)
    assert (start.at_s, start.start_s, start.end_s) == (2.0, 2.0, None)
    assert (end.start_s, end.end_s, end.at_s) == (2.0, 19.75, 19.75 + rule.merge_s + DT_S)
    assert start.event_id == end.event_id == f"pi-1/boot/1/{BED}/{rule.type}/1"


def test_a_short_gap_does_not_split_a_bout(rule: BoutRule) -> None:
    _, events = play(rule.type, (True, 20.0), (False, 20.0 + rule.merge_s - 1.0), (True, 55.0))
    assert told(events) == [(Phase.START, 0.0, 0.0, None)]


def test_an_unknown_gap_is_held_longer_and_then_ends_the_bout_where_it_was_seen(rule: BoutRule) -> None:
    _, events = play(
        rule.type, (True, 20.0), (None, 20.0 + rule.hold_s - 1.0), (True, 21.0 + rule.hold_s), (None, 200.0)
    )
    end = events[-1]
    assert [e.phase for e in events if e.phase is not Phase.UPDATE] == [Phase.START, Phase.END]
    assert end.end_s == 20.75 + rule.hold_s
    assert end.at_s == 21.0 + 2 * rule.hold_s


def test_what_is_known_to_have_stopped_is_not_held_by_the_unknown_after_it(rule: BoutRule) -> None:
    _, events = play(rule.type, (True, 20.0), (False, 21.0), (None, 200.0))
    assert events[-1].phase is Phase.END
    assert (events[-1].end_s, events[-1].at_s) == (19.75, 20.0 + rule.merge_s)


def test_unknown_alone_is_no_bout(rule: BoutRule) -> None:
    assert play(rule.type, (None, 100.0))[1] == []


def test_a_bout_that_goes_on_is_told_once_a_minute(rule: BoutRule) -> None:
    _, events = play(rule.type, (True, 190.0))
    assert [(e.phase, e.at_s) for e in events[1:]] == [(Phase.UPDATE, UPDATE_S * n) for n in (1, 2, 3)]


def test_a_start_lies_where_the_value_began_and_never_before_the_end_of_the_last() -> None:
    """Sleep is known an epoch late: its start is the epoch's, but two bouts never overlap."""
    bouts = Bouts(BED, "x")
    (first,) = bouts.step(state(30.0, sleep=reading(Sleep.ASLEEP, 0.0, 30.0)))
    assert (first.start_s, first.at_s) == (0.0, 30.0)
    bouts.step(state(40.0, sleep=reading(Sleep.AWAKE, 35.0, 40.0)))
    (end,) = bouts.step(state(70.0, sleep=reading(Sleep.AWAKE, 35.0, 70.0)))
    (second,) = bouts.step(state(71.0, sleep=reading(Sleep.ASLEEP, 20.0, 71.0)))
    assert (end.end_s, second.start_s) == (30.0, 30.0)
    assert first.event_id != second.event_id


def test_the_peak_is_the_best_quality_seen() -> None:
    bouts = Bouts(BED, "x")
    for at_s, quality in ((0.0, 0.5), (1.0, 0.9), (2.0, 0.4)):
        bouts.step(state(at_s, cry=reading(Cry.CRYING, 0.0, at_s, quality)))
    (end,) = bouts.finish(3.0)
    assert (end.phase, end.peak, end.end_s) == (Phase.END, 0.9, 2.0)


def test_finish_ends_every_open_bout_once() -> None:
    bouts = Bouts(BED, "x")
    bouts.step(state(1.0, cry=reading(Cry.CRYING, 1.0, 1.0), face=reading(True, 1.0, 1.0)))
    assert {e.type for e in bouts.finish(2.0)} == {"cry", "presence"}
    assert bouts.finish(3.0) == ()


@pytest.mark.parametrize(("bed", "at_s"), [("cot-2", 9.0), (BED, 4.0)])
def test_another_bed_or_an_older_state_is_refused(bed: str, at_s: float) -> None:
    bouts = Bouts(BED, "x")
    bouts.step(state(5.0))
    with pytest.raises(ValueError, match="cannot take"):
        bouts.step(replace(state(at_s), bed=bed))


spans = st.lists(
    st.tuples(st.sampled_from([True, False, None]), st.sampled_from([0.25, 4.0, 9.0, 31.0, 70.0])), max_size=14
)


@given(st.sampled_from([rule.type for rule in RULES]), spans)
@settings(max_examples=40, deadline=None)
def test_every_start_has_one_end_and_bouts_never_overlap(kind: str, lengths: list[tuple[bool | None, float]]) -> None:
    until_s, course = 0.0, []
    for within, length_s in lengths:
        until_s += length_s
        course.append((within, until_s))
    bouts, events = play(kind, *course)
    events += bouts.finish(until_s)
    assert set(Counter(e.event_id for e in events if e.phase is Phase.START).values()) <= {1}
    assert [e.event_id for e in events if e.phase is Phase.START] == [
        e.event_id for e in events if e.phase is Phase.END
    ]
    last_end_s = -1.0
    for event in events:
        if event.phase is Phase.START:
            assert event.start_s >= last_end_s
        if event.end_s is not None:
            assert event.start_s <= event.end_s <= event.at_s
            last_end_s = event.end_s
