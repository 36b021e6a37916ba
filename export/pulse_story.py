"""What happens in a window of a few seconds: heart, head, tracker, light and hands, as series over its frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgemon.rppg import HIGH_BPM, LOW_BPM
from export.infant.script import ppg

Rng = np.random.Generator
Series = NDArray[np.float64]

LOOK_S: Final = 0.2  # between two runs of the face detector
DELAY_S: Final = 0.06  # by which the pulse comes later at the far end of the face
STATES: Final = ("asleep", "awake", "crying")
_STATE_SHARES: Final = (0.35, 0.35, 0.3)
_SLOW_CAMERA: Final = 0.12  # share of windows at 15-27 frames a second
_LANDMARK: Final = np.array([0.012, 0.012, 0.022, 0.022])  # x, y, log size, turn: a detector's jitter, 1 % of the face
_GLIDE_S: Final = 0.8  # as the tracker of edgemon smooths: slowly at rest, at once after a leap
_AT_REST: Final = 0.03 * 2.6


@dataclass(frozen=True, slots=True)
class Story:
    """One window: `t_s` (N,) of its frames; rate and wave of the pulse; what the face does in its patch."""

    t_s: Series
    state: str
    bpm: Series
    wave: Series
    late: Series  # the wave where it comes last
    pose: Series  # (N, 4) of the head: x, y in eye distances, log size, turn in rad
    slip: Series  # (N, 4) of the face in the patch: what the tracker does not follow
    cry_phase: Series  # in cycles


def tell(rng: Rng, seconds: float) -> Story:
    """A random window of at least `seconds`."""
    t_s = frame_times(rng, seconds)
    bpm, beats = heart(rng, t_s)
    state = str(rng.choice(STATES, p=_STATE_SHARES))
    cry_phase = rng.uniform() + np.cumsum(np.gradient(t_s) * rng.uniform(0.6, 1.4) * (1 + 0.1 * wander(rng, t_s, 0.3)))
    pose = head(rng, t_s, state, cry_phase)
    late = ppg(beats - DELAY_S * bpm / 60)
    return Story(t_s, state, bpm, ppg(beats), late, pose, pose - followed(rng, t_s, pose), cry_phase)


def frame_times(rng: Rng, seconds: float) -> Series:
    """Times of frames as a camera tells them: jitter, frames that are lost, sometimes a slow rate."""
    rate_hz = rng.uniform(15, 27) if rng.random() < _SLOW_CAMERA else rng.uniform(29.5, 30.5)
    count = int(np.ceil(seconds * rate_hz)) + 2
    t_s = (np.arange(count) + np.clip(rng.normal(0, 0.08, count) * rng.random(), -0.4, 0.4)) / rate_hz
    kept = rng.random(count) >= (rng.uniform(0, 0.08) if rng.random() < 0.3 else 0.0)
    kept[[0, -1]] = True
    return np.asarray(t_s[kept] - t_s[0])


def heart(rng: Rng, t_s: Series) -> tuple[Series, Series]:
    """Rate in bpm (N,) and beats so far (N,): any rate of the band alike, with drift, breathing and uneven beats."""
    base = rng.uniform(LOW_BPM, HIGH_BPM)
    drift = rng.normal(0, 1.2) * (t_s - t_s[-1] / 2)
    waves = rng.exponential(1.0) * wander(rng, t_s, 0.2) + rng.exponential(0.6) * wander(rng, t_s, 1.0)
    bpm = np.clip(base + drift + waves, LOW_BPM, HIGH_BPM)
    return bpm, rng.uniform() + np.cumsum(bpm / 60 * np.gradient(t_s))


def wander(rng: Rng, t_s: Series, fastest_hz: float, count: int | None = None) -> Series:
    """Smooth random series of about unit spread: (N,), or (N, count)."""
    shape = (3, count or 1)
    hz, phase = fastest_hz * rng.uniform(0.15, 1, shape), rng.uniform(0, 2 * np.pi, shape)
    waves = np.sqrt(2 / 3) * np.sin(2 * np.pi * hz * t_s[:, None, None] + phase).sum(axis=1)
    return np.asarray(waves if count else waves[:, 0])


def rhythm(rng: Rng, phase: Series, harmonics: int = 4) -> Series:
    """A wave (N,) of a movement that repeats, with harmonics, which fall among the heart's rates."""
    order = np.arange(1, harmonics + 1)
    weights = rng.uniform(0.2, 1, harmonics) / order
    return np.asarray(np.cos(2 * np.pi * (phase[:, None] * order + rng.uniform(0, 1, harmonics))) @ weights)


