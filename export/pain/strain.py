"""Optical strain: how much a face is stretched between a calm picture and its peak (Shreve 2009; used by Zamzmi)."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from export.datasets import Image

PARTS = 2  # rows and columns of face parts: its four quadrants
_SMOOTH_PX = 3.0


def flow(before: Image, after: Image) -> NDArray[np.float32]:
    """Motion (H, W, 2) in px from one RGB crop to the next, by DIS optical flow (arXiv 1603.03590)."""
    grey = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (before, after)]
    solver = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return np.asarray(solver.calc(grey[0], grey[1], np.zeros((*grey[0].shape, 2), np.float32)), np.float32)


def magnitude(motion: NDArray[np.float32]) -> NDArray[np.float64]:
    """Norm (H, W) of the strain tensor, exx² + eyy² + 2 exy², of a motion (H, W, 2); shifts and turns have none."""
    smooth = cv2.GaussianBlur(motion, (0, 0), _SMOOTH_PX).astype(np.float64)
    (uy, ux), (vy, vx) = (np.gradient(smooth[..., k]) for k in (0, 1))
    return np.asarray(np.sqrt(ux**2 + vy**2 + 0.5 * (uy + vx) ** 2))


def of_pair(calm: Image, peak: Image) -> NDArray[np.float64]:
    """Sum of the strain in each quadrant (4,): upper left, upper right, lower left, lower right of the picture."""
    strain = magnitude(flow(calm, peak))
    rows, columns = strain.shape[0] // PARTS, strain.shape[1] // PARTS
    parts = strain[: rows * PARTS, : columns * PARTS].reshape(PARTS, rows, PARTS, columns)
    return np.asarray(parts.sum(axis=(1, 3)).ravel())


def of_clip(crops: list[Image]) -> NDArray[np.float64]:
    """Mean and highest sum of each quadrant from frame to frame (8,).

    Raises:
        ValueError: there are fewer than two frames.
    """
    if len(crops) < 2:
        raise ValueError(f"strain needs two frames at least, got {len(crops)}")
    steps = np.stack([of_pair(a, b) for a, b in pairwise(crops)])
    return np.concatenate([steps.mean(axis=0), steps.max(axis=0)])
