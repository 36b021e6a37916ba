"""A picture as 80 cells across: their mean lightness keeps what the least motion of an edge changes."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

WIDTH: Final = 80
SIZE: Final = (320, 240)  # width and height of a rendered picture in px
FINE: Final = 64  # steps to one level in a written cell


def shrink(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Mean lightness 0..255 of cells that tile the picture, WIDTH of them across: float32 (rows, WIDTH)."""
    height, width = rgb.shape[:2]
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    size = (WIDTH, max(1, round(height * WIDTH / width)))
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.float32)
