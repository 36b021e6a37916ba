"""Simulated days: their truth holds together, errors are as fitted, and scores count what they say."""

from __future__ import annotations

import math
from dataclasses import fields
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

from edgemon.states import StateSettings
from export.__main__ import main
from export.nights import scores
from export.nights.evaluate import SHIPPED, believe, cry_of, evaluate_nights
from export.nights.filters import UNKNOWN, Chained, Mean
from export.nights.noise import Channel, channel_of, wander
from export.nights.said import HARD, LEVELS, RENDERED, say
from export.nights.story import ASLEEP, BLINK_S, HZ, Day, Hidden, Stage, tell

FOUR_HOURS = {seed: tell(seed, hours=4.0) for seed in (11, 12)}


@pytest.fixture(params=FOUR_HOURS)
def day(request: pytest.FixtureRequest) -> Day:
    return FOUR_HOURS[request.param]


def test_the_same_seed_gives_the_same_day_and_the_same_words() -> None:
    again = tell(11, hours=4.0)
    for field in fields(Day):
        assert np.array_equal(getattr(again, field.name), getattr(FOUR_HOURS[11], field.name))
    assert not np.array_equal(FOUR_HOURS[11].lids, FOUR_HOURS[12].lids)
    one, two = say(again, RENDERED, 5), say(again, RENDERED, 5)
    assert np.array_equal(one.cry, two.cry, equal_nan=True)


def test_what_is_shown_lies_within_its_bounds_and_truth_holds_together(day: Day) -> None:
    for shown in (day.cry_face, day.yawn, day.grimace):
        assert 0.0 <= shown.min() <= shown.max() <= 1.0
    assert not (day.crying & day.asleep).any()
    assert set(np.unique(day.stage[day.crying])) <= {Stage.FUSSY}
    assert (day.asleep == np.isin(day.stage, ASLEEP)).all()
    assert min((b - a for a, b in scores.spans(day.closed)), default=99) >= BLINK_S * HZ


def test_a_breath_relaxes_the_face_and_crying_goes_on(day: Day) -> None:
    """For half a second to one and a half."""
    calm = scores.spans(day.crying & (day.cry_face < 0.75))
    assert calm
    assert max(b - a for a, b in calm) <= 1.5 * HZ + 1
    assert all(b - a >= 2 * HZ - 1 for a, b in scores.spans(~day.crying))


def test_a_day_has_the_sleep_the_cycles_and_the_crying_of_a_newborn() -> None:
    whole = [tell(seed) for seed in (21, 22)]
    for day in whole:
        assert 13 <= day.asleep.mean() * 24 <= 21
        assert 5 <= day.crying.mean() * 1440 <= 120
        active = (day.stage == Stage.ACTIVE_SLEEP).sum() / day.asleep.sum()
        assert 0.45 <= active <= 0.7
        assert {Hidden(h) for h in np.unique(day.hidden)} >= {Hidden.NOT, Hidden.NO_FACE, Hidden.OCCLUDED}
        quiet = scores.spans(day.stage == Stage.QUIET_SLEEP)
        assert 35 <= np.median([(b[0] - a[0]) / HZ / 60 for a, b in pairwise(quiet)]) <= 80


def test_words_are_probabilities_and_none_of_what_is_hidden(day: Day) -> None:
    for errors in LEVELS.values():
        said = say(day, errors, 3)
        blind = day.hidden != Hidden.NOT
        assert (np.isnan(said.eyes) == blind).all()
        assert (np.isnan(said.cry) == (blind | day.mouth_hidden)).all()
        told = said.cry[~np.isnan(said.cry)]
        assert 0.0 < told.min() <= told.max() < 1.0


def test_the_harder_level_errs_more_often(day: Day) -> None:
    def wrong(level: str) -> float:
        said = say(day, LEVELS[level], 3)
        seen = np.isfinite(said.cry)
        return float(((said.cry >= 0.5) != day.crying)[seen].mean())

    assert wrong("rendered") < wrong("hard") < 0.1


def test_errors_are_fitted_as_they_were_made() -> None:
    rng = np.random.default_rng(7)
    runs = []
    for offset in (-0.6, 0.0, 0.6):
        logits = 4.5 + offset + wander(rng, 20_000, 0.6, 20.0) + wander(rng, 20_000, 0.5, 0.4)
        for start in range(50, 20_000, 400):
            logits[start : start + 4] = -1.5
        runs.append((np.arange(20_000) / HZ, logits))
    got = channel_of(runs, True)
    assert got.mean == pytest.approx(4.5, abs=0.2)
    assert got.infant_sd == pytest.approx(0.6, abs=0.2)
    assert math.hypot(got.slow_sd, got.fast_sd) == pytest.approx(math.hypot(0.6, 0.5), abs=0.1)
    assert (got.spells_per_h, got.spell_s) == (pytest.approx(36, abs=1), pytest.approx(1.0, abs=0.05))
    assert got.spell_depth == pytest.approx(1.5, abs=0.1)


