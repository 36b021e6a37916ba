"""Made infants for the tests of movement: poses whose speeds are known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edgemon.records import Pose

Array = NDArray[np.float64]

# on the back, seen from above, head up: the infant's right lies at the image's left; the trunk is 100 px long
REST = np.array(
    [
        (40, 0), (-40, 0), (62, 25), (-60, 22), (70, 50), (-72, 46), (25, 100), (-25, 100),
        (38, 130), (-36, 128), (30, 165), (-31, 168), (0, -70), (0, -15),
    ],
    float,
)  # fmt: skip
TRUNK_PX = 100.0


def keypoints(places: Array, scores: Array | float = 1.0) -> NDArray[np.float32]:
    """Places (14, 2) px and their scores as (14, 3)."""
    return np.column_stack([places, np.broadcast_to(scores, 14)]).astype(np.float32)


def pose(places: Array, scores: Array | float = 1.0) -> Pose:
    """A pose that is sure of its infant."""
    return Pose(keypoints(places, scores), 0.9, None, None)


def times(seconds: float, hz: float) -> Array:
    """Even times from 0 on."""
    return np.arange(int(seconds * hz)) / hz


def swinging(at_s: Array, swings: dict[int, tuple[float, float, float]]) -> Array:
    """Places (n, 14, 2) of an infant at rest but for joints that swing along x: amplitude in trunks, Hz, phase."""
    places = np.repeat(REST[None], len(at_s), axis=0) + np.array([300.0, 200.0])
    for joint, (amplitude, hz, phase) in swings.items():
        places[:, joint, 0] += amplitude * TRUNK_PX * np.sin(2 * np.pi * hz * at_s + phase)
    return places


def turned(places: Array, scale: float, angle_rad: float, shift: tuple[float, float]) -> Array:
    """The same infant elsewhere in the picture: scaled, turned and shifted."""
    cos, sin = np.cos(angle_rad), np.sin(angle_rad)
    return scale * places @ np.array([[cos, sin], [-sin, cos]]) + shift


def scored(places: Array, seen: Callable[[int], bool] = lambda joint: True) -> Array:
    """Places (n, 14, 2) with score 1 where a joint is seen and 0 elsewhere: (n, 14, 3)."""
    scores = np.array([float(seen(joint)) for joint in range(14)])
    return np.concatenate([places, np.broadcast_to(scores[None, :, None], (*places.shape[:2], 1))], axis=-1)
