"""Where in a picture an infant lies, which way round and how large: the network finds it first, then looks closely.

The first look at a whole picture tells of each infant its centre, the way of its crown and how far its joints reach;
the second is at the square around it, set upright, in which every infant is about equally large; the third at the
square that the joints then tell, which fits better. So what has to be learned of joints is small, and each infant gets
all of the network's pixels, wherever the camera hangs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edgemon.observations.pose import CELL_PX, centres
from edgemon.records import KEYPOINTS, Pose

Image = NDArray[np.uint8]
Tensor = NDArray[np.float32]

SINE, COSINE, REACH = 6, 7, 8  # channels of the attributes
REACH_PX: Final = 64.0  # of the network's input: what a reach of 0 octaves is
ROOM: Final = 1.2  # half the side of the square, in reaches
_NECK, *_HIPS = (KEYPOINTS.index(name) for name in ("neck", "left_hip", "right_hip"))
_OCTAVES: Final = 3.0  # at most more or fewer than REACH_PX


@dataclass(frozen=True, slots=True)
class Spot:
    """The square around an infant, in px of the picture; `crown_deg` clockwise from up."""

    x_px: float
    y_px: float
    half_px: float
    crown_deg: float
    score: float

    def to_square(self, side_px: int) -> NDArray[np.float64]:
        """The affine matrix (2, 3) from the picture's coordinates to those of the upright square's picture."""
        scale = side_px / (2 * self.half_px)
        cos, sin = (scale * f(math.radians(self.crown_deg)) for f in (math.cos, math.sin))
        linear = np.array([[cos, sin], [-sin, cos]])
        return np.column_stack([linear, side_px / 2 - linear @ (self.x_px, self.y_px)])


def spots(
    heatmap: Tensor, attributes: Tensor, scale: float, *, centre_from: float, several: bool = False
) -> Iterator[Spot]:
    """The infants whose centres reach `centre_from`, best first, at most one unless `several`.

    `scale` is of the network's input to the picture, as `letterbox` tells it.
    """
    for row, column in centres(heatmap[-1], centre_from, several):
        sine, cosine, reach = (float(v) for v in attributes[SINE:, row, column])
        half_px = ROOM * REACH_PX * 2 ** float(np.clip(reach, -_OCTAVES, _OCTAVES)) / scale
        angle = math.degrees(math.atan2(sine, cosine))
        score = float(np.clip(heatmap[-1, row, column], 0, 1))
        yield Spot(column * CELL_PX / scale, row * CELL_PX / scale, half_px, angle, score)


def cut(picture: Image, spot: Spot, side_px: int) -> Image:
    """The upright square (side, side, 3); beyond its border the picture repeats its last pixels."""
    matrix = spot.to_square(side_px)
    matrix[:, 2] += matrix[:, :2].sum(axis=1) / 2 - 0.5  # OpenCV counts from the middle of the first pixel
    shape = (side_px, side_px)
    square = cv2.warpAffine(picture, matrix, shape, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(square, np.uint8)


def fitted(pose: Pose, score: float) -> Spot:
    """The square that fits told joints."""
    places = pose.keypoints[:, :2].astype(float)
    x, y = places.mean(axis=0)
    across, up = places[_NECK] - places[_HIPS].mean(axis=0)
    half_px = ROOM * max(1.0, float(np.linalg.norm(places - (x, y), axis=1).max()))
    return Spot(float(x), float(y), half_px, math.degrees(math.atan2(across, -up)), score)


def put_back(pose: Pose, spot: Spot, side_px: int) -> Pose:
    """Joints told of the square in px of the picture; the score is DEKR's: the centre's times the joints' mean."""
    matrix = spot.to_square(side_px)
    keypoints = pose.keypoints.copy()
    places = pose.keypoints[:, :2].astype(np.float64) - matrix[:, 2]
    keypoints[:, :2] = places @ np.linalg.inv(matrix[:, :2]).T
    return replace(pose, keypoints=keypoints, score=spot.score * float(pose.keypoints[:, 2].mean()))