def head(rng: Rng, t_s: Series, state: str, cry_phase: Series) -> Series:
    """The head's pose (N, 4): it breathes, sways, starts and, crying, jolts."""
    sway = {"asleep": 0.01, "awake": 0.06, "crying": 0.1}[state] * rng.lognormal(0, 0.6)
    scales = np.array([1, 1, 0.25, 0.6])
    pose = sway * wander(rng, t_s, rng.uniform(0.2, 0.8), 4) * scales
    pose += rng.exponential(0.004) * wander(rng, t_s, rng.uniform(0.4, 1.2), 1) * rng.normal(0, 1, 4) * scales
    if state == "crying":
        pose += rng.exponential(0.015) * rhythm(rng, cry_phase)[:, None] * rng.normal(0, 1, 4) * scales
    for _ in range(rng.poisson(0.4 if state != "asleep" else 0.05)):
        start_s, lasts_s = rng.uniform(0, t_s[-1]), rng.uniform(0.15, 0.8)
        eased = np.clip((t_s - start_s) / lasts_s, 0, 1)
        pose += (eased**2 * (3 - 2 * eased))[:, None] * rng.normal(0, 0.3, 4) * scales
    return np.asarray(pose)


def followed(rng: Rng, t_s: Series, pose: Series) -> Series:
    """What the tracker makes (N, 4) of a pose from a detector's jittered looks: it glides towards the last one."""
    jitter = _LANDMARK * rng.uniform(0.2, 1.6)
    out = np.empty_like(pose)
    shown, first = pose[0] + rng.normal(0, jitter) / 2, 0
    for look_s in np.arange(rng.uniform(0, LOOK_S), t_s[-1] + LOOK_S, LOOK_S):
        after = int(np.searchsorted(t_s, look_s))
        target = pose[max(0, first - 1)] + rng.normal(0, jitter)
        glide_s = _GLIDE_S / (1 + float(np.mean((target - shown) ** 2)) / _AT_REST**2)
        out[first:after] = target + (shown - target) * np.exp(-(t_s[first:after] - look_s + LOOK_S) / glide_s)[:, None]
        shown, first = target + (shown - target) * np.exp(-LOOK_S / glide_s), after
    return out


def steps(rng: Rng, t_s: Series, size: float, often: float) -> Series:
    """Log gain (N,) of exposure or balance that is changed now and then, within a frame or a second."""
    gain = np.zeros_like(t_s)
    for _ in range(rng.poisson(often)):
        begins_s, lasts_s = rng.uniform(0, t_s[-1]), np.exp(rng.uniform(np.log(0.02), np.log(1.0)))
        gain += rng.normal(0, size) * np.clip((t_s - begins_s) / lasts_s, 0, 1)
    return gain


def shades(rng: Rng, t_s: Series, often: float) -> Series:
    """Log light (N,) that those who pass the lamp leave."""
    gain = np.zeros_like(t_s)
    for _ in range(rng.poisson(often)):
        middle_s, width_s = rng.uniform(0, t_s[-1]), rng.uniform(0.15, 1.5)
        gain += np.log1p(-rng.uniform(0.02, 0.3) * np.exp(-0.5 * ((t_s - middle_s) / width_s) ** 2))
    return gain
