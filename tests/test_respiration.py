"""Laws of counting breaths: a rhythm is told at its rate, and nothing is told of what does not breathe."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgemon.records import Reason
from export.respiration.breathing import STEP_S, STYLES, breathe
from export.respiration.cells import WIDTH, shrink
from export.respiration.estimate import GRID, WINDOW_S, Signs, contrast, look, tell
from export.respiration.evaluate import RespirationReport, answers, clips, evaluate_respiration
from export.respiration.made import FS_HZ, made

SEEDS = st.integers(0, 2**16)
few = settings(max_examples=12, deadline=None)


def said(*window: object) -> float | Reason:
    signs = look(*window)  # type: ignore[arg-type]
    return tell(signs) if isinstance(signs, Signs) else signs


@few
@given(seed=SEEDS, rate=st.floats(30, 84), swing=st.floats(0.05, 0.3))
def test_a_belly_that_swings_is_told_at_its_rate(seed: int, rate: float, swing: float) -> None:
    assert said(*made(seed, rate, swing=swing)) == pytest.approx(rate, abs=1.0)


@few
@given(seed=SEEDS, rate=st.floats(28, 86), swing=st.floats(0.01, 0.05))
def test_a_faint_swing_is_told_at_its_rate_or_not_at_all(seed: int, rate: float, swing: float) -> None:
    told = said(*made(seed, rate, swing=swing))
    assert isinstance(told, Reason) or told == pytest.approx(rate, abs=1.0)


@few
@given(seed=SEEDS, noise=st.floats(0.05, 3.0))
def test_noise_alone_is_told_nothing(seed: int, noise: float) -> None:
    assert isinstance(said(*made(seed, 45.0, swing=0.0, noise=noise)), Reason)


@few
@given(seed=SEEDS, rate=st.floats(28, 86), swing=st.floats(0.05, 0.5))
def test_a_picture_in_a_hand_is_told_nothing(seed: int, rate: float, swing: float) -> None:
    assert isinstance(said(*made(seed, rate, swing=swing, rigid=True)), Reason)


@few
@given(seed=SEEDS, rate=st.floats(28, 86), depth=st.floats(0.0005, 0.05))
def test_a_light_that_pulses_is_told_nothing(seed: int, rate: float, depth: float) -> None:
    t_s, cells, landmarks = made(seed, 45.0, swing=0.0)
    lit = cells * (1 + depth * np.sin(2 * np.pi * rate / 60 * t_s))[:, None, None].astype(np.float32)
    assert isinstance(said(t_s, lit, landmarks), Reason)


@few
@given(seed=SEEDS, rate=st.floats(28, 86), depth=st.floats(0.0, 0.02))
def test_a_breath_is_told_under_a_light_with_another_rhythm(seed: int, rate: float, depth: float) -> None:
    t_s, cells, landmarks = made(seed, rate)
    lit = cells * (1 + depth * np.sin(2 * np.pi * 1.13 * rate / 60 * t_s))[:, None, None].astype(np.float32)
    assert said(t_s, lit, landmarks) == pytest.approx(rate, abs=1.5)


@few
@given(seed=SEEDS, since_s=st.floats(0, 1e6))
def test_the_clock_may_begin_anywhere(seed: int, since_s: float) -> None:
    t_s, cells, landmarks = made(seed, 50.0)
    assert said(t_s + since_s, cells, landmarks) == pytest.approx(50.0, abs=1.0)


def test_why_nothing_is_told() -> None:
    t_s, cells, landmarks = made(3, 45.0)
    hole = (t_s < 9) | (t_s > 11)
    unseen = np.full_like(landmarks, np.nan)
    moved = landmarks + np.linspace(0, 8, len(t_s), dtype=np.float32)[:, None, None]
    near = 9 * (landmarks - landmarks.mean(axis=1, keepdims=True)) + np.array([40, -60], np.float32)
    assert said(t_s[hole], cells[hole], landmarks[hole]) is Reason.GAP
    assert said(t_s[:60], cells[:60], landmarks[:60]) is Reason.GAP
    assert said(t_s, cells, unseen) is Reason.NO_FACE
    assert said(t_s, cells, moved) is Reason.MOTION
    assert said(t_s, cells, near + 400) is Reason.TURNED_AWAY


def test_the_contrast_finds_the_mixture_that_a_stronger_way_hides() -> None:
    rng = np.random.default_rng(1)
    t_s = np.arange(0, WINDOW_S, 1 / FS_HZ)
    walk = rng.normal(0, 1, len(t_s))
    wave = np.sin(2 * np.pi * 0.8 * t_s)
    shares, mixtures = contrast(np.column_stack([8 * walk + 12 * wave, 8 * walk]), FS_HZ)
    assert mixtures.shape == (len(GRID), 2)
    assert GRID[shares.argmax()] == pytest.approx(48, abs=6)
    assert shares.max() > 0.8


@few
@given(seed=SEEDS, style=st.sampled_from(STYLES), mean=st.floats(30, 80))
def test_breaths_come_at_their_mean_but_for_pauses(seed: int, style: str, mean: float) -> None:
    story = breathe(np.random.default_rng(seed), 60.0, style, mean)
    assert len(story.full) * STEP_S >= 60
    assert len(story.full) == len(story.breaths) == len(story.pausing)
    assert (np.diff(story.breaths) >= 0).all()
    assert (np.diff(story.breaths)[story.pausing[1:] & story.pausing[:-1]] == 0).all()
    assert story.full.min() >= 0
    going_s = (~story.pausing).sum() * STEP_S
    assert 60 * story.breaths[-1] / going_s == pytest.approx(mean, rel=0.25)


def test_cells_tile_the_picture_and_keep_its_lightness() -> None:
    rgb = np.random.default_rng(2).integers(0, 256, (240, 320, 3), np.uint8)
    cells = shrink(rgb)
    assert cells.shape == (60, WIDTH)
    assert cells.mean() == pytest.approx(rgb.mean(axis=(0, 1)) @ [0.299, 0.587, 0.114], abs=0.5)


def write(folder: Path, name: str, rate: float | None, swing: float) -> None:
    t_s, cells, landmarks = made(7, rate or 45.0, seconds=24.0, swing=swing)
    breaths = t_s * rate / 60 if rate else np.full(len(t_s), np.nan)
    np.savez(
        folder / f"{name}.npz",
        t_s=t_s,
        cells=np.rint(cells.clip(0) * 64).astype(np.uint16),
        landmarks=landmarks * 4,
        breaths=breaths,
        pausing=np.zeros(len(t_s), np.bool_),
    )
    row = {"name": name, "respiration": rate is not None, "kind": "infant" if rate else "doll"}
    row |= {"motion": "quiet", "light": "bright", "cover": "none", "style": "quiet"}
    with (folder / "truth.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")


def test_the_report_says_whether_it_is_shown(tmp_path: Path) -> None:
    write(tmp_path, "000", 40.0, 0.1)
    write(tmp_path, "001", None, 0.0)
    report = evaluate_respiration(tmp_path)
    assert report.shown
    assert report.false == {"doll": (0, 3)}
    assert {m.name for m in report.metrics()} >= {"MAE /min", "coverage", "within 5/min", "told"}
    assert any("all infants" in line and "100%" in line for line in report.lines())


def test_the_report_does_not_show_what_fails(tmp_path: Path) -> None:
    write(tmp_path, "000", 40.0, 0.0)
    write(tmp_path, "001", None, 0.1)
    report = evaluate_respiration(tmp_path)
    assert not report.shown
    assert report.false == {"doll": (3, 3)}
    assert sum(len(list(answers(clip))) for clip in clips(tmp_path)) == len(report.answers)
    assert not RespirationReport("no lifeless", report.infants).shown


def test_a_malformed_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such file"):
        evaluate_respiration(tmp_path)
    (tmp_path / "truth.jsonl").write_text('{"name": "000"}\n')
    with pytest.raises(ValueError, match=r"truth\.jsonl:1"):
        evaluate_respiration(tmp_path)