def test_both_levels_are_whole() -> None:
    for errors in (RENDERED, HARD):
        for no, yes in (errors.eyes, errors.cry, errors.yawn):
            assert isinstance(no, Channel)
            assert no.mean < 0 < yes.mean


flags = st.lists(st.booleans(), min_size=2, max_size=200).map(lambda f: np.array(f, bool))


@given(flags)
def test_the_truth_itself_has_no_false_change(truth: np.ndarray) -> None:
    assert scores.false_changes(truth.astype(np.int8), truth) == 0


@given(flags, st.lists(st.sampled_from([UNKNOWN, 0, 1]), min_size=200, max_size=200))
def test_false_changes_are_changes(truth: np.ndarray, values: list[int]) -> None:
    told = np.array(values[: len(truth)], np.int8)
    assert 0 <= scores.false_changes(told, truth) <= len(scores.changes(told))


def test_a_wrong_spell_is_two_false_changes_and_a_delay_is_none() -> None:
    truth = np.zeros(400, bool)
    truth[100:200] = True
    late = np.roll(truth, 3 * HZ).astype(np.int8)
    assert scores.false_changes(late, truth) == 0
    spell = late.copy()
    spell[300:308] = 1
    assert scores.false_changes(spell, truth) == 2
    broken = late.copy()
    broken[150:156] = 0
    assert scores.false_changes(broken, truth) == 2
    missed = np.zeros(400, np.int8)
    assert scores.false_changes(missed, truth) == 0
    gap = late.copy()
    gap[190:260] = UNKNOWN
    assert scores.false_changes(gap, truth) == 0
    assert scores.onsets(late, truth, np.ones(400, bool)).delays_s == (3.0,)
    assert scores.onsets(missed, truth, np.ones(400, bool)).missed == 1


def test_bouts_match_by_half_of_their_union() -> None:
    assert scores.matches([(0, 10), (50, 60)], [(0, 20), (54, 70)]) == 1
    truth = np.array([1, 1, 0, 0, 0, 1], bool)
    assert scores.merged(truth, 3 / HZ) == [(0, 6)]
    assert scores.merged(truth, 2 / HZ) == [(0, 2), (5, 6)]


def test_kappa_is_one_for_agreement_and_none_for_chance() -> None:
    truth = np.array([1, 1, 0, 0] * 10, bool)
    assert scores.kappa(truth.astype(np.int8), truth) == 1.0
    assert scores.kappa(np.array([1, 0] * 20, np.int8), truth) == pytest.approx(0.0)
    assert math.isnan(scores.kappa(np.full(40, UNKNOWN, np.int8), truth))


@given(st.lists(st.one_of(st.just(math.nan), st.floats(0.01, 0.99)), min_size=1, max_size=120))
@settings(deadline=None)
def test_every_way_is_unknown_before_it_knows_and_after_a_long_gap(p: list[float]) -> None:
    words = np.array([*p, *[math.nan] * 40])
    for way in (Mean(), Mean(0.0, 0.501, 0.5, 0.0, 0.0), Chained(StateSettings().cry)):
        told = way.follow(words)
        assert set(told.tolist()) <= {UNKNOWN, 0, 1}
        assert told[-1] == UNKNOWN


def test_the_estimator_says_what_its_filters_say_and_tells_no_unseen_time_as_sleep() -> None:
    """An epoch of which less than half could be read is unknown, but for what was held over from before it."""
    day = tell(14, hours=1.5)
    day.hidden[5000:8000] = Hidden.DARK
    said = say(day, RENDERED, 4)
    eyes, cry, sleep = believe(day, said)
    assert np.array_equal(eyes, Chained(StateSettings().eyes).follow(said.eyes))
    assert np.array_equal(cry, Chained(StateSettings().cry).follow(cry_of(said)))
    assert len(sleep) == len(day.lids) // (30 * HZ)
    seen = (day.hidden == Hidden.NOT)[: len(sleep) * 120].reshape(-1, 120).mean(axis=1)
    assert (seen < 0.3).any()
    assert (sleep[seen < 0.3] != 1).all()


def test_the_report_tells_every_way_and_refuses_days_of_the_tuning() -> None:
    report = evaluate_nights(1, 104, hours=0.5)
    text = "\n".join(report.lines())
    assert all(word in text for word in ("rendered, cry", "hard, eyes", "sleep in epochs", SHIPPED, "goal"))
    assert {m.condition.split(";")[0] for m in report.metrics()} == {"rendered", "hard"}
    with pytest.raises(ValueError, match="seeds"):
        evaluate_nights(2, 2)
    with pytest.raises(ValueError, match="one day"):
        evaluate_nights(0, 200)


def test_errors_are_measured_on_a_clip_beside_its_truth(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    clip = ROOT / "edgemon/frames/data/demo2.mp4"
    assert main(["fit-nights", str(clip), "--models", str(ROOT / "models")]) == 0
    said = capsys.readouterr().out
    assert "demo2: 80 looks" in said
    assert "crying      no   Channel(mean=" in said
    assert main(["fit-nights", str(tmp_path / "none.mp4")]) == 2
    assert "truth" in capsys.readouterr().err
