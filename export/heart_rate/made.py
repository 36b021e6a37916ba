"""Made skin traces of a known rate: what the mathematics can do, and what a quality may be fitted on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from export.heart_rate.traces import Array, Recording

SKIN = np.array([150.0, 110.0, 90.0])
PULSE = np.array([0.33, 0.77, 0.53])  # of blood volume in R, G, B (de Haan 2014)
FPS, SECONDS = 30, 90


@dataclass(frozen=True, slots=True)
class Recipe:
    """Amplitude of the pulse and of motion as shares of the light, noise in levels, share of frames dropped.

    `harmonic` is the strength of twice the rate against the rate itself; `bpm` the range of rates.
    """

    amplitude: float
    noise: float
    motion: float
    drop: float = 0.0
    regions: int = 3
    harmonic: float = 0.35
    bpm: tuple[float, float] = (95.0, 215.0)


MADE: Mapping[str, Recipe] = {
    "made: still": Recipe(0.004, 0.06, 0.005),
    "made: noisy": Recipe(0.003, 0.15, 0.005, 0.02),
    "made: moving": Recipe(0.004, 0.06, 0.03, 0.02),
    "made: faint": Recipe(0.001, 0.15, 0.01),
    "made: fainter": Recipe(0.0005, 0.12, 0.01),
    "made: one region": Recipe(0.003, 0.1, 0.01, regions=1),
    "made: strong harmonic": Recipe(0.003, 0.06, 0.005, harmonic=0.9, bpm=(76.0, 118.0)),
    "made: below the band": Recipe(0.004, 0.06, 0.005, bpm=(46.0, 64.0)),
    "made: photograph, still": Recipe(0.0, 0.06, 0.0),
    "made: photograph, moving": Recipe(0.0, 0.06, 0.03),
    "made: photograph, one region": Recipe(0.0, 0.06, 0.03, regions=1),
}


def made(seed: int, name: str, how: Recipe) -> Recording:
    """90 s at about 30 fps: a pulse with variability, motion common to all regions, drift and sensor noise."""
    rng = np.random.default_rng(seed)
    t_s = np.cumsum(np.maximum(1 / FPS + rng.normal(0, 0.003, FPS * SECONDS), 0.004))
    t_s = t_s[rng.random(len(t_s)) >= how.drop]
    n = len(t_s)
    wander = np.cumsum(rng.normal(0, 1, n)) * 0.08
    bpm = np.clip(rng.uniform(*how.bpm) + wander - wander.mean(), how.bpm[0] - 7, how.bpm[1] + 10)
    phase = 2 * np.pi * np.cumsum(bpm / 60 * np.gradient(t_s))
    beat = -(np.cos(phase) + how.harmonic * np.cos(2 * phase + 1.0)) * (1 + 0.2 * np.sin(2 * np.pi * 0.7 * t_s))
    skin = np.array([rng.uniform(90, 200), rng.uniform(60, 140), rng.uniform(45, 120)])
    shade = 1 + 0.05 * np.sin(2 * np.pi * t_s / rng.uniform(20, 60))
    bouts = np.repeat(rng.random(n // 60 + 1) < 0.3, 60)[:n]
    walk = np.convolve(np.cumsum(rng.normal(0, 1, n)) - np.linspace(0, 1, n), np.ones(5) / 5, "same")
    shake = how.motion * bouts * np.tanh((walk - np.convolve(walk, np.ones(31) / 31, "same")) / 2)
    rgb = np.empty((n, how.regions, 3))
    for region in range(how.regions):
        pulse = how.amplitude * rng.uniform(0.6, 1.2) * beat[:, None] * PULSE
        glare = rng.uniform(0.3, 1.0) * shake[:, None] * (1 + rng.normal(0, 0.05, 3))
        rgb[:, region] = skin * (shade[:, None] + pulse + glare) + rng.normal(0, how.noise, (n, 3))
    return Recording(f"{name} {seed}", f"seed {seed}", name, "made", t_s, rgb, bpm if how.amplitude > 0 else None)


def every(seeds: range) -> Iterator[Recording]:
    """One trace of each kind per seed, two of crying."""
    for seed in seeds:
        for name, how in MADE.items():
            yield made(seed, name, how)
        for cry in (2 * seed, 2 * seed + 1):
            yield Recording(f"made: crying {cry}", f"seed {cry}", "made: crying", "made", *crying(cry))


def times(seconds: float, seed: int = 0, jitter_s: float = 0.004) -> Array:
    """About 30 irregular times a second, rising."""
    steps = 1 / FPS + np.random.default_rng(seed).uniform(-jitter_s, jitter_s, round(seconds * FPS) + 1)
    return np.asarray(np.cumsum(steps) - steps[0])


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
