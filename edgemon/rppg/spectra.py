"""Spectra over the rates of a newborn's heart: shares of power at GRID_BPM, their peaks and signal-to-noise ratios."""

from __future__ import annotations

from typing import Final

import numpy as np

from edgemon.rppg.sampling import Array

LOW_BPM: Final = 72.0
HIGH_BPM: Final = 240.0
GRID_BPM: Final[Array] = np.arange(LOW_BPM, HIGH_BPM + 0.5, 1.0)  # peaks are interpolated between these
BELOW_BPM: Final[Array] = np.arange(LOW_BPM / 2, LOW_BPM, 1.0)  # looked at lest a slow heart's harmonic be its rate
_TWICE: Final = slice(int(LOW_BPM), None, 2)  # of GRID_BPM, the doubles of its first rates
_COUNT: Final = len(GRID_BPM[_TWICE])


def shares_of(power: Array) -> Array:
    """Powers (..., B) as shares that sum to 1; all equal without power."""
    total = power.sum(axis=-1, keepdims=True)
    return np.asarray(np.where(total > 1e-30, power / np.maximum(total, 1e-30), 1.0 / power.shape[-1]))


def peak_bpm(shares: Array) -> float:
    """Where (B,) is highest, interpolated by a parabola through three bins to far below 1 bpm."""
    i = int(np.clip(np.argmax(shares), 1, len(shares) - 2))
    left, top, right = (float(v) for v in shares[i - 1 : i + 2])
    curve = left - 2 * top + right
    shift = 0.5 * (left - right) / curve if curve < 0 else 0.0
    return float(GRID_BPM[i] + min(1.0, max(-1.0, shift)) * (GRID_BPM[1] - GRID_BPM[0]))


def snr(shares: Array, bpm: Array, window_s: float | Array) -> Array:
    """Power at the rates `bpm` (...) and their first harmonics over the rest of the band, within 0.001..1000.

    De Haan 2013, eq. 18, with shares (..., B) of windows (...) and a mask of three quarters of the Hann window's main
    lobe.
    """
    width = np.asarray(90.0 / window_s)[..., None]
    at, twice = bpm[..., None], 2 * bpm[..., None]
    near = (np.abs(GRID_BPM - at) <= width) | (np.abs(GRID_BPM - twice) <= width)
    signal = np.einsum("...b,...b->...", shares, near)
    return np.asarray(np.clip(np.maximum(signal, 1e-9) / np.maximum(1 - signal, 1e-9), 1e-3, 1e3))


def with_harmonics(shares: Array) -> Array:
    """Each rate's share (..., B) raised by its first harmonic's, up to doubling it, so that 106 is not read as 212.

    A rate that has no power of its own gains nothing from its double, so 212 is not read as 106 either.
    """
    raised = shares.copy()
    raised[..., :_COUNT] += np.minimum(shares[..., :_COUNT], shares[..., _TWICE])
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))


def combine(shares: Array, window_s: Array) -> Array:
    """One spectrum (..., B) of many (..., K, B) in windows (...): their harmonics folded in, weighed by their SNR."""
    folded = with_harmonics(shares)
    weights = snr(shares, GRID_BPM[folded.argmax(axis=-1)], window_s[..., None])
    total = weights.sum(axis=-1, keepdims=True)
    return np.asarray((weights[..., None, :] @ folded)[..., 0, :] / total)
