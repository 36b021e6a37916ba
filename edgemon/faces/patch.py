"""The face as a small upright picture whose pixels are means over skin, kept as float so that they hold the pulse."""

from __future__ import annotations

import math
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE: Final = 16
REACH: Final = 2.4  # the side in eye distances

_CENTRE: Final = complex(0.0, 0.3)  # of the patch in face coordinates: origin between the eyes, unit their distance
_PLACES: Final = np.array([-0.5, 0.5, 0.5j, -0.38 + 0.95j, 0.38 + 0.95j])
_SPREAD: Final = _PLACES - _PLACES.mean()
_TURN: Final = np.conj(_SPREAD) / (np.abs(_SPREAD) ** 2).sum()
_FINEST: Final = 6  # samples along a cell's side: more tell no more, for sensor noise is then far below a pulse


def similarity(landmarks: NDArray[np.float32]) -> tuple[complex, complex]:
    """Place of the patch's centre and turn and size of the eye distance, in px of the picture (x + iy), least squares.

    It is linear in the landmarks (5, 2), so whatever they are the patch is finite, and steady ones make a steady patch.
    """
    points = landmarks[:, 0].astype(np.float64) + 1j * landmarks[:, 1].astype(np.float64)
    unit = complex(_TURN @ points)
    return complex(points.mean() + unit * (_CENTRE - _PLACES.mean())), unit


def patch(rgb: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean colours of a square of 2.4 eye distances, upright: RGB float32 (16, 16, 3) in 0..255.

    Beyond the picture its border goes on. A cell is the mean of up to 36 samples.
    """
    centre, unit = similarity(landmarks)
    fine = SIDE * min(_FINEST, max(2, math.ceil(abs(unit) * REACH / SIDE)))
    step = unit * REACH / fine
    corner = centre - step * complex(1, 1) * (fine - 1) / 2
    matrix = np.array([[step.real, -step.imag, corner.real], [step.imag, step.real, corner.imag]])
    upright = cv2.warpAffine(
        rgb, matrix, (fine, fine), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(cv2.resize(upright.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.float32)
