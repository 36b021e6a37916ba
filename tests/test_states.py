"""The estimator: latency, blinks, hold, epochs, and the laws that no sequence of observations may break."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgemon.records import Cry, Expression, Eyes, HeartRate, Observation, PatientState, Reason, Sleep
from edgemon.states import EXPRESSION, HEART_RATE, StateEstimator, StateSettings
from edgemon.states.settings import Chain
from edgemon.states.switch import Switch

BED = "cot-1"
DT_S = 0.25
OPEN, CLOSED, CRYING = Expression(0.1, 0.05, 0.05), Expression(0.95, 0.05, 0.05), Expression(0.9, 0.95, 0.1)


def seen(at_s: float, value: Expression | HeartRate, quality: float = 0.9) -> Observation:
    name = EXPRESSION if isinstance(value, Expression) else HEART_RATE
    return Observation(BED, name, at_s, value, None, quality, "m@1")


def refused(at_s: float, reason: Reason, observer: str = EXPRESSION) -> Observation:
    return Observation(BED, observer, at_s, None, reason, 0.0, "m@1")


def feed(estimator: StateEstimator, value: Expression | Reason, from_s: float, to_s: float) -> Iterator[PatientState]:
    """Observe the same at 4 Hz from `from_s` up to, not including, `to_s`."""
    for i in range(round((to_s - from_s) / DT_S)):
        at_s = from_s + i * DT_S
        estimator.observe(refused(at_s, value) if isinstance(value, Reason) else seen(at_s, value))
        yield estimator.state(at_s)


def run(*spans: tuple[Expression | Reason, float]) -> tuple[StateEstimator, list[PatientState]]:
    estimator, states, at_s = StateEstimator(BED), [], 0.0
    for value, until_s in spans:
        states += feed(estimator, value, at_s, until_s)
        at_s = until_s
    return estimator, states


def test_nothing_is_known_before_the_first_observation() -> None:
    state = StateEstimator(BED).state(5.0)
    readings = (state.face, state.eyes, state.sleep, state.cry, state.heart_rate)
    assert {r.reason for r in readings} == {Reason.WARMING_UP}
    assert {state.pain_cue.reason, state.movement.reason} == {Reason.DISABLED}
    assert state.coverage == 0.0


@pytest.mark.parametrize("shut", [0.95, 0.8, 0.75])
def test_eyes_follow_a_change_within_three_seconds(shut: float) -> None:
    _, states = run((Expression(1 - shut, 0.1, 0.1), 20.0), (Expression(shut, 0.1, 0.1), 30.0))
    changed = next(s.at_s for s in states if s.eyes.value is Eyes.CLOSED)
    assert 20.0 < changed < 23.0


@pytest.mark.parametrize(("before", "after", "cry"), [(OPEN, CRYING, Cry.CRYING), (CRYING, OPEN, Cry.QUIET)])
def test_cry_follows_a_change_within_three_seconds(before: Expression, after: Expression, cry: Cry) -> None:
    _, states = run((before, 20.0), (after, 30.0))
    changed = next(s.at_s for s in states if s.at_s >= 20.0 and s.cry.value is cry)
    assert changed < 23.0


def test_a_blink_changes_nothing() -> None:
    _, states = run((OPEN, 10.0), (Expression(1.0, 0.0, 0.0), 10.5), (OPEN, 20.0))
    assert {s.eyes.value for s in states if s.at_s > 1.0} == {Eyes.OPEN}


def test_a_yawn_is_no_cry() -> None:
    _, states = run((OPEN, 5.0), (Expression(0.5, 0.9, 0.95), 15.0))
    assert Cry.CRYING not in {s.cry.value for s in states}


def test_a_gap_is_held_for_five_seconds_and_then_unknown_with_its_reason() -> None:
    _, states = run((OPEN, 10.0), (Reason.OCCLUDED, 20.0))
    by_time = {s.at_s: s.eyes for s in states}
    assert by_time[14.5].value is Eyes.OPEN
    assert by_time[15.0].reason is Reason.OCCLUDED
    assert by_time[15.0].since_s == pytest.approx(14.75)


def test_without_any_observation_the_reason_is_stale() -> None:
    estimator, _ = run((OPEN, 10.0))
    state = estimator.state(20.0)
    assert {state.eyes.reason, state.cry.reason} == {Reason.STALE}
    assert state.eyes.updated_s == 9.75


def test_low_quality_is_unknown() -> None:
    estimator = StateEstimator(BED)
    for i in range(40):
        estimator.observe(seen(i * DT_S, CLOSED, quality=0.1))
    assert estimator.state(10.0).eyes.reason is Reason.LOW_SNR


def test_after_a_long_gap_the_past_weighs_nothing() -> None:
    estimator, _ = run((CLOSED, 60.0))
    states = list(feed(estimator, OPEN, 120.0, 122.0))
    assert states[0].eyes.reason is Reason.WARMING_UP
    assert states[-1].eyes.value is Eyes.OPEN
    assert all(s.eyes.value is not Eyes.CLOSED for s in states)


def test_heart_rate_is_held_for_its_time_and_then_gives_the_reason() -> None:
    estimator = StateEstimator(BED)
    estimator.observe(seen(1.0, HeartRate(140.0, 10.0, "rPPG-POS")))
    estimator.observe(refused(2.0, Reason.MOTION, HEART_RATE))
    assert estimator.state(6.0).heart_rate.value == HeartRate(140.0, 10.0, "rPPG-POS")
    assert estimator.state(6.1).heart_rate.reason is Reason.MOTION
    assert estimator.state(8.0).heart_rate.reason is Reason.STALE


def test_the_face_bridges_a_missed_detection_and_tells_dark_from_gone() -> None:
    estimator = StateEstimator(BED)
    estimator.face(True, 0.9, None, 0.0)
    estimator.face(False, 0.0, Reason.NO_FACE, 0.8)
    assert estimator.state(0.8).face.value is True
    estimator.face(False, 0.0, Reason.NO_FACE, 1.2)
    assert estimator.state(1.2).face.value is False
    estimator.face(False, 0.0, Reason.DARK, 3.0)
    assert estimator.state(3.3).face.reason is Reason.DARK
    assert estimator.state(9.0).face.reason is Reason.STALE


def test_sleep_is_scored_over_whole_epochs() -> None:
    _, states = run((CLOSED, 70.0))
    by_time = {s.at_s: s.sleep for s in states}
    assert by_time[29.75].reason is Reason.WARMING_UP
    assert by_time[30.0].value is Sleep.ASLEEP
    assert by_time[65.0].since_s == 0.0
    assert by_time[65.0].quality == pytest.approx(1.0)


def test_who_was_awake_sleeps_after_two_epochs_and_from_the_first_of_them_on() -> None:
    _, nodding = run((OPEN, 60.0), (CLOSED, 90.0), (OPEN, 150.0))
    assert {s.sleep.value for s in nodding if s.at_s >= 30.0} == {Sleep.AWAKE}
    _, sleeping = run((OPEN, 59.0), (CLOSED, 160.0))  # the epoch of 60 s still began awake
    assert next(s.at_s for s in sleeping if s.sleep.value is Sleep.ASLEEP) == 150.0
    assert sleeping[-1].sleep.since_s == 90.0


def test_sleep_is_separate_from_eyes() -> None:
    _, states = run((CLOSED, 30.0), (OPEN, 35.0), (CLOSED, 90.0))
    assert Eyes.OPEN in {s.eyes.value for s in states}
    assert {s.sleep.value for s in states if s.at_s >= 30.0} == {Sleep.ASLEEP}


def test_crying_with_closed_eyes_is_not_sleep() -> None:
    _, states = run((CRYING, 61.0))
    assert {s.sleep.value for s in states if s.at_s >= 15.0} == {Sleep.AWAKE}


def test_awake_comes_early_and_is_not_taken_back() -> None:
    _, states = run((CLOSED, 64.0), (OPEN, 86.0), (CLOSED, 119.0))
    woke = next(s.at_s for s in states if s.sleep.value is Sleep.AWAKE)
    assert 84.0 < woke <= 88.0
    assert {s.sleep.value for s in states if woke <= s.at_s < 119.0} == {Sleep.AWAKE}


def test_a_sleeper_who_looks_out_for_a_moment_sleeps_on() -> None:
    _, states = run((CLOSED, 61.0), (OPEN, 79.0), (CLOSED, 150.0))
    assert {s.sleep.value for s in states if s.at_s >= 30.0} == {Sleep.ASLEEP}


def test_drowsy_lids_are_not_yet_sleep() -> None:
    drowsing = [(CLOSED if i % 2 else OPEN, 60.0 + 18.0 * (i // 2) + (18.0 if i % 2 else 7.0)) for i in range(20)]
    _, states = run((OPEN, 60.0), *drowsing)
    assert {s.sleep.value for s in states if s.at_s >= 60.0} == {Sleep.AWAKE}


@pytest.mark.parametrize(("hidden_s", "value"), [(10.0, Sleep.ASLEEP), (20.0, None)])
def test_an_epoch_known_for_less_than_half_is_unknown(hidden_s: float, value: Sleep | None) -> None:
    _, states = run((CLOSED, 30.0), (CLOSED, 60.0 - hidden_s), (Reason.NO_FACE, 60.0), (CLOSED, 62.0))
    assert states[-1].sleep.value is value


def test_sleep_is_unknown_after_an_epoch_without_observations() -> None:
    estimator, _ = run((CLOSED, 60.0))
    assert estimator.state(89.0).sleep.value is Sleep.ASLEEP
    late = estimator.state(121.0).sleep
    assert (late.reason, late.since_s) == (Reason.STALE, 60.0)


def test_coverage_is_the_known_share_of_a_minute() -> None:
    estimator, states = run((OPEN, 60.0), (Reason.NO_FACE, 90.0))
    assert states[4 * 60 - 1].coverage == pytest.approx(1.0, abs=0.03)
    assert estimator.state(90.0).coverage == pytest.approx(35 / 60, abs=0.03)


def test_what_the_mouth_tells_adds_nothing_to_the_eyes_coverage() -> None:
    hidden = Expression(None, 0.05, 0.05)
    _, states = run(*((OPEN if i % 2 == 0 else hidden, 10.0 * (i + 1)) for i in range(14)))
    late = states[-4 * 60 :]
    assert states[-1].coverage == pytest.approx(sum(s.eyes.known for s in late) / len(late), abs=0.03)


@pytest.mark.parametrize("at_s", [math.nan, math.inf, -math.inf, 4.0])
def test_time_that_goes_back_or_is_no_number_is_refused_and_changes_nothing(at_s: float) -> None:
    estimator, _ = run((OPEN, 10.0))
    before = estimator.state(12.0)
    for refuse in (
        lambda: estimator.observe(seen(at_s, CLOSED)),
        lambda: estimator.state(at_s),
        lambda: (estimator.face(True, 1.0, None, 5.0), estimator.face(True, 1.0, None, at_s)),
    ):
        with pytest.raises(ValueError, match="must"):
            refuse()
    assert estimator.state(12.0).eyes == before.eyes


def test_what_is_not_for_this_estimator_is_refused() -> None:
    estimator = StateEstimator(BED)
    wrong = (
        Observation("cot-2", EXPRESSION, 0.0, OPEN, None, 1.0, "m@1"),
        Observation(BED, HEART_RATE, 0.0, OPEN, None, 1.0, "m@1"),
        Observation(BED, "no_such", 0.0, None, Reason.DARK, 1.0, "m@1"),
    )
    for observation in wrong:
        with pytest.raises(ValueError, match=r"bed|observer"):
            estimator.observe(observation)
    assert estimator.state(0.0) == StateEstimator(BED).state(0.0)


@pytest.mark.parametrize("wrong", [{"epoch_s": 3.0}, {"pain_window_s": 0.0}])
def test_settings_that_contradict_themselves_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"hold|window"):
        StateSettings(**wrong)


@pytest.mark.parametrize("wrong", [{"enter": 0.001, "leave": 0.7}, {"trust": 0.0}, {"stay_on_s": 0.1}, {"bound": 0.6}])
def test_a_chain_that_contradicts_itself_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"leave|chain"):
        replace(StateSettings().cry, **wrong)


def test_a_capture_that_runs_ahead_of_the_vision_is_no_future() -> None:
    estimator = StateEstimator(BED)
    estimator.observe(seen(10.5, HeartRate(140.0, 10.0, "rPPG-POS")))
    assert estimator.state(10.0).at_s == 10.5
    with pytest.raises(ValueError, match="must be finite and not before"):
        estimator.state(9.0)


share = st.floats(0.0, 1.0)
looks = st.one_of(
    st.builds(Expression, share, share, share),
    st.builds(HeartRate, st.floats(72.0, 240.0), st.just(10.0), st.just("rPPG-POS")),
    st.tuples(st.sampled_from([EXPRESSION, HEART_RATE]), st.sampled_from(Reason)),
    st.tuples(st.booleans(), st.sampled_from([None, *Reason])),
)
walks = st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.25, 1.0, 4.9, 7.0, 31.0]), looks, share), max_size=60)


def walk(steps: list[tuple[float, object, float]]) -> Iterator[tuple[StateEstimator, float]]:
    estimator, at_s = StateEstimator(BED), 100.0
    for dt_s, look, quality in steps:
        at_s += dt_s
        match look:
            case Expression() | HeartRate():
                estimator.observe(seen(at_s, look, quality))
            case (str() as observer, reason):
                estimator.observe(refused(at_s, Reason(reason), observer))
            case (present, reason):
                estimator.face(bool(present), quality, reason, at_s)
        yield estimator, at_s


@given(walks)
def test_no_reading_comes_from_the_future_and_asking_changes_nothing(
    steps: list[tuple[float, object, float]],
) -> None:
    for estimator, at_s in walk(steps):
        for now_s in (at_s, at_s + 3.0, at_s + 100.0):
            state = estimator.state(now_s)
            readings = (state.face, state.eyes, state.sleep, state.cry, state.heart_rate)
            assert all(r.since_s <= now_s and r.updated_s <= now_s for r in readings)
        assert estimator.state(at_s) == estimator.state(at_s)


@given(walks)
def test_unknown_becomes_known_only_by_an_observation(steps: list[tuple[float, object, float]]) -> None:
    for estimator, at_s in walk(steps):
        now, later = estimator.state(at_s), estimator.state(at_s + 2.0)
        for name in ("face", "eyes", "cry", "heart_rate"):
            assert getattr(now, name).known or not getattr(later, name).known
        assert not any(getattr(estimator.state(at_s + 1000.0), n).known for n in ("face", "eyes", "cry", "sleep"))


@given(st.lists(share, min_size=1, max_size=150))
@settings(max_examples=60, deadline=None)
def test_a_value_stays_for_half_a_second_at_least(closed: list[float]) -> None:
    estimator, values = StateEstimator(BED), []
    for i, p in enumerate(closed):
        estimator.observe(seen(i * 0.1, Expression(p, 1.0 - p, 0.0)))
        values.append(estimator.state(i * 0.1).eyes.value)
    flips = [i * 0.1 for i in range(1, len(values)) if values[i] is not values[i - 1]]
    assert all(b - a >= 0.5 - 1e-9 for a, b in itertools.pairwise(flips))


def test_memory_is_bounded() -> None:
    estimator = StateEstimator(BED)
    for i in range(3000):
        estimator.observe(seen(i * 6.0, OPEN if i % 2 else CLOSED))
        for j in range(4):
            estimator.observe(seen(i * 6.0 + j * DT_S, OPEN))
    assert len(estimator._known._spans) <= 20


def test_eyes_go_on_being_told_behind_a_pacifier() -> None:
    _, states = run((OPEN, 5.0), (Expression(0.1, None, None), 30.0))
    assert states[-1].eyes.value is Eyes.OPEN
    assert (states[-1].cry.value, states[-1].cry.reason) == (None, Reason.OCCLUDED)


pairs = st.lists(
    st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.sampled_from([0.1, 0.25, 1.0, 4.0])), max_size=80
)


@given(pairs, st.sampled_from([StateSettings().eyes, StateSettings().cry]))
@settings(max_examples=60, deadline=None)
def test_stronger_evidence_is_never_believed_less(looks: list[tuple[float, float, float]], chain: Chain) -> None:
    weaker, stronger, at_s = Switch(chain, 5.0), Switch(chain, 5.0), 0.0
    for a, b, wait_s in looks:
        at_s += wait_s
        weaker.see(min(a, b), 1.0, at_s)
        stronger.see(max(a, b), 1.0, at_s)
        assert not (weaker.held.value is True and stronger.held.value is False)


@given(st.floats(0.0, 1.0), st.sampled_from([True, False]))
@settings(max_examples=40, deadline=None)
def test_one_wrong_look_changes_nothing(p: float, crying: bool) -> None:
    """However sure the network is of it."""
    switch = Switch(StateSettings().cry, 5.0)
    for i in range(200):
        switch.see(p if i == 150 else 0.97 if crying else 0.03, 1.0, i * DT_S)
        assert i < 20 or switch.held.value is crying
