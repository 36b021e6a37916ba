"""What is painted on the newborn: noise volume and the face's maps in canonical frontal coordinates."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from export.infant.mesh import Floats

MAP_PX = 512
WINDOW = (-0.75, -0.70, 1.5, 1.5)  # x, y of the corner, width, height in decimetres

UPPER_LID = (
    (0.112, 0.077),
    (0.132, 0.058),
    (0.152, 0.050),
    (0.167, 0.046),
    (0.196, 0.043),
    (0.230, 0.042),
    (0.258, 0.039),
    (0.274, 0.041),
    (0.285, 0.045),
    (0.300, 0.052),
)
LID_CREASE = ((0.118, 0.092), (0.15, 0.108), (0.195, 0.115), (0.24, 0.112), (0.28, 0.090), (0.312, 0.062))
BAG = ((0.120, 0.040), (0.16, 0.008), (0.21, 0.000), (0.26, 0.008), (0.30, 0.032))
BROW = ((0.085, 0.195), (0.13, 0.222), (0.19, 0.240), (0.26, 0.232), (0.325, 0.190))
NASOLABIAL = ((0.095, -0.085), (0.130, -0.125), (0.168, -0.180), (0.195, -0.245), (0.200, -0.305), (0.185, -0.350))
FROWN = (((0.040, 0.130), (0.052, 0.185), (0.045, 0.250)), ((0.012, 0.115), (0.018, 0.165), (0.014, 0.215)))
ROOT_LINES = (((-0.06, 0.095), (0.0, 0.082), (0.06, 0.095)), ((-0.05, 0.060), (0.0, 0.048), (0.05, 0.060)))
FOREHEAD = (
    ((-0.2, 0.335), (-0.08, 0.315), (0.0, 0.322), (0.08, 0.315), (0.2, 0.335)),
    ((-0.16, 0.405), (0.0, 0.390), (0.16, 0.405)),
)
SQUEEZE = (
    ((0.298, 0.055), (0.345, 0.080), (0.372, 0.105)),
    ((0.300, 0.048), (0.352, 0.046), (0.385, 0.050)),
    ((0.296, 0.040), (0.340, 0.012), (0.365, -0.005)),
    ((0.120, 0.070), (0.100, 0.048), (0.085, 0.030)),
    ((0.13, 0.062), (0.15, 0.028), (0.20, 0.012), (0.26, 0.018), (0.295, 0.040)),
)
UPPER_LIP = (
    (-0.140, -0.280),
    (-0.09, -0.243),
    (-0.035, -0.216),
    (0.0, -0.226),
    (0.035, -0.216),
    (0.09, -0.243),
    (0.140, -0.280),
)
LOWER_LIP = ((0.140, -0.280), (0.10, -0.322), (0.05, -0.350), (0.0, -0.356), (-0.05, -0.350), (-0.10, -0.322))


@lru_cache(maxsize=1)
def textures() -> dict[str, Floats]:
    """Sampler name to its array: the 64^3 noise volume, and two RGBA maps with row 0 at the lowest y."""
    return {"grain": _grain(), "face_map": _face_map(), "line_map": _line_map()}


def _grain(size: int = 64) -> Floats:
    rng = np.random.default_rng(20260101)
    out = np.zeros((size, size, size, 4), np.float32)
    for channel in range(4):
        for octave, weight in ((4, 1.0), (8, 0.7), (16, 0.5), (32, 0.3), (64, 0.2)):
            coarse = rng.random((octave,) * 3).astype(np.float32)
            out[..., channel] += weight * _stretch(coarse, size)
    low, high = np.percentile(out, 1, axis=(0, 1, 2)), np.percentile(out, 99, axis=(0, 1, 2))
    clipped: Floats = np.clip((out - low) / (high - low), 0, 1).astype(np.float32)
    return clipped


def _stretch(coarse: Floats, size: int) -> Floats:
    """Periodic trilinear enlargement with smooth steps."""
    count = len(coarse)
    for axis in range(3):
        at = np.arange(size) * count / size
        low = at.astype(int)
        part = (at - low).reshape([-1 if a == axis else 1 for a in range(3)])
        part = part * part * (3 - 2 * part)
        coarse = np.take(coarse, low, axis) * (1 - part) + np.take(coarse, (low + 1) % count, axis) * part
    return coarse.astype(np.float32)


def _pixels(points: tuple[tuple[float, float], ...], mirror: bool = False) -> NDArray[np.int32]:
    table = np.array(points, np.float64)
    if mirror:
        table[:, 0] *= -1
    smooth = catmull_rom(table)
    out: NDArray[np.int32] = np.round((smooth - WINDOW[:2]) / WINDOW[2:] * MAP_PX * 16).astype(np.int32)
    return out


def catmull_rom(points: NDArray[np.float64], steps: int = 8) -> NDArray[np.float64]:
    """Catmull-Rom through the points."""
    padded = np.concatenate([points[:1] * 2 - points[1:2], points, points[-1:] * 2 - points[-2:-1]])
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    out = []
    for a, b, c, d in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        out.append(0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3))
    return np.concatenate([*out, points[-1:]])


def _stroke(lines: list[NDArray[np.int32]], width_px: int, blur_px: float, gain: float = 1.0) -> Floats:
    image = np.zeros((MAP_PX, MAP_PX), np.float32)
    for line in lines:
        cv2.polylines(image, [line], False, 1.0, width_px, cv2.LINE_AA, 4)
    soft: Floats = np.clip(cv2.GaussianBlur(image, (0, 0), blur_px) * gain, 0, 1).astype(np.float32)
    return soft


def _both(*lines: tuple[tuple[float, float], ...]) -> list[NDArray[np.int32]]:
    return [_pixels(line, mirror) for line in lines for mirror in (False, True)]


def _blob(x: float, y: float, width: float, height: float) -> Floats:
    ys, xs = np.mgrid[0:MAP_PX, 0:MAP_PX].astype(np.float32) / MAP_PX
    px, py = xs * WINDOW[2] + WINDOW[0], ys * WINDOW[3] + WINDOW[1]
    out: Floats = np.exp(-(((px - x) / width) ** 2) - ((py - y) / height) ** 2).astype(np.float32)
    return out


def _face_map() -> Floats:
    lips: Floats = np.zeros((MAP_PX, MAP_PX), np.float32)
    outline = np.concatenate([_pixels(UPPER_LIP), _pixels(LOWER_LIP)])
    cv2.fillPoly(lips, [outline], 1.0, cv2.LINE_AA, 4)
    lips = cv2.GaussianBlur(lips, (0, 0), 2.2).astype(np.float32)
    brows = _stroke(_both(BROW), 9, 4.0, 1.5)
    lash = _stroke(_both(UPPER_LID), 3, 1.1, 1.5)
    flush = np.clip(
        sum(_blob(s * 0.27, -0.12, 0.16, 0.13) + 0.9 * _blob(s * 0.21, 0.07, 0.11, 0.06) for s in (-1, 1))
        + 0.7 * _blob(0, -0.07, 0.07, 0.05)
        + 0.5 * _blob(0, -0.42, 0.12, 0.06),
        0,
        1,
    )
    return np.stack([lips, brows, lash, flush], axis=-1).astype(np.float32)


def _line_map() -> Floats:
    fold = sum(_blob(s * 0.12, -0.13, 0.10, 0.13) + 0.6 * _blob(s * 0.19, -0.24, 0.07, 0.09) for s in (-1, 1))
    nasolabial = _stroke(_both(NASOLABIAL), 4, 4.0, 2.6) * np.clip(fold, 0, 1)
    frown = np.clip(
        _stroke(_both(*FROWN), 4, 5.0, 1.7)
        + _stroke([_pixels(line) for line in ROOT_LINES], 2, 3.0, 1.5)
        + _stroke([_pixels(line) for line in FOREHEAD], 3, 3.6, 1.3),
        0,
        1,
    )
    squeeze = np.maximum(_stroke(_both(*SQUEEZE), 2, 2.2, 1.9), _stroke(_both(UPPER_LID), 5, 3.0, 1.0))
    folds = np.clip(_stroke(_both(LID_CREASE), 2, 1.6, 1.8) + _stroke(_both(BAG), 2, 3.5, 1.1), 0, 1)
    return np.stack([nasolabial, frown, squeeze, folds], axis=-1).astype(np.float32)
