"""Which way round an infant lies in a picture, in quarters: the network reads joints of infants whose crown is up.

It tells the turn of any; a picture of another turn is turned and looked at once more. So what it must learn is a
quarter of what it would be otherwise, and a camera that is mounted upright (`rotate_deg`) costs one look.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgemon.records import Pose

Image = NDArray[np.uint8]
Tensor = NDArray[np.float32]

TOLD = slice(6, 10)  # of the attributes' channels


def turn_of(heatmap: Tensor, attributes: Tensor | None, centre_from: float) -> int:
    """By how many quarters the likeliest infant's crown is turned clockwise from up, 0..3; 0 where there is none."""
    if attributes is None:
        return 0
    row, column = divmod(int(heatmap[-1].argmax()), heatmap.shape[2])
    return int(attributes[TOLD, row, column].argmax()) if heatmap[-1, row, column] >= centre_from else 0


def upright(picture: Image, turn: int) -> Image:
    """The picture (H, W, 3) turned back by so many quarters."""
    return np.ascontiguousarray(np.rot90(picture, turn))


def turned_back(pose: Pose, turn: int, size_px: tuple[int, int]) -> Pose:
    """Joints told of `upright(picture, turn)` in the pixels of the picture, which is of `size_px` (width, height)."""
    if not turn:
        return pose
    width, height = size_px
    keypoints = pose.keypoints.copy()
    x, y = pose.keypoints[:, 0], pose.keypoints[:, 1]
    keypoints[:, 0], keypoints[:, 1] = {1: (width - y, x), 2: (width - x, height - y), 3: (y, height - x)}[turn]
    return replace(pose, keypoints=keypoints)
