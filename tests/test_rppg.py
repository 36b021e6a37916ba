"""The pulse mathematics: what goes in comes out, and the laws of each method."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pulses import SKIN, colours, times

from edgemon import rppg
from edgemon.rppg import methods

FS_HZ = 30.0
GRID_S = np.arange(300) / FS_HZ


def noisy_skin(seed: int, count: int = 300) -> rppg.Array:
    rng = np.random.default_rng(seed)
    return SKIN + np.cumsum(rng.normal(0, 0.2, (count, 3)), axis=0)


def spectrum(pulse: rppg.Array, fs_hz: float = FS_HZ) -> rppg.Array:
    """Shares of power at GRID_BPM of the whole of (..., N), by definition."""
    count = pulse.shape[-1]
    waves = np.exp(-2j * np.pi / 60 * np.arange(count)[:, None] / fs_hz * rppg.GRID_BPM)
    centred = pulse - pulse.mean(axis=-1, keepdims=True)
    return rppg.shares_of(np.abs((centred * np.hanning(count)) @ waves) ** 2)


def reading(pulse: rppg.Array, fs_hz: float = FS_HZ) -> float:
    return rppg.peak_bpm(rppg.with_harmonics(spectrum(pulse, fs_hz)))


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
    np.testing.assert_allclose(methods.pos(rgb, FS_HZ), pos_by_the_book(rgb, FS_HZ), atol=1e-10)


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
    np.testing.assert_allclose(methods.pos(rgb * np.array(gains), FS_HZ), methods.pos(rgb, FS_HZ), rtol=1e-4, atol=1e-8)


@given(seed=st.integers(0, 1000), depth=st.floats(0.0, 0.05))
@settings(max_examples=30, deadline=None)
def test_light_that_moves_all_colours_alike_leaves_pos_g_r_and_chrom_at_rest(seed: int, depth: float) -> None:
    light = 1 + depth * np.sin(2 * np.pi * 2.3 * GRID_S + seed)
    rgb = SKIN * light[:, None]
    for method in (methods.pos, methods.green_red, methods.chrom):
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
    shares = spectrum(np.random.default_rng(seed).normal(size=(2, 200)), FS_HZ)
    np.testing.assert_allclose(shares.sum(axis=-1), 1.0)


def test_silence_favours_no_rate() -> None:
    shares = spectrum(np.zeros(300), FS_HZ)
    assert np.ptp(shares) == 0


@given(bpm=st.floats(75, 237))
@settings(max_examples=40, deadline=None)
def test_peaks_are_found_between_the_bins(bpm: float) -> None:
    shares = spectrum(np.sin(2 * np.pi * bpm / 60 * GRID_S), FS_HZ)
    assert rppg.peak_bpm(shares) == pytest.approx(bpm, abs=0.3)


@pytest.mark.parametrize("harmonic", [0.0, 0.3, 0.8, 1.1])
def test_106_is_not_read_as_212(harmonic: float) -> None:
    assert reading(colours(GRID_S, 106, harmonic=harmonic)[:, 1]) == pytest.approx(106, abs=1)


@pytest.mark.parametrize("below", [0.0, 0.3, 0.6])
def test_212_is_not_read_as_106(below: float) -> None:
    beat = np.cos(2 * np.pi * 212 / 60 * GRID_S) + below * np.cos(2 * np.pi * 106 / 60 * GRID_S)
    assert reading(beat) == pytest.approx(212, abs=1)


def test_snr_falls_as_noise_rises() -> None:
    noise = np.random.default_rng(0).normal(size=300)
    pulse = np.sin(2 * np.pi * 2.5 * GRID_S)
    at = np.array(150.0)
    ratios = [float(rppg.snr(spectrum(pulse + s * noise, FS_HZ), at, 10.0)) for s in (0.1, 1.0, 3.0)]
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
    shares = spectrum(np.sin(2 * np.pi * 2.5 * GRID_S), FS_HZ)
    nothing = np.zeros(len(rppg.GRID_BPM))
    belief = rppg.PRIOR
    for _ in range(10):
        belief = rppg.follow(belief, np.log(shares * len(shares) + 0.02), 0.5, 1.0)
    assert rppg.peak_bpm(belief) == pytest.approx(150, abs=1)
    sure = belief.max()
    assert rppg.follow(belief, nothing, 0.5, 30.0).max() < 0.3 * sure


def slices_of(rgb: rppg.Array, seconds: int) -> list[rppg.Slice | None]:
    """One a second of RGB (R, N, 3) at FS_HZ from time 0, each with the context that there is."""
    ends = [int((2 + k) * FS_HZ) for k in range(seconds - 1)]
    context = round((rppg.SLICE_S + rppg.CONTEXT_S) * FS_HZ)
    return [rppg.cut(rgb[:, max(0, end - context) : end], FS_HZ, end / FS_HZ) for end in ends]


LONG_S = np.arange(round(20 * FS_HZ)) / FS_HZ


def three_regions(bpm: float, seed: int = 0, noise: float = 0.05) -> rppg.Array:
    rng = np.random.default_rng(seed)
    return colours(LONG_S, bpm)[None] + rng.normal(0, noise, (3, len(LONG_S), 3))


@pytest.mark.parametrize("bpm", [80.0, 106.0, 150.5, 212.0, 233.0])
def test_windows_of_slices_find_a_rate_as_one_transform_of_all_would(bpm: float) -> None:
    windows = rppg.look(slices_of(three_regions(bpm), 20), FS_HZ)
    assert windows is not None
    assert windows.seconds == (6.0, 10.0, 20.0)
    for spectrum_, seconds in zip(windows.spectra, windows.seconds, strict=True):
        assert rppg.peak_bpm(spectrum_) == pytest.approx(bpm, abs=5 / seconds)
        width = float((spectrum_ > spectrum_.max() / 2).sum())
        assert width <= 60 * 2.2 / seconds  # the main lobe of a Hann window of this length
    assert windows.snr[-1] > 3


def test_slices_that_are_missing_leave_the_others_in_step() -> None:
    slices = slices_of(three_regions(140), 20)
    for lost in (4, 5, 11):
        slices[lost] = None
    windows = rppg.look(slices, FS_HZ)
    assert windows is not None
    assert rppg.peak_bpm(windows.spectra[-1]) == pytest.approx(140, abs=0.5)
    assert rppg.look([None] * 19, FS_HZ) is None
    assert rppg.look([*[None] * 17, *slices[:2]], FS_HZ) is None


def test_movement_across_blood_is_taken_out_of_the_windows() -> None:
    rgb = three_regions(150)
    sway = 0.02 * np.sin(2 * np.pi * 1.9 * LONG_S)[:, None] * np.array([1.0, 0.5, 0.2])
    windows = rppg.look(slices_of(rgb * (1 + sway), 20), FS_HZ)
    assert windows is not None
    assert rppg.peak_bpm(windows.spectra[-1]) == pytest.approx(150, abs=1)
    assert windows.stillness[round(1.9 * 60) - 72] < windows.stillness[150 - 72]


def test_a_region_out_of_view_counts_for_nothing() -> None:
    rgb = three_regions(150)
    rgb[1] = np.nan
    windows = rppg.look(slices_of(rgb, 20), FS_HZ)
    assert windows is not None
    assert len(windows.shares) == 2 * 3  # methods times two regions and their mean
    assert rppg.peak_bpm(windows.spectra[0]) == pytest.approx(150, abs=1)


@pytest.mark.parametrize("gains", [(1.1, 1.1, 1.1), (1.06, 1.0, 0.97), (0.9, 0.9, 0.9)])
def test_a_step_of_exposure_or_white_balance_is_seen_and_a_pulse_is_none(gains: tuple[float, float, float]) -> None:
    rgb = three_regions(150)
    assert not any(s is not None and s.stepped for s in slices_of(rgb, 20))
    rgb[:, 300:] *= gains
    stepped = [s is not None and s.stepped for s in slices_of(rgb, 20)]
    assert sum(stepped) in (1, 2)
    assert stepped[9]  # from 9 to 11 s, the step at 10


def test_a_picture_without_colour_is_grey_and_read_by_its_brightness() -> None:
    rgb = np.repeat(three_regions(150)[..., 1:2], 3, axis=-1)
    slices = slices_of(rgb, 20)
    assert all(s is not None and s.grey for s in slices)
    windows = rppg.look(slices, FS_HZ)
    assert windows is not None
    assert rppg.peak_bpm(windows.spectra[-1]) == pytest.approx(150, abs=1)


def test_a_rate_that_every_sign_speaks_for_has_quality_and_another_has_not() -> None:
    slices = slices_of(three_regions(150), 20)
    windows = rppg.look(slices, FS_HZ)
    assert windows is not None
    belief = rppg.PRIOR
    for _ in range(10):
        belief = rppg.follow(belief, np.log(windows.spectra[1] * len(belief) + 0.02), 0.5, 1.0)
    assert rppg.quality_of(rppg.Signs.of(150.0, belief, windows)) > 0.9
    assert rppg.quality_of(rppg.Signs.of(110.0, belief, windows)) < 0.1
