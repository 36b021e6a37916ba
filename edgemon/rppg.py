"""Pulse from the mean colour of skin (rPPG): resampling, POS, CHROM, GREEN, spectra and how far to trust them.

A trace is RGB (..., N, 3), N samples on a uniform grid of `fs_hz`; leading axes (regions) go through unchanged. Every
function looks at the window it is given and at nothing else, so a window that ends now makes a causal estimate.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LOW_BPM: Final = 72.0
HIGH_BPM: Final = 240.0
MAX_GAP_S: Final = 0.5
GRID_BPM: Final = np.arange(LOW_BPM, HIGH_BPM + 0.5, 1.0)  # peaks are interpolated between these

_LIKELY: Final = np.exp(-0.5 * ((GRID_BPM - 140.0) / 40.0) ** 2) + 0.2  # newborns asleep, awake and crying
PRIOR: Final[Array] = _LIKELY / _LIKELY.sum()

_STEPS_BPM: Final = np.arange(-60.0, 61.0)
_DRIFT_BPM: Final = 3.0
_JUMP: Final = 0.02
_TEMPER: Final = 0.3
_MAX_SAY: Final = 4.0
_WINDOW_S: Final = 1.6  # of POS and CHROM (Wang 2017, de Haan 2013)
_SPREAD_S: Final = 2.0
_CLAMP: Final = 2.5
_BLOOD: Final = np.array([0.33, 0.77, 0.53]) / np.linalg.norm([0.33, 0.77, 0.53])
_GLOSS: Final = np.cross(np.cross(_BLOOD, np.ones(3)), _BLOOD)  # white light, without its part along blood
_ACROSS: Final = np.stack([_GLOSS / np.linalg.norm(_GLOSS), np.cross(_BLOOD, _GLOSS) / np.linalg.norm(_GLOSS)])
_RIDGE: Final = 3e-3


def unbroken_from(t_s: Array, max_gap_s: float = MAX_GAP_S) -> int:
    """Index of the first sample after the last gap longer than `max_gap_s`."""
    gaps = np.flatnonzero(np.diff(t_s) > max_gap_s)
    return int(gaps[-1]) + 1 if gaps.size else 0


def resample(t_s: Array, values: Array, fs_hz: float) -> Array:
    """`values` (N, C) at irregular, increasing times, linearly interpolated to (M, C); the grid ends at t_s[-1]."""
    count = int((t_s[-1] - t_s[0]) * fs_hz + 1e-6) + 1
    grid = t_s[-1] - np.arange(count - 1, -1, -1) / fs_hz
    right = np.clip(np.searchsorted(t_s, grid), 1, len(t_s) - 1)
    share = (grid - t_s[right - 1]) / (t_s[right] - t_s[right - 1])
    left = values[right - 1]
    return np.asarray(left + np.clip(share, 0.0, 1.0)[:, None] * (values[right] - left))


def pos(rgb: Array, fs_hz: float) -> Array:
    """Plane orthogonal to skin (Wang 2017, doi 10.1109/TBME.2016.2609282, algorithm 1), 1.6 s windows, stride 1.

    The overlap-added windows are summed in closed form: each window's output is linear in the colour with weights from
    its means and covariance, so the sum at a sample is the colour times the summed weights of the windows around it.
    """
    width = _width(rgb, fs_hz, _WINDOW_S)
    mean, cov = _moments(rgb, width)
    s1 = np.array([0.0, 1.0, -1.0]) / mean
    s2 = np.array([-2.0, 1.0, 1.0]) / mean
    alpha = _deviation(cov, s1) / np.maximum(_deviation(cov, s2), 1e-12)
    weights = _spread_back(s1 + alpha[..., None] * s2, width)
    return np.asarray((rgb * weights).sum(axis=-1))


def chrom(rgb: Array, fs_hz: float) -> Array:
    """Chrominance (de Haan 2013, doi 10.1109/TBME.2013.2266196, eq. 13-15) with the tuning in 1.6 s windows."""
    width = _width(rgb, fs_hz, _WINDOW_S)
    mean, cov = _moments(rgb, width)
    x = np.array([3.0, -2.0, 0.0]) / mean
    y = np.array([1.5, 1.0, -1.5]) / mean
    alpha = _deviation(cov, x) / np.maximum(_deviation(cov, y), 1e-12)
    weights = _spread_back(x - alpha[..., None] * y, width)
    offset = _spread_back((1.0 - alpha)[..., None], width)[..., 0]  # the projections of white are 1, not 0 as in POS
    return np.asarray((rgb * weights).sum(axis=-1) - offset)


def green(rgb: Array, fs_hz: float) -> Array:
    """The green channel over its moving mean (Verkruysse 2008)."""
    return _relative(rgb, fs_hz)[..., 1]


def green_red(rgb: Array, fs_hz: float) -> Array:
    """Green minus red, both over their moving mean: what moves all colours alike cancels (Huelsbusch 2008)."""
    relative = _relative(rgb, fs_hz)
    return np.asarray(relative[..., 1] - relative[..., 0])


Method = Callable[[Array, float], Array]
METHODS: Final[dict[str, Method]] = {"POS": pos, "CHROM": chrom, "G-R": green_red, "GREEN": green}


def bandpass(pulse: Array, fs_hz: float) -> Array:
    """Only what lies within the newborn band, with raised-cosine edges 12 bpm wide; zero phase inside the window."""
    count = pulse.shape[-1]
    ramp = np.linspace(-1.0, 1.0, count)
    pulse = pulse - pulse.mean(axis=-1, keepdims=True)
    pulse = pulse - (pulse @ ramp / (ramp @ ramp))[..., None] * ramp
    bpm = np.fft.rfftfreq(count, 1 / fs_hz) * 60
    outside = np.maximum(LOW_BPM - bpm, bpm - HIGH_BPM) / 12.0
    gain = 0.5 + 0.5 * np.cos(np.pi * np.clip(outside, 0.0, 1.0))
    return np.asarray(np.fft.irfft(np.fft.rfft(pulse) * gain, count))


def across_blood(rgb: Array, fs_hz: float) -> Array:
    """The colours of regions (R, N, 3) along both directions that a pulse does not move: (2 R, N), shares of the light.

    Blood moves the colour along one direction only (de Haan 2014); across it are movement, shade, gloss and noise.
    """
    colour = bandpass(np.moveaxis(_relative(rgb, fs_hz), -1, 0), fs_hz)
    return np.asarray(np.tensordot(_ACROSS, colour, 1).reshape(-1, rgb.shape[-2]))


def without(pulse: Array, moved: Array) -> Array:
    """Pulses (..., N) rid by least squares of signals (K, N) that hold no pulse.

    A ridge of 0.3 % of the light, as strong as a pulse, leaves alone what is no stronger than one.
    """
    inner = moved @ moved.T + _RIDGE**2 * moved.shape[-1] * np.eye(len(moved))
    return np.asarray(pulse - (pulse @ moved.T) @ np.linalg.solve(inner, moved))


def equalise(pulse: Array, fs_hz: float) -> Array:
    """The pulse over its own spread in 2 s windows, clamped: one jerk then weighs no more than one beat."""
    power = _moving_mean((pulse**2)[..., None], _width(pulse[..., None], fs_hz, _SPREAD_S))[..., 0]
    floor = 1e-2 * power.mean(axis=-1, keepdims=True) + 1e-18
    return np.asarray(np.clip(pulse / np.sqrt(power + floor), -_CLAMP, _CLAMP))


def power(pulse: Array, fs_hz: float) -> Array:
    """Power of (..., N) at GRID_BPM under a Hann window: (..., B)."""
    parts = (pulse.reshape(-1, pulse.shape[-1]) @ _fourier(pulse.shape[-1], fs_hz)) ** 2
    return np.asarray((parts[:, : len(GRID_BPM)] + parts[:, len(GRID_BPM) :]).reshape(*pulse.shape[:-1], -1))


def spectrum(pulse: Array, fs_hz: float) -> Array:
    """Power of (..., N) at GRID_BPM as shares that sum to 1 (..., B); all equal without power."""
    found = power(pulse, fs_hz)
    total = found.sum(axis=-1, keepdims=True)
    return np.asarray(np.where(total > 1e-12, found / np.maximum(total, 1e-12), 1.0 / len(GRID_BPM)))


def peak_bpm(shares: Array) -> float:
    """Where (B,) is highest, interpolated by a parabola through three bins to far below 1 bpm."""
    i = int(np.clip(np.argmax(shares), 1, len(shares) - 2))
    left, top, right = (float(v) for v in shares[i - 1 : i + 2])
    curve = left - 2 * top + right
    shift = 0.5 * (left - right) / curve if curve < 0 else 0.0
    return float(GRID_BPM[i] + min(1.0, max(-1.0, shift)) * (GRID_BPM[1] - GRID_BPM[0]))


def snr_db(shares: Array, bpm: Array, window_s: float) -> Array:
    """Power at the rates `bpm` (...) and their first harmonics over the rest of the band, in dB within -30..30.

    De Haan 2013, eq. 18, with shares (..., B) and a mask of three quarters of the Hann window's main lobe.
    """
    off_bpm = np.minimum(np.abs(GRID_BPM - bpm[..., None]), np.abs(GRID_BPM - 2 * bpm[..., None]))
    signal = np.where(off_bpm <= 90.0 / window_s, shares, 0.0).sum(axis=-1)
    return np.asarray(np.clip(10 * np.log10(np.maximum(signal, 1e-9) / np.maximum(1 - signal, 1e-9)), -30.0, 30.0))


def with_harmonics(shares: Array) -> Array:
    """Each rate's share (..., B) raised by its first harmonic's, up to doubling it, so that 106 is not read as 212.

    A rate that has no power of its own gains nothing from its double, so 212 is not read as 106 either.
    """
    half = np.searchsorted(GRID_BPM, HIGH_BPM / 2, side="right")
    harmonic = np.zeros_like(shares)
    twice = np.rint((2 * GRID_BPM[:half] - LOW_BPM) / (GRID_BPM[1] - GRID_BPM[0])).astype(int)
    harmonic[..., :half] = shares[..., twice]
    raised = shares + np.minimum(shares, harmonic)
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))


def combine(shares: Array, window_s: float) -> Array:
    """One spectrum (B,) of many (K, B): their harmonics folded in, each weighed by its signal-to-noise power ratio."""
    folded = with_harmonics(shares)
    weights = 10 ** (snr_db(shares, GRID_BPM[folded.argmax(axis=-1)], window_s) / 10)
    return np.asarray(weights @ folded / weights.sum())


def follow(belief: Array, shares: Array, elapsed_s: float) -> Array:
    """The belief (B,) about the rate `elapsed_s` later, having seen a spectrum (B,): one step of a forward filter.

    The rate drifts by 3 bpm in a second, more with the root of time, and may have jumped anywhere at 2 % a second;
    the spectrum counts as a likelihood, tempered because windows overlap.
    """
    drift = np.exp(-0.5 * (_STEPS_BPM / (_DRIFT_BPM * np.sqrt(max(elapsed_s, 0.05)))) ** 2)
    moved = np.convolve(belief, drift / drift.sum(), "same")
    kept = (1.0 - _JUMP) ** elapsed_s
    seen = (kept * moved + (1.0 - kept) * PRIOR) * (shares * len(GRID_BPM) + 0.02) ** (_TEMPER * min(1.0, elapsed_s))
    return np.asarray(seen / seen.sum())


def believed_bpm(belief: Array, shares: Array, window_s: float) -> float:
    """The rate by the belief (B,) and the newest spectrum (B,), which counts by its SNR.

    A clean window speaks for itself, without the belief's lag; a noisy one leans on what was believed before.
    """
    snr = 10 ** (snr_db(shares, GRID_BPM[np.argmax(belief)], window_s) / 10)
    return peak_bpm(belief * (shares / shares.max()) ** min(float(snr), _MAX_SAY))


@lru_cache(maxsize=8)
def _fourier(count: int, fs_hz: float) -> Array:
    phase = 2 * np.pi / 60 * np.arange(count)[:, None] / fs_hz * GRID_BPM
    return np.asarray(np.hanning(count)[:, None] * np.hstack([np.cos(phase), np.sin(phase)]))


def _width(rgb: Array, fs_hz: float, window_s: float) -> int:
    return int(max(2, min(rgb.shape[-2], round(window_s * fs_hz))))


def _moving_sum(values: Array, width: int) -> Array:
    """Sums over each full window along the last axis but one: (..., N, C) -> (..., N - width + 1, C)."""
    total = np.cumsum(values, axis=-2)
    total = np.concatenate([np.zeros_like(total[..., :1, :]), total], axis=-2)
    return np.asarray(total[..., width:, :] - total[..., :-width, :])


def _moments(rgb: Array, width: int) -> tuple[Array, Array]:
    """Mean (..., W, 3) and covariance (..., W, 3, 3) of every window."""
    centre = rgb.mean(axis=-2, keepdims=True)
    x = rgb - centre  # keeps the sums of squares small beside their differences
    products = (x[..., :, None] * x[..., None, :]).reshape(*x.shape[:-1], 9)
    sums = _moving_sum(np.concatenate([x, products], axis=-1), width) / width
    mean, second = sums[..., :3], sums[..., 3:].reshape(*sums.shape[:-1], 3, 3)
    cov = second - mean[..., :, None] * mean[..., None, :]
    return np.maximum(mean + centre, 1e-6), cov


def _deviation(cov: Array, weights: Array) -> Array:
    variance = np.einsum("...i,...ij,...j->...", weights, cov, weights)
    return np.asarray(np.sqrt(np.maximum(variance, 0.0)))


def _spread_back(per_window: Array, width: int) -> Array:
    """For each sample, the mean over the windows that hold it: (..., W, C) -> (..., W + width - 1, C)."""
    pad = np.zeros((*per_window.shape[:-2], width - 1, per_window.shape[-1]))
    total = _moving_sum(np.concatenate([pad, per_window, pad], axis=-2), width)
    held = np.minimum(np.arange(1, total.shape[-2] + 1), per_window.shape[-2])
    return np.asarray(total / np.minimum(np.minimum(held, held[::-1]), width)[:, None])


def _moving_mean(values: Array, width: int) -> Array:
    """Centred mean of (..., N, C), narrower at the ends."""
    half = width // 2
    pad = np.zeros((*values.shape[:-2], half, values.shape[-1]))
    total = _moving_sum(np.concatenate([pad, values, pad], axis=-2), 2 * half + 1)
    ones = np.convolve(np.ones(values.shape[-2]), np.ones(2 * half + 1), "full")[half : half + values.shape[-2]]
    return np.asarray(total / ones[:, None])


def _relative(rgb: Array, fs_hz: float) -> Array:
    return np.asarray(rgb / np.maximum(_moving_mean(rgb, _width(rgb, fs_hz, 1.0)), 1e-6) - 1.0)
