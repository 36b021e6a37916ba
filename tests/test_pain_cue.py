"""The pain cue: shares of seconds with each facial action, off unless asked for, unknown where too little is seen."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire import composer, patient, stamp

from edgemon.config import Config, PainCue
from edgemon.errors import ModelError
from edgemon.events.bouts import Bouts
from edgemon.messages import encode
from edgemon.pipeline import build_sights, state_settings
from edgemon.records import Expression, Observation, PainActions, PatientState, Phase, Reading, Reason
from edgemon.states import StateEstimator, StateSettings

BED, HZ = "cot-1", 4
ON = StateSettings(pain_window_s=60.0)


def look(at_s: float, brow: float | None, squeeze: float | None, furrow: float | None) -> Observation:
    return Observation(BED, "expression", at_s, Expression(0.9, 0.1, 0.1, brow, squeeze, furrow), None, 0.9, "m@1")


def watch(*spans: tuple[tuple[float | None, float | None, float | None] | Reason, int]) -> PatientState:
    """Look at 4 Hz for so many seconds each."""
    estimator, at_s = StateEstimator(BED, ON), 0.0
    for shown, seconds in spans:
        for _ in range(seconds * HZ):
            if isinstance(shown, Reason):
                estimator.observe(Observation(BED, "expression", at_s, None, shown, 0.0, "m@1"))
            else:
                estimator.observe(look(at_s, *shown))
            at_s += 1 / HZ
    return estimator.state(at_s - 1 / HZ)


def test_it_is_off_unless_asked_for() -> None:
    estimator = StateEstimator(BED)
    for i in range(400):
        estimator.observe(look(i / HZ, 0.9, 0.9, 0.9))
    state = estimator.state(100.0)
    assert (state.pain_cue.reason, state.pain_actions) == (Reason.DISABLED, None)
    assert state_settings(Config()).pain_window_s is None
    assert state_settings(Config(pain_cue=PainCue(enabled=True))).pain_window_s == 60.0


def test_each_action_has_its_share_of_the_seconds() -> None:
    state = watch(((0.1, 0.1, 0.1), 15), ((0.9, 0.1, 0.9), 15), ((0.9, 0.9, 0.9), 30))
    assert state.pain_actions == PainActions(60.0, 1.0, 0.75, 0.5, 0.75)
    assert (state.pain_cue.value, state.pain_cue.quality) == (0.5, 1.0)


def test_a_second_has_an_action_when_its_mean_is_at_least_a_half() -> None:
    estimator = StateEstimator(BED, ON)
    for i in range(60 * HZ):
        brow = 0.9 if i % HZ < 2 else 0.1  # half a second each: a mean of exactly 0.5
        squeeze = 0.9 if i % HZ == 0 else 0.1
        estimator.observe(look(i / HZ, brow, squeeze, 0.5))
    actions = estimator.state(60.0 - 1 / HZ).pain_actions
    assert actions is not None
    assert (actions.brow_bulge, actions.eye_squeeze, actions.nasolabial_furrow) == (1.0, 0.0, 1.0)


def test_what_is_over_for_longer_than_the_window_counts_no_more() -> None:
    state = watch(((0.9, 0.9, 0.9), 60), ((0.1, 0.1, 0.1), 60))
    assert state.pain_cue.value == 0.0


@pytest.mark.parametrize("hidden", [(0.9, 0.9, None), Reason.DARK])
def test_what_is_hidden_counts_neither_way_and_too_much_of_it_is_unknown(
    hidden: tuple[float | None, float | None, float | None] | Reason,
) -> None:
    some = watch(((0.9, 0.9, 0.9), 40), (hidden, 20))
    assert (some.pain_cue.value, some.pain_cue.quality) == (1.0, pytest.approx(40 / 60))
    most = watch(((0.9, 0.9, 0.9), 40), (hidden, 35))
    assert most.pain_cue.reason is (hidden if isinstance(hidden, Reason) else Reason.OCCLUDED)
    assert most.pain_cue.since_s == 40.0
    assert most.pain_actions is not None
    assert most.pain_actions.nasolabial_furrow is None
    assert most.pain_actions.brow_bulge == (None if isinstance(hidden, Reason) else 1.0)


def test_it_warms_up_and_grows_stale() -> None:
    early = watch(((0.9, 0.9, 0.9), 20))
    assert early.pain_cue.reason is Reason.WARMING_UP
    estimator = StateEstimator(BED, ON)
    for i in range(60 * HZ):
        estimator.observe(look(i / HZ, 0.9, 0.9, 0.9))
    assert estimator.state(80.0).pain_cue.value == 1.0
    assert {estimator.state(at_s).pain_cue.reason for at_s in (100.0, 200.0)} == {Reason.STALE}


def test_the_wire_says_each_share_and_none_where_the_cue_is_off() -> None:
    off = json.loads(encode(composer().state(patient(), [], stamp())))["pain_cue"]
    assert (off["value"], off["reason"], off["window_s"], off["brow_bulge"]) == (None, "disabled", None, None)
    state = replace(
        patient(), pain_cue=Reading(1 / 3, None, 0.8, 60.0, 99.0), pain_actions=PainActions(60.0, 0.8, 0.5, 1 / 3, None)
    )
    told = json.loads(encode(composer().state(state, [], stamp())))["pain_cue"]
    assert (told["value"], told["eye_squeeze"], told["nasolabial_furrow"], told["coverage"]) == (
        0.333,
        0.333,
        None,
        0.8,
    )


def test_a_network_that_was_not_taught_the_actions_is_refused_when_the_cue_is_on() -> None:
    config = Config(pain_cue=PainCue(enabled=True))
    network = build_sights(Config())[0].models[1]
    if network.outputs[0].meaning.startswith("(1, 5)"):
        with pytest.raises(ModelError, match=r"does not tell the facial actions"):
            build_sights(config)
    else:
        assert build_sights(config)


chance = st.one_of(st.none(), st.floats(0.0, 1.0))
looks = st.lists(st.tuples(st.sampled_from([0.0, 0.25, 1.0, 3.0, 40.0, 90.0]), chance, chance, chance), max_size=150)


@given(looks)
@settings(max_examples=60, deadline=None)
def test_shares_are_shares_and_only_looks_make_them_known(
    course: list[tuple[float, float | None, float | None, float | None]],
) -> None:
    estimator, at_s = StateEstimator(BED, StateSettings(pain_window_s=12.0)), 5.0
    for wait_s, *actions in course:
        at_s += wait_s
        estimator.observe(look(at_s, *actions))
        now, later = estimator.state(at_s), estimator.state(at_s + 4.0)
        told = now.pain_actions
        assert told is not None
        assert now.pain_cue.known or not later.pain_cue.known
        assert now.pain_cue.known == (told.coverage >= 0.5)
        assert now.pain_cue.since_s <= now.at_s
        assert now.pain_cue.updated_s <= now.at_s
        if now.pain_cue.value is not None:
            shares = [told.brow_bulge, told.eye_squeeze, told.nasolabial_furrow]
            assert all(share is not None for share in shares)
        assert estimator.state(at_s + 1000.0).pain_cue.reason in (Reason.STALE, Reason.WARMING_UP)


def test_a_bout_of_the_cue_begins_when_the_actions_fill_half_of_the_window() -> None:
    estimator, bouts, events = StateEstimator(BED, ON), Bouts(BED, "x"), []
    for i in range(200 * HZ):
        shown = 0.9 if 60 * HZ <= i < 120 * HZ else 0.1
        estimator.observe(look(i / HZ, shown, shown, shown))
        events += bouts.step(estimator.state(i / HZ))
    start, end = (e for e in events if e.type == "pain_cue" and e.phase is not Phase.UPDATE)
    assert (start.phase, end.phase) == (Phase.START, Phase.END)
    assert start.start_s == pytest.approx(90.0, abs=1.0)
    assert end.end_s == pytest.approx(150.0, abs=1.0)
    message = json.loads(encode(composer().behaviour(end, stamp(end.at_s))))
    assert message["code"]["code"] == "pain-cue"
