"""Skin regions of a face, placed by its landmarks at any roll, and their mean colour."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edgemon.faces.patch import patch
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
_BLACK: Final = (0, 0, 0)
_UNSATURATED: Final = (251, 251, 251)
_HIDDEN_TURN: Final = 0.35  # beyond it the cheek that the nose points to is out of view
_MAX_PIXELS: Final = 3000  # above it every second pixel is as good: sensor noise is then below 0.05 levels
_SHIFT: Final = 4  # corners are placed to 1/16 px, so that a region moves smoothly


def polygons(landmarks: NDArray[np.float32]) -> NDArray[np.float64]:
    """Corners in px (R, 4, 2) of the skin regions, by the least-squares affine map from face coordinates."""
    return (_FOLLOW @ landmarks.astype(np.float64)).reshape(len(REGIONS), 4, 2)


def mean_rgb(rgb: NDArray[np.uint8], face: Face) -> NDArray[np.float32]:
    """Mean colour of each of REGIONS: RGB float32 (R, 3) in 0..255.

    NaN where a region is out of view, hidden behind the nose, smaller than 60 px, or mostly saturated.
    """
    means = np.full((len(REGIONS), 3), np.nan, np.float32)
    corners = polygons(face.landmarks)
    areas_px = _signed_areas(corners).tolist()  # negative when turned inside out
    low = np.floor(corners.min(axis=1)).astype(int).tolist()
    high = np.ceil(corners.max(axis=1)).astype(int).tolist()
    height, width = rgb.shape[:2]
    for i in _in_sight(face.landmarks):
        x0, y0 = max(0, low[i][0]), max(0, low[i][1])
        x1, y1 = min(width, high[i][0] + 1), min(height, high[i][1] + 1)
        if areas_px[i] >= _MIN_AREA_PX and x1 - x0 > 1 and y1 - y0 > 1:
            _polygon_mean(rgb[y0:y1, x0:x1], corners[i] - (x0, y0), areas_px[i], out=means[i])
    return means


def sample(frame: Frame, face: Face, *, with_patch: bool = False) -> SkinSample:
    """One sample of the skin trace; with the face's patch where a network will read it."""
    seen = patch(frame.rgb, face.landmarks) if with_patch else None
    return SkinSample(frame.captured_s, frame.seq, face.track_id, mean_rgb(frame.rgb, face), seen)


def _signed_areas(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Areas (R,) of quadrilaterals (R, 4, 2), from their diagonals."""
    a, b = corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1]
    return np.asarray((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]) / 2)


def _in_sight(landmarks: NDArray[np.float32]) -> tuple[int, ...]:
    """The regions that the nose does not hide, by where its tip lies along the line of the eyes (0 is midway)."""
    (rx, ry), (lx, ly), (nx, ny) = landmarks[:3].tolist()
    ax, ay = lx - rx, ly - ry
    turn = ((nx - (rx + lx) / 2) * ax + (ny - (ry + ly) / 2) * ay) / max(ax * ax + ay * ay, 1e-9)
    if abs(turn) <= _HIDDEN_TURN:
        return 0, 1, 2
    return (0, 2) if turn < 0 else (0, 1)


def _polygon_mean(
    crop: NDArray[np.uint8], corners: NDArray[np.float64], area_px: float, out: NDArray[np.float32]
) -> None:
    step = 1 if area_px <= _MAX_PIXELS else 2
    crop = np.ascontiguousarray(crop[::step, ::step])
    mask = np.zeros(crop.shape[:2], np.uint8)
    fixed = np.rint(corners * (2**_SHIFT / step)).astype(np.int32)
    cv2.fillConvexPoly(mask, fixed, 255, cv2.LINE_AA, _SHIFT)
    unsaturated = cv2.inRange(crop, _BLACK, _UNSATURATED)
    weights = cv2.bitwise_and(mask, unsaturated).astype(np.float32).ravel()
    total = float(weights.sum())
    if total >= _MIN_SHARE * 255 * area_px / step**2:
        out[:] = weights @ crop.reshape(-1, 3).astype(np.float32) / total
