"""The 38 features of Chambers 2020 (IEEE TNSRE 28:2431) for researchers, by their published names.

Written anew from the formulas in the authors' build_features.py and util_data.py (Infant_movement_assessment), in the
form of compute_surprise.py's list without its four of speed. They were made for awake infants on their backs, seen
from above by a still camera; norms are the authors'. Not an assessment, and nothing the device sends.

Where we depart: gaps are bridged up to 0.5 s, not all; windows of smoothing have odd widths; the SD of an angle is the
circular one in degrees, where theirs is sqrt(degrees(1 - R)), with R = exp(-(SD in radians)^2 / 2); IQR_acc is a plain
IQR, as in the MIT re-implementation; a side seen in less than 70 % of the window, or a rate below 10 poses a second,
gives NaN and not a figure of the other side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgemon.movement import formulas as f
from edgemon.movement.body import HIPS, SHOULDERS, VISIBLE, Array, rate_hz

SMOOTH_S: Final = 0.5  # median, then mean, of places
DERIVATIVE_S: Final = 0.25  # mean, trailing, of velocities and accelerations
ENOUGH: Final = 0.7

# left and right joint of each part; the angle at an elbow is between shoulder and wrist, at a knee between hip and heel
EXTREMITIES: Final = {"Ankle": (10, 11), "Wrist": (4, 5)}
ANGLES: Final = {"Knee": ((6, 8, 10), (7, 9, 11)), "Elbow": ((0, 2, 4), (1, 3, 5))}
_PLACE: Final = ("medianx", "mediany", "IQRx", "IQRy", "medianvelx", "medianvely", "IQRvelx", "IQRvely",
                 "IQRaccx", "IQRaccy", "meanent", "lrCorr_x")  # fmt: skip
_ANGLE: Final = ("mean_angle", "stdev_angle", "entropy_angle", "median_vel_angle", "IQR_vel_angle", "IQR_acc_angle",
                 "lrCorr_angle")  # fmt: skip
FEATURES: Final = (
    *(f"{part}_{name}" for part in EXTREMITIES for name in _PLACE),
    *(f"{part}_{name}" for part in ANGLES for name in _ANGLE),
)


@dataclass(frozen=True, slots=True)
class Row:
    """The features of one window of one bed, in the order of FEATURES; NaN where too little was seen."""

    bed: str
    start_s: float
    end_s: float
    pose_hz: float
    seen: float  # share of the limbs' and the trunk's twelve joints in its poses that were seen
    values: tuple[float, ...]


def rows(
    bed: str,
    at_s: Sequence[float],
    keypoints: Sequence[NDArray[np.float32]],
    *,
    window_s: float = 60.0,
    visible: float = VISIBLE,
) -> list[Row]:
    """One row for each whole window of poses (14, 3) at increasing times, from the first pose on.

    What remains at the end makes a row of its own where it is at least half a window, or all there is.
    """
    times, joints = np.asarray(at_s, float), np.asarray(keypoints, float).reshape(-1, 14, 3)
    found: list[Row] = []
    start_s = float(times[0]) if len(times) else 0.0
    while len(times) > 1 and (not found or times[-1] - start_s >= window_s / 2):
        inside = (times >= start_s) & (times < start_s + window_s)
        if inside.any():
            told = features(times[inside], joints[inside], visible)
            seen = float((joints[inside, :12, 2] > visible).mean())
            end_s = min(start_s + window_s, float(times[-1]))
            found.append(Row(bed, start_s, end_s, rate_hz(times[inside]), seen, tuple(told[n] for n in FEATURES)))
        start_s += window_s
    return found


def features(at_s: Array, joints: Array, visible: float = VISIBLE) -> dict[str, float]:
    """The features by name of poses (n, 14, 3) at increasing times.

    Places are in trunk lengths: x towards the infant's left, y towards its feet, from the middle of the shoulders; the
    hips' middle lies at (0, 1). Angles are in degrees, velocities a second, entropies in nats.
    """
    hz = rate_hz(at_s)
    if hz < f.FAST_HZ:
        return dict.fromkeys(FEATURES, float("nan"))
    places = _smooth(_even(at_s, joints, hz, visible), hz)
    own = _normalised(places)
    told: dict[str, float] = {}
    for part, sides in EXTREMITIES.items():
        whole = [own[:, joint] for joint in sides]
        told |= _both(part, [_place_features(side, hz) for side in whole])
        left, right = (np.linalg.norm(side, axis=1) for side in whole)
        told[f"{part}_lrCorr_x"] = _correlation(left, right, hz)
    for part, corners in ANGLES.items():
        angles = [_bend_deg(*(places[:, joint] for joint in side)) for side in corners]
        told |= _both(part, [_angle_features(angle, hz) for angle in angles])
        told[f"{part}_lrCorr_angle"] = _correlation(angles[0], angles[1], hz)
    return told


def _even(at_s: Array, joints: Array, hz: float, visible: float) -> Array:
    """Places (m, 14, 2) at even times, NaN where a joint was not seen."""
    places = np.where(joints[..., 2:] > visible, joints[..., :2], np.nan)
    even_s = at_s[0] + np.arange(int((at_s[-1] - at_s[0]) * hz + 1e-6) + 1) / hz
    columns = [f.bridged(even_s, at_s, column, f.MAX_GAP_S) for column in places.reshape(len(at_s), -1).T]
    return np.stack(columns, axis=1).reshape(len(even_s), 14, 2)


def _smooth(places: Array, hz: float) -> Array:
    width = f.odd(SMOOTH_S * hz)
    return f.rolling_mean(f.rolling_median(places, width), width)


def _normalised(places: Array) -> Array:
    """Places turned by the line of the shoulders (arms) or hips (legs), in trunk lengths of their own frame."""
    shoulders, hips = places[:, SHOULDERS].mean(axis=1), places[:, HIPS].mean(axis=1)
    trunk = np.linalg.norm(shoulders - hips, axis=1)
    trunk = np.where(trunk > 0, trunk, np.nan)[:, None]
    own = np.full_like(places, np.nan)
    for joints, (left, right), origin, down in (
        (EXTREMITIES["Wrist"], SHOULDERS, shoulders, 0.0),
        (EXTREMITIES["Ankle"], HIPS, hips, 1.0),
    ):
        across = places[:, left] - places[:, right]
        across = across / np.where(np.any(across, axis=1), np.linalg.norm(across, axis=1), np.nan)[:, None]
        along = np.stack([-across[:, 1], across[:, 0]], axis=1)
        for joint in joints:
            away = (places[:, joint] - origin) / trunk
            own[:, joint] = np.stack([(away * across).sum(axis=1), (away * along).sum(axis=1) + down], axis=1)
    return own


def _bend_deg(a: Array, corner: Array, b: Array) -> Array:
    """Angle 0..180 at `corner`: 180 is a straight limb."""
    one, two = a - corner, b - corner
    cross = one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]
    return np.asarray(np.degrees(np.abs(np.arctan2(cross, (one * two).sum(axis=1)))))


def _derivative(values: Array, hz: float) -> Array:
    """Differences a second, then their trailing mean; the first, which have no whole window, are NaN."""
    width = max(1, int(DERIVATIVE_S * hz))
    raw = np.full_like(values, np.nan)
    raw[1:] = np.diff(values, axis=0) * hz
    smooth = np.full_like(raw, np.nan)
    if len(raw) >= width:
        smooth[width - 1 :] = np.lib.stride_tricks.sliding_window_view(raw, width, axis=0).mean(axis=-1)
    return smooth


def _place_features(side: Array, hz: float) -> dict[str, float]:
    velocity = _derivative(side, hz)
    acceleration = _derivative(velocity, hz)
    told: dict[str, float] = {}
    for axis, name in enumerate("xy"):
        told |= {
            f"median{name}": _median(side[:, axis]),
            f"IQR{name}": _iqr(side[:, axis]),
            f"medianvel{name}": _median(np.abs(velocity[:, axis])),
            f"IQRvel{name}": _iqr(velocity[:, axis]),
            f"IQRacc{name}": _iqr(acceleration[:, axis]),
        }
    told["meanent"] = (_entropy(side[:, 0].round(2)) + _entropy(side[:, 1].round(2))) / 2
    return told


def _angle_features(angle: Array, hz: float) -> dict[str, float]:
    velocity = _derivative(angle, hz)
    known = np.radians(angle[np.isfinite(angle)])
    enough = len(known) >= ENOUGH * len(angle)
    mean = complex(np.exp(1j * known).mean()) if enough else complex(np.nan, np.nan)
    length = float(np.minimum(1.0, abs(mean)))
    return {
        "mean_angle": float(np.degrees(np.angle(mean))),
        "stdev_angle": float(np.degrees(np.sqrt(-2 * np.log(length)))) if length > 0 else float("nan"),
        "entropy_angle": _entropy(angle.round()),
        "median_vel_angle": _median(np.abs(velocity)),
        "IQR_vel_angle": _iqr(velocity),
        "IQR_acc_angle": _iqr(_derivative(velocity, hz)),
    }


def _both(part: str, sides: list[dict[str, float]]) -> dict[str, float]:
    """The mean of left and right; of medianx, where the sides have opposite signs, that is their asymmetry."""
    left, right = sides
    return {f"{part}_{name}": (left[name] + right[name]) / 2 for name in left}


def _seen(values: Array) -> Array:
    """Values that are known, or none where they are fewer than ENOUGH."""
    known = values[np.isfinite(values)]
    return known if len(known) and len(known) >= ENOUGH * len(values) else known[:0]


def _median(values: Array) -> float:
    known = _seen(values)
    return float(np.median(known)) if len(known) else float("nan")


def _iqr(values: Array) -> float:
    known = _seen(values)
    return float(np.subtract(*np.quantile(known, (0.75, 0.25)))) if len(known) else float("nan")


def _entropy(rounded: Array) -> float:
    known = _seen(rounded)
    if not len(known):
        return float("nan")
    _, counts = np.unique(known, return_counts=True)
    share = counts / counts.sum()
    return max(0.0, float(-(share * np.log(share)).sum()))


def _correlation(left: Array, right: Array, hz: float) -> float:
    both = np.isfinite(left) & np.isfinite(right)
    return f.correlation(left, right, hz) if both.mean() >= ENOUGH else float("nan")
