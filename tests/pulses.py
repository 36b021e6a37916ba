"""Made skin traces for tests: a pulse of known rate in the colour of skin."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgemon.records import SkinSample
from export.heart_rate.made import PULSE, SKIN, crying, times

__all__ = ["PULSE", "SKIN", "colours", "crying", "times", "trace"]

Array = NDArray[np.float64]


def colours(t_s: Array, bpm: float, amplitude: float = 0.004, harmonic: float = 0.3) -> Array:
    """RGB (N, 3) of pulsing skin."""
    phase = 2 * np.pi * bpm / 60 * t_s
    beat = np.cos(phase) + harmonic * np.cos(2 * phase + 1.0)
    return SKIN * (1 + amplitude * beat[:, None] * PULSE)


def trace(t_s: Array, rgb: Array, seed: int = 0, noise: float = 0.05, track_id: int = 1) -> list[SkinSample]:
    """Samples of three regions with the same colour (N, 3) and each its own sensor noise."""
    noisy = rgb[:, None] + np.random.default_rng(seed).normal(0, noise, (len(t_s), 3, 3))
    return [
        SkinSample(float(t), i, track_id, v.astype(np.float32)) for i, (t, v) in enumerate(zip(t_s, noisy, strict=True))
    ]
