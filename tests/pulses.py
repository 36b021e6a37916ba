"""Made skin traces for tests: a pulse of known rate in the colour of skin."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgemon.records import SkinSample

Array = NDArray[np.float64]
SKIN = np.array([150.0, 110.0, 90.0])
PULSE = np.array([0.33, 0.77, 0.53])  # of blood volume in R, G, B (de Haan 2014)


def times(seconds: float, seed: int = 0, jitter_s: float = 0.004) -> Array:
    """About 30 irregular times a second, rising."""
    steps = 1 / 30 + np.random.default_rng(seed).uniform(-jitter_s, jitter_s, round(seconds * 30) + 1)
    return np.cumsum(steps) - steps[0]


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


def crying(seed: int, seconds: float = 100.0) -> tuple[Array, Array, Array]:
    """Times (N,), RGB (N, 3, 3) of three regions and the true rate (N,) of an infant that cries and calms down.

    The rate climbs by 0.5-2 bpm/s while jaw, head and lids move at 0.6-1.2 Hz with harmonics, in each region along a
    colour of its own, and falls as fast in the calm after it; means are quantised as after a video encoder.
    """
    rng = np.random.default_rng(seed)
    t_s = times(seconds, seed)
    edges = np.cumsum([rng.uniform(15, 25), rng.uniform(10, 25), rng.uniform(15, 25), rng.uniform(10, 25)])
    cries = (np.searchsorted(edges, t_s, side="right") % 2).astype(float)
    step_s = np.gradient(t_s)
    bpm = _rate(rng, t_s, step_s, cries)
    phase = 2 * np.pi * np.cumsum(bpm / 60 * step_s)
    beat = np.cos(phase) + rng.uniform(0.1, 0.4) * np.cos(2 * phase + 1.0)
    swing = _swing(rng, t_s, step_s) * np.convolve(cries, np.ones(30) / 30, "same")[:, None]
    skin = SKIN * rng.uniform(0.7, 1.3)
    rgb = np.empty((len(t_s), 3, 3))
    for region in range(3):
        pulse = rng.uniform(0.0006, 0.003) * beat[:, None] * PULSE * (1 + rng.normal(0, 0.05, 3))
        tint = rng.uniform(0.2, 1.0, (3, 1)) * (1 + rng.normal(0, 0.35, (3, 3)))  # of jaw, head and lids
        rgb[:, region] = skin * (1 + pulse + swing @ tint) + rng.normal(0, rng.uniform(0.05, 0.2), (len(t_s), 3))
    quantum = rng.uniform(0.02, 0.15)
    rgb = quantum * np.round(rgb / quantum)
    lost_s = rng.uniform(20, seconds - 10)
    rgb[(t_s > lost_s) & (t_s < lost_s + rng.uniform(0.3, 4.0)), rng.integers(3)] = np.nan
    return t_s, rgb, bpm


def _rate(rng: np.random.Generator, t_s: Array, step_s: Array, cries: Array) -> Array:
    """From a rate at rest up to one of crying and back, with some variability."""
    rest, top, up, down = rng.uniform(110, 145), rng.uniform(170, 200), rng.uniform(0.5, 2.0), rng.uniform(0.5, 2.0)
    bpm = np.empty_like(t_s)
    now = rest
    for i, cry in enumerate(cries):
        now = min(top, now + up * step_s[i]) if cry else max(rest, now - down * step_s[i])
        bpm[i] = now
    return bpm + 1.5 * np.sin(2 * np.pi * t_s / rng.uniform(7, 15) + rng.uniform(0, 6))


def _swing(rng: np.random.Generator, t_s: Array, step_s: Array) -> Array:
    """Brightness (N, 3) moved by jaw, head and lids: one rhythm, each with harmonics of its own."""
    hz = rng.uniform(0.6, 1.2) * (1 + 0.03 * np.sin(2 * np.pi * t_s / rng.uniform(6, 20)))
    phase = 2 * np.pi * np.cumsum(hz * step_s)
    strength = rng.uniform(0.003, 0.04, 3)
    waves = [
        sum(rng.uniform(0.3, 1.0) / k * np.cos(k * phase + rng.uniform(0, 6)) for k in range(1, 5)) for _ in range(3)
    ]
    return np.asarray(np.stack(waves, axis=1) * strength)
