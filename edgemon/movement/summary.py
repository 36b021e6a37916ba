"""A minute of poses and motion as one MovementSummary."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from edgemon.movement import formulas as f
from edgemon.movement.body import Array, Track, rate_hz
from edgemon.records import LimbMovement, Motion, MotionSummary, MovementSummary

ENOUGH: Final = 0.7  # of the minute a limb must be seen (Passmore 2024 asks for 70 % of the points)
CHANGED: Final = 0.002  # of the picture, at 80x60 ten cells: less is noise, and its centroid means nothing


def summarize(bed: str, start_s: float, end_s: float, track: Track, motion: Sequence[Motion]) -> MovementSummary:
    """What the poses and frames of one bed from `start_s` to `end_s` say; each field as its noun describes it."""
    _, step_s, velocity = f.steps(track)
    speed = np.linalg.norm(velocity, axis=-1)
    limbs = tuple(_limb(speed[:, i], step_s, end_s - start_s) for i in range(4))
    active = [limb.active for limb in limbs if limb.active is not None]
    told = np.array([limb.active is not None for limb in limbs])
    fast = _fast(track, told, speed, moved=any(active))
    return MovementSummary(
        bed=bed,
        start_s=start_s,
        end_s=end_s,
        coverage=sum(limb.seen for limb in limbs) / 4,
        pose_hz=track.hz,
        frames_hz=rate_hz(np.array([m.at_s for m in motion])),
        left_arm=limbs[0],
        right_arm=limbs[1],
        left_leg=limbs[2],
        right_leg=limbs[3],
        index=sum(active) / len(active) if active else None,
        still=_still(speed[:, told], step_s) if active else None,
        position_entropy_bits=_known(f.position_entropy_bits(_only(track, told))) if active else None,
        dominant_hz=fast.dominant_hz,
        spectral_entropy=fast.spectral_entropy,
        arms_correlation=fast.arms_correlation,
        legs_correlation=fast.legs_correlation,
        onsets=fast.onsets,
        synchrony=fast.synchrony,
        motion=summarize_motion(motion),
    )


def summarize_motion(motion: Sequence[Motion]) -> MotionSummary | None:
    """Quantity and centroid of motion of many frames; None of fewer than two.

    Adde 2009: mean and SD of the quantity; mean, SD, speed and acceleration of the centroid. Frames in which less than
    CHANGED of the picture changed have no centroid here. Its SD is the root of the sum of both axes' variances.
    """
    if len(motion) < 2:
        return None
    at_s = np.array([m.at_s for m in motion])
    quantity = np.array([m.quantity for m in motion])
    changed = quantity >= CHANGED
    centre = np.array([[np.nan if v is None else v for v in (m.x, m.y)] for m in motion], float)
    centre[~changed] = np.nan
    x, y, sd = (None, None, None)
    if changed.any():
        x, y = (float(v) for v in np.nanmean(centre, axis=0))
        sd = float(np.sqrt(np.nanvar(centre, axis=0).sum()))
    speed, acceleration = _centroid_motion(at_s, centre)
    hz = rate_hz(at_s)
    rhythm = f.rhythm(f.unbroken(at_s, quantity[:, None], hz), hz) if hz >= f.FAST_HZ else (math.nan, math.nan)
    return MotionSummary(
        quantity=float(quantity.mean()),
        quantity_sd=float(quantity.std()),
        moving=float(changed.mean()),
        x=x,
        y=y,
        centroid_sd=sd,
        centroid_speed=speed,
        centroid_acceleration=acceleration,
        dominant_hz=_known(rhythm[0]),
        spectral_entropy=_known(rhythm[1]),
    )


def _centroid_motion(at_s: Array, centre: Array) -> tuple[float | None, float | None]:
    """Mean speed and acceleration of the centroid between frames that follow one another."""
    step_s = np.diff(at_s)
    step_s = np.where(step_s <= 2.5 * np.median(step_s), step_s, np.nan)[:, None]
    velocity = np.diff(centre, axis=0) / step_s
    change = np.diff(velocity, axis=0) / step_s[1:]
    return _mean_length(velocity), _mean_length(change)


def _mean_length(vectors: Array) -> float | None:
    lengths = np.linalg.norm(vectors, axis=1)
    known = np.isfinite(lengths)
    return float(lengths[known].mean()) if known.any() else None


def _limb(speed: Array, step_s: Array, whole_s: float) -> LimbMovement:
    known = np.isfinite(speed)
    seen_s = float(step_s[known].sum())
    seen = min(1.0, seen_s / whole_s)
    if seen < ENOUGH:
        return LimbMovement(seen, None, None)
    moving_s = float(step_s[known & (speed > f.MOVING_TRUNKS_S)].sum())
    return LimbMovement(seen, float((speed[known] * step_s[known]).sum()) / seen_s, min(1.0, moving_s / seen_s))


def _still(speed: Array, step_s: Array) -> float:
    seen = np.isfinite(speed).any(axis=1)
    moved = (np.nan_to_num(speed) > f.MOVING_TRUNKS_S).any(axis=1)
    return float(np.clip(step_s[seen & ~moved].sum() / step_s[seen].sum(), 0.0, 1.0))


@dataclass(frozen=True, slots=True)
class _Fast:
    """What takes FAST_HZ poses a second."""

    dominant_hz: float | None = None
    spectral_entropy: float | None = None
    arms_correlation: float | None = None
    legs_correlation: float | None = None
    onsets: int | None = None
    synchrony: float | None = None


def _fast(track: Track, told: Array, speed: Array, *, moved: bool) -> _Fast:
    """Of the limbs `told`; rhythm only where one of them moved at all, for noise at rest has a peak too."""
    if track.hz < f.FAST_HZ or not told.any():
        return _Fast()
    even = f.even_track(_only(track, told))
    hz, known = track.hz, np.where(told, speed, np.nan)
    velocity = np.diff(even.ends, axis=0) * hz
    rhythm = f.rhythm(velocity.reshape(len(velocity), -1), hz) if moved else (math.nan, math.nan)
    begun = f.onsets(even.at_s[1:], known)
    return _Fast(
        dominant_hz=_known(rhythm[0]),
        spectral_entropy=_known(rhythm[1]),
        arms_correlation=_known(f.correlation(known[:, 0], known[:, 1], hz)),
        legs_correlation=_known(f.correlation(known[:, 2], known[:, 3], hz)),
        onsets=len(begun),
        synchrony=_known(f.synchrony(begun)),
    )


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _only(track: Track, told: Array) -> Track:
    return Track(track.at_s, np.where(told[None, :, None], track.ends, np.nan))
