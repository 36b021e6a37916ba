"""Skin regions of a face, placed by its landmarks at any roll, and their mean colour."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edgemon.records import Face, Frame, SkinSample

REGIONS: Final = ("forehead", "right cheek", "left cheek")

# Face coordinates: origin between the eyes, unit = distance of the eyes, y down along the nose.
_LANDMARKS: Final = np.array([[-0.5, 0.0], [0.5, 0.0], [0.0, 0.5], [-0.38, 0.95], [0.38, 0.95]])
_POLYGONS: Final = np.array(
    [
        [[-0.55, -0.75], [0.55, -0.75], [0.62, -0.32], [-0.62, -0.32]],
        [[-0.78, 0.28], [-0.28, 0.34], [-0.34, 0.74], [-0.70, 0.72]],
        [[0.28, 0.34], [0.78, 0.28], [0.70, 0.72], [0.34, 0.74]],
    ]
)
_TO_AFFINE: Final = np.linalg.pinv(np.column_stack([_LANDMARKS, np.ones(5)]))
_CORNERS: Final = np.column_stack([_POLYGONS.reshape(-1, 2), np.ones(4 * len(REGIONS))])
_FOLLOW: Final = _CORNERS @ _TO_AFFINE  # corners = _FOLLOW @ landmarks

_MIN_AREA_PX: Final = 60.0
_MIN_SHARE: Final = 0.6  # of a region that must be in view and not saturated
_SATURATED: Final = 252
_HIDDEN_TURN: Final = 0.35  # beyond it the cheek that the nose points to is out of view
_MAX_PIXELS: Final = 6000  # above it every second pixel is as good: sensor noise is then below 0.05 levels
_SHIFT: Final = 4  # corners are placed to 1/16 px, so that a region moves smoothly


def polygons(landmarks: NDArray[np.float32]) -> NDArray[np.float64]:
    """Corners in px (R, 4, 2) of the skin regions, by the least-squares affine map from face coordinates."""
    return (_FOLLOW @ landmarks.astype(np.float64)).reshape(len(REGIONS), 4, 2)


def mean_rgb(rgb: NDArray[np.uint8], face: Face) -> NDArray[np.float32]:
    """Mean colour of each of REGIONS: RGB float32 (R, 3) in 0..255.

    NaN where a region is out of view, hidden behind the nose, smaller than 60 px, or mostly saturated.
    """
    means = np.full((len(REGIONS), 3), np.nan, np.float32)
    turn = _turn(face.landmarks)
    seen = (True, turn > -_HIDDEN_TURN, turn < _HIDDEN_TURN)
    for i, polygon in enumerate(polygons(face.landmarks)):
        if seen[i]:
            _polygon_mean(rgb, polygon, out=means[i])
    return means


def sample(frame: Frame, face: Face) -> SkinSample:
    """One sample of the skin trace."""
    return SkinSample(frame.captured_s, frame.seq, face.track_id, mean_rgb(frame.rgb, face))


def _turn(landmarks: NDArray[np.float32]) -> float:
    """Where the nose tip lies along the line of the eyes: 0 midway, -0.5 over the right eye, 0.5 over the left."""
    right, left, nose = landmarks[:3].astype(np.float64)
    axis = left - right
    return float((nose - (right + left) / 2) @ axis / max(float(axis @ axis), 1e-9))


def _polygon_mean(rgb: NDArray[np.uint8], polygon: NDArray[np.float64], out: NDArray[np.float32]) -> None:
    x, y = polygon.T
    area_px = float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2  # negative when turned inside out
    x0, y0 = (int(v) for v in np.maximum(np.floor(polygon.min(axis=0)), 0))
    x1, y1 = (int(v) for v in np.minimum(np.ceil(polygon.max(axis=0)) + 1, rgb.shape[1::-1]))
    if area_px < _MIN_AREA_PX or x1 - x0 < 2 or y1 - y0 < 2:
        return
    step = 1 if area_px <= _MAX_PIXELS else 2
    crop = np.ascontiguousarray(rgb[y0:y1:step, x0:x1:step])
    mask = np.zeros(crop.shape[:2], np.uint8)
    corners = np.rint((polygon - (x0, y0)) / step * 2**_SHIFT).astype(np.int32)
    cv2.fillConvexPoly(mask, corners, 255, cv2.LINE_AA, _SHIFT)
    unsaturated = cv2.inRange(crop, (0, 0, 0), (_SATURATED, _SATURATED, _SATURATED))
    weights = cv2.bitwise_and(mask, unsaturated).astype(np.float32).ravel()
    total = float(weights.sum())
    if total >= _MIN_SHARE * 255 * area_px / step**2:
        out[:] = weights @ crop.reshape(-1, 3).astype(np.float32) / total
