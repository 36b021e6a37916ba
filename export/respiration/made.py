"""Made cells of a known rate: a textured body that swells in a still scene, without any rendering."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FS_HZ: Final = 6.0
SHAPE: Final = (60, 80)
_FACE: Final = np.array([[35, 15], [45, 15], [40, 20], [36.2, 24.5], [43.8, 24.5]], np.float32)


def made(
    seed: int, rate: float, *, seconds: float = 20.0, swing: float = 0.1, noise: float = 0.3, rigid: bool = False
) -> tuple[Array, NDArray[np.float32], NDArray[np.float32]]:
    """Times (N,), cells (N, 60, 80) and landmarks (N, 5, 2) in cells; the belly swings by `swing` of a cell.

    Where `rigid`, all that is near the body moves together, as a picture in a hand does.
    """
    rng = np.random.default_rng(seed)
    count = round(seconds * FS_HZ) + 1
    t_s = np.arange(count) / FS_HZ
    scene = cv2.GaussianBlur(rng.normal(0, 1, SHAPE).astype(np.float32), (0, 0), 1.2)
    scene = 110 + 30 * scene / scene.std()
    rows, columns = np.mgrid[0 : SHAPE[0], 0 : SHAPE[1]].astype(np.float32)
    bell = np.exp(-(((columns - 40) / 9) ** 2) - ((rows - 40) / 9) ** 2)
    if rigid:
        bell = ((np.abs(columns - 40) < 30) & (rows > 3) & (rows < 57)).astype(np.float32)
    down, across = np.gradient(scene)
    way = rng.uniform(0, 2 * np.pi)
    pattern = bell * (np.cos(way) * across + np.sin(way) * down)
    phase = 2 * np.pi * rate / 60 * t_s + rng.uniform(0, 6.28)
    cells = scene + swing * np.cos(phase)[:, None, None] * pattern + rng.normal(0, noise, (count, *SHAPE))
    return t_s, cells.astype(np.float32), np.repeat(_FACE[None], count, axis=0)
