"""Turns a source's picture upright and to the configured size; done here and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from edgemon.config import Bed

if TYPE_CHECKING:
    from cv2.typing import MatLike

P = TypeVar("P", np.uint8, np.uint16)
_TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


def sensor_size_px(bed: Bed) -> tuple[int, int]:
    """The (width, height) to ask a camera for, so that after turning it has the configured size."""
    upright = (bed.width_px, bed.height_px)
    return upright if bed.rotate_deg in (0, 180) else (upright[1], upright[0])


def fit(image: NDArray[np.uint8], bed: Bed) -> NDArray[np.uint8]:
    """The picture turned clockwise by `rotate_deg`, then scaled into `height_px` x `width_px`, RGB in and out.

    Its proportions are kept, since a face detector knows faces by them: what the picture does not fill stays black.
    """
    return _placed(image, bed, (cv2.INTER_AREA, cv2.INTER_LINEAR))


def fit_depth(depth_mm: NDArray[np.uint16], bed: Bed) -> NDArray[np.uint16]:
    """The same of depth (H, W); each value is one that was measured, and what is not filled has no depth (0).

    Between two surfaces a mean lies where nothing is, so depth is never interpolated.
    """
    return _placed(depth_mm, bed, (cv2.INTER_NEAREST_EXACT, cv2.INTER_NEAREST_EXACT))


def _placed(image: NDArray[P], bed: Bed, interpolations: tuple[int, int]) -> NDArray[P]:
    """Turned, scaled by the first interpolation where it shrinks, else by the second, and put into the middle."""
    kind, turn = image.dtype, _TURNS.get(bed.rotate_deg)
    if turn is not None:
        image = np.asarray(cv2.rotate(image, turn), kind)
    height, width = image.shape[:2]
    if (width, height) == (bed.width_px, bed.height_px):
        return np.ascontiguousarray(image)
    scale = min(bed.width_px / width, bed.height_px / height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    scaled = np.asarray(cv2.resize(image, size, interpolation=interpolations[scale >= 1]), kind)
    if size == (bed.width_px, bed.height_px):
        return scaled
    left, top = (bed.width_px - size[0]) // 2, (bed.height_px - size[1]) // 2
    canvas = np.zeros((bed.height_px, bed.width_px, *image.shape[2:]), kind)
    canvas[top : top + size[1], left : left + size[0]] = scaled
    return canvas


def fit_bgr(image: MatLike, bed: Bed) -> NDArray[np.uint8]:
    """The same from OpenCV's colour order."""
    return fit(np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8), bed)
