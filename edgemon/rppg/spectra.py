"""Spectra over the rates of a newborn's heart: shares of power at GRID_BPM, their peaks and signal-to-noise ratios."""

from __future__ import annotations

from typing import Final

import numpy as np

from edgemon.rppg.sampling import Array

LOW_BPM: Final = 72.0
HIGH_BPM: Final = 240.0
GRID_BPM: Final[Array] = np.arange(LOW_BPM, HIGH_BPM + 0.5, 1.0)  # peaks are interpolated between these
BELOW_BPM: Final[Array] = np.arange(LOW_BPM / 2, LOW_BPM, 1.0)  # looked at lest a slow heart's harmonic be its rate


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
