"""Poses over time as places of the limbs' ends in the infant's own frame, in trunk lengths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

VISIBLE: Final = 0.2  # Passmore 2024 drops points of a likelihood up to this
SHOULDERS: Final = (0, 1)
HIPS: Final = (6, 7)
GAP_STEPS: Final = 2.5  # of the median step: a longer one is a gap
FASTEST_HZ: Final = 240.0  # no camera of ours is faster; what seems so is two poses of nearly one time
ENDS: Final = (4, 5, 10, 11)  # left and right wrist, left and right ankle
LIMBS: Final = ("left_arm", "right_arm", "left_leg", "right_leg")


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """Where the four ends are: wrists from the middle of the shoulders, ankles from that of the hips.

    The y axis runs from the hips to the shoulders; lengths are in trunks, so nothing depends on where the infant
    lies, how it is turned or how large it is in the picture. NaN: not seen.
    """

    at_s: Array  # (n,), increasing
    ends: Array  # (n, 4, 2): left arm, right arm, left leg, right leg

    @property
    def hz(self) -> float:
        """How often there was a pose while there were poses."""
        return rate_hz(self.at_s)


def rate_hz(at_s: Array) -> float:
    """One over the mean of the steps of increasing times that are no gaps; 0 where there is none, FASTEST_HZ at most.

    A pose ten times a second of 25 frames comes after two frames or three: the mean tells ten, and the median does not.
    """
    steps_s = np.diff(at_s)
    steps_s = steps_s[steps_s > 0]
    if not steps_s.size:
        return 0.0
    usual_s = steps_s[steps_s <= GAP_STEPS * np.median(steps_s)]
    return min(FASTEST_HZ, float(1 / usual_s.mean()))


def track_of(at_s: Sequence[float], keypoints: Sequence[NDArray[np.float32]], visible: float = VISIBLE) -> Track:
    """The ends' track in poses (14, 3) at increasing times.

    An end counts where its score is above `visible`. The trunk's four joints give frame and length; a blanket may hide
    two of them, whose places the network guesses, and never more. The length is the median of the poses: breathing,
    noise and a moment on the side do not stretch the limbs.
    """
    if not keypoints:
        return Track(np.zeros(0), np.zeros((0, 4, 2)))
    joints = np.asarray(keypoints, float)
    places, seen = joints[..., :2], joints[..., 2] > visible
    shoulders, hips = places[:, SHOULDERS].mean(axis=1), places[:, HIPS].mean(axis=1)
    trunk = shoulders - hips
    length = np.linalg.norm(trunk, axis=1)
    framed = (seen[:, SHOULDERS + HIPS].sum(axis=1) >= 2) & (length > 0)
    unit = np.where(framed[:, None], trunk, np.nan) / np.where(framed, length, 1.0)[:, None]
    scale = float(np.median(length[framed])) if framed.any() else np.nan
    origins = np.stack([shoulders, shoulders, hips, hips], axis=1)
    away = (places[:, ENDS] - origins) / scale
    across, along = np.stack([-unit[:, 1], unit[:, 0]], axis=-1)[:, None], unit[:, None]
    ends = np.stack([(away * across).sum(axis=-1), (away * along).sum(axis=-1)], axis=-1)
    ends[~seen[:, ENDS]] = np.nan
    return Track(np.asarray(at_s, float), ends)
