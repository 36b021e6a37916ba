"""Anchors of the official RetinaFace and of the seed's pyramid."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

Layout = Sequence[tuple[int, Sequence[float]]]  # (stride, anchor sides) in px, fine to coarse

OFFICIAL: Layout = ((8, (16, 32)), (16, (64, 128)), (32, (256, 512)))

# P2-P6, scale step 2^(1/3), from 16 to 406 px (arXiv 1905.00641, table 2)
PYRAMID: Layout = tuple((stride, tuple(4 * stride * 2 ** (k / 3) for k in range(3))) for stride in (4, 8, 16, 32, 64))


def cells(size_px: tuple[int, int], stride: int) -> tuple[int, int]:
    """(rows, columns) of a level's map for a frame of (width, height)."""
    width, height = size_px
    return -(-height // stride), -(-width // stride)


def priors(layout: Layout, size_px: tuple[int, int]) -> NDArray[np.float32]:
    """All anchors (N, 4) as centre x, centre y, width, height in px; by level, row, column, side."""
    return _priors(tuple((stride, tuple(sides)) for stride, sides in layout), size_px)


@cache
def _priors(layout: tuple[tuple[int, tuple[float, ...]], ...], size_px: tuple[int, int]) -> NDArray[np.float32]:
    parts = []
    for stride, sides in layout:
        rows, columns = cells(size_px, stride)
        centres = ((np.arange(rows) + 0.5) * stride, (np.arange(columns) + 0.5) * stride)
        y, x, side = np.meshgrid(*centres, sides, indexing="ij")
        parts.append(np.stack([x, y, side, side], axis=-1).reshape(-1, 4))
    return np.concatenate(parts).astype(np.float32)
