"""The pulse mathematics: what goes in comes out, and the laws of each method."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pulses import SKIN, colours, times

from edgemon import rppg

FS_HZ = 30.0
GRID_S = np.arange(300) / FS_HZ


def noisy_skin(seed: int, count: int = 300) -> rppg.Array:
    rng = np.random.default_rng(seed)
    return SKIN + np.cumsum(rng.normal(0, 0.2, (count, 3)), axis=0)


def reading(pulse: rppg.Array, fs_hz: float = FS_HZ) -> float:
    clean = rppg.equalise(rppg.bandpass(pulse, fs_hz), fs_hz)
    return rppg.peak_bpm(rppg.with_harmonics(rppg.spectrum(clean, fs_hz)))


def pos_by_the_book(rgb: rppg.Array, fs_hz: float) -> rppg.Array:
    """Wang 2017, algorithm 1, line by line; each sample divided by the number of windows that hold it."""
    width = round(1.6 * fs_hz)
    pulse, held = np.zeros(len(rgb)), np.zeros(len(rgb))
    for start in range(len(rgb) - width + 1):
        part = rgb[start : start + width]
        s1, s2 = np.array([[0, 1, -1], [-2, 1, 1]]) @ (part / part.mean(axis=0)).T
        h = s1 + s1.std() / s2.std() * s2
        pulse[start : start + width] += h - h.mean()
        held[start : start + width] += 1
    return pulse / held


@pytest.mark.parametrize("method", list(rppg.METHODS))
@pytest.mark.parametrize("bpm", [90, 106, 120, 143.5, 170, 198.2, 212, 220])
def test_a_known_pulse_comes_out_of_irregular_times(method: str, bpm: float) -> None:
    t_s = times(10.0)
    even = rppg.resample(t_s, colours(t_s, bpm), FS_HZ)
    assert reading(rppg.METHODS[method](even, FS_HZ)) == pytest.approx(bpm, abs=0.5)


@pytest.mark.parametrize("seed", range(3))
def test_pos_in_closed_form_is_pos_by_the_book(seed: int) -> None:
    rgb = noisy_skin(seed)
    np.testing.assert_allclose(rppg.pos(rgb, FS_HZ), pos_by_the_book(rgb, FS_HZ), atol=1e-10)


@given(gain=st.floats(0.05, 20), seed=st.integers(0, 1000), method=st.sampled_from(list(rppg.METHODS)))
@settings(max_examples=40, deadline=None)
def test_no_method_sees_the_gain_of_the_camera(gain: float, seed: int, method: str) -> None:
    rgb = noisy_skin(seed)
    np.testing.assert_allclose(
        rppg.METHODS[method](gain * rgb, FS_HZ), rppg.METHODS[method](rgb, FS_HZ), rtol=1e-4, atol=1e-8
    )


@given(gains=st.tuples(*[st.floats(0.2, 5)] * 3), seed=st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_pos_does_not_see_the_white_balance(gains: tuple[float, float, float], seed: int) -> None:
    rgb = noisy_skin(seed)
    np.testing.assert_allclose(rppg.pos(rgb * np.array(gains), FS_HZ), rppg.pos(rgb, FS_HZ), rtol=1e-4, atol=1e-8)


@given(seed=st.integers(0, 1000), depth=st.floats(0.0, 0.05))
@settings(max_examples=30, deadline=None)
def test_light_that_moves_all_colours_alike_leaves_pos_g_r_and_chrom_at_rest(seed: int, depth: float) -> None:
    light = 1 + depth * np.sin(2 * np.pi * 2.3 * GRID_S + seed)
    rgb = SKIN * light[:, None]
    for method in (rppg.pos, rppg.green_red, rppg.chrom):
        assert np.abs(method(rgb, FS_HZ)).max() < 1e-6


@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_regions_do_not_touch_one_another(seed: int) -> None:
    both = np.stack([noisy_skin(seed), noisy_skin(seed + 1)])
    for method in rppg.METHODS.values():
        np.testing.assert_allclose(method(both, FS_HZ)[0], method(both[0], FS_HZ), atol=1e-12)


@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_a_spectrum_sums_to_one(seed: int) -> None:
    shares = rppg.spectrum(np.random.default_rng(seed).normal(size=(2, 200)), FS_HZ)
    np.testing.assert_allclose(shares.sum(axis=-1), 1.0)


def test_silence_favours_no_rate() -> None:
    shares = rppg.spectrum(np.zeros(300), FS_HZ)
    assert np.ptp(shares) == 0


@given(bpm=st.floats(75, 237))
@settings(max_examples=40, deadline=None)
def test_peaks_are_found_between_the_bins(bpm: float) -> None:
    shares = rppg.spectrum(np.sin(2 * np.pi * bpm / 60 * GRID_S), FS_HZ)
    assert rppg.peak_bpm(shares) == pytest.approx(bpm, abs=0.3)


@pytest.mark.parametrize("harmonic", [0.0, 0.3, 0.8, 1.1])
def test_106_is_not_read_as_212(harmonic: float) -> None:
    assert reading(colours(GRID_S, 106, harmonic=harmonic)[:, 1]) == pytest.approx(106, abs=1)


@pytest.mark.parametrize("below", [0.0, 0.3, 0.6])
def test_212_is_not_read_as_106(below: float) -> None:
    beat = np.cos(2 * np.pi * 212 / 60 * GRID_S) + below * np.cos(2 * np.pi * 106 / 60 * GRID_S)
    assert reading(beat) == pytest.approx(212, abs=1)


def test_the_band_keeps_a_pulse_and_drops_breath_and_flicker() -> None:
    for bpm, kept in ((40, 0.0), (150, 1.0), (300, 0.0)):
        wave = np.sin(2 * np.pi * bpm / 60 * GRID_S)
        middle = rppg.bandpass(wave, FS_HZ)[60:-60]
        assert float(np.std(middle) / np.std(wave)) == pytest.approx(kept, abs=0.05)


def test_a_jerk_weighs_no_more_than_a_beat() -> None:
    pulse = np.sin(2 * np.pi * 2.5 * GRID_S)
    jerked = pulse.copy()
    jerked[150:153] += 50.0
    assert np.abs(rppg.equalise(jerked, FS_HZ)).max() <= 2.5


def test_snr_falls_as_noise_rises() -> None:
    noise = np.random.default_rng(0).normal(size=300)
    pulse = np.sin(2 * np.pi * 2.5 * GRID_S)
    at = np.array(150.0)
    ratios = [float(rppg.snr_db(rppg.spectrum(pulse + s * noise, FS_HZ), at, 10.0)) for s in (0.1, 1.0, 3.0)]
    assert ratios == sorted(ratios, reverse=True)
    assert ratios[0] > 10 > ratios[1]


def test_only_what_follows_the_last_gap_is_unbroken() -> None:
    t_s = np.array([0.0, 0.1, 0.9, 1.0, 1.6, 1.7])
    assert rppg.unbroken_from(t_s) == 4
    assert rppg.unbroken_from(t_s, max_gap_s=1.0) == 0


def test_resampling_ends_at_the_newest_sample_and_keeps_a_line() -> None:
    t_s = times(3.0, seed=1)
    line = np.column_stack([2 * t_s, 5 - t_s])
    even = rppg.resample(t_s, line, 25.0)
    np.testing.assert_allclose(even[-1], line[-1])
    np.testing.assert_allclose(np.diff(even, axis=0), np.broadcast_to([2 / 25, -1 / 25], (len(even) - 1, 2)))


def test_belief_follows_a_rate_and_forgets_without_evidence() -> None:
    shares = rppg.spectrum(np.sin(2 * np.pi * 2.5 * GRID_S), FS_HZ)
    flat = np.full(len(rppg.GRID_BPM), 1 / len(rppg.GRID_BPM))
    belief = rppg.PRIOR
    for _ in range(10):
        belief = rppg.follow(belief, shares, 1.0)
    assert rppg.peak_bpm(belief) == pytest.approx(150, abs=1)
    sure = belief.max()
    assert rppg.follow(belief, flat, 30.0).max() < 0.3 * sure
