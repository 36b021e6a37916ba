"""Depth as a picture for a network: height above the surface on which the infant lies, wherever the camera hangs."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

Depth = NDArray[np.uint16]  # mm (H, W), 0 where there is none
Image = NDArray[np.uint8]
Floats = NDArray[np.float64]

SURFACE: Final = 64  # the grey of the surface itself
MM_PER_LEVEL: Final = 1.0
_POINTS_ACROSS: Final = 32  # of the grid on which the surface is looked for
_TRIES: Final = 96
_NEAR_MM: Final = 20.0  # what lies this near a plane belongs to it: a mattress is soft
_OVER_MM: Final = 200.0  # what is further above a plane does not lie on it: an infant is no higher
_UPPER_SHARE: Final = 0.08  # of all points: so many that are too high may be a surface above the one found
_UPPER_FLAT: Final = 0.25  # of these must lie on one plane, which a carer's arm does too,
_UPPER_WIDE: Final = 0.12  # and spread so far both ways, which an arm does not,
_UPPER_LEVEL: Final = 0.12  # and it must be as level: parallel planes' coefficients are proportional
_MIDDLE: Final = 0.7  # of the half picture: how fast a point's say falls with its distance from the middle
_MIN_POINTS: Final = 12
_SPREAD: Final = 0.03  # twice the area of a triple of points, below which it says little of a plane


def depth_image(depth_mm: Depth) -> Image:
    """Height above the surface, 1 mm a level, as three equal channels (H, W, 3); holes are 0.

    The surface is 64, what lies 191 mm above it 255, 63 mm below it 1. Neither the camera's height nor its tilt changes
    the picture much. Where no plane can be found the median depth stands for it.
    """
    return height_image(height_mm(depth_mm))


def height_mm(depth_mm: Depth) -> NDArray[np.float32]:
    """Height (H, W) above the surface; NaN in holes."""
    surface = surface_mm(depth_mm)
    if surface is None:
        return np.full(depth_mm.shape, np.nan, np.float32)
    return np.where(depth_mm == 0, np.float32(np.nan), surface - depth_mm)


def height_image(height: NDArray[np.float32]) -> Image:
    """`depth_image` of heights in mm that are known already."""
    holes = np.isnan(height)
    levels = SURFACE + np.where(holes, 0, height) / np.float32(MM_PER_LEVEL)
    grey = np.rint(levels).clip(1, 255).astype(np.uint8)
    grey[holes] = 0
    return np.asarray(cv2.merge((grey, grey, grey)), np.uint8)


def surface_mm(depth_mm: Depth) -> NDArray[np.float32] | None:
    """Depth (H, W) of the plane that most of the picture's middle lies on; None of a picture without depth.

    Where much rises too far above that plane and is flat and wide itself, it is the mattress, and the plane the floor
    beside the cot. Points weigh by their nearness to the middle.
    """
    height, width = depth_mm.shape
    step = max(1, width // _POINTS_ACROSS)
    rows, columns = np.mgrid[step // 2 : height : step, step // 2 : width : step]
    z_mm = depth_mm[rows, columns].astype(np.float64).ravel()
    x, y = 2 * columns.ravel() / width - 1, 2 * rows.ravel() / height - 1
    known = z_mm > 0
    if not known.any():
        return None
    z_mm, places = z_mm[known], np.column_stack([x, y, np.ones(x.size)])[known]
    weight = np.exp(-(places[:, 0] ** 2 + places[:, 1] ** 2) / (2 * _MIDDLE**2))
    plane = _plane(places, z_mm, weight)
    if plane is None:
        plane = np.array([0.0, 0.0, 1 / float(np.median(z_mm))])
    plane = _upper(plane, places, z_mm, weight)
    across = plane[0] * (2 * np.arange(width) / width - 1)
    down = plane[1] * (2 * np.arange(height) / height - 1)
    inverse = down[:, None] + across + plane[2]
    return np.asarray(1 / np.maximum(inverse, 1e-5), np.float32)


def _upper(plane: Floats, places: Floats, z_mm: Floats, weight: Floats) -> Floats:
    """The surface that rises over a plane, if there is one; else the plane."""
    high = _above_mm(plane, places, z_mm) > _OVER_MM
    if high.mean() < _UPPER_SHARE:
        return plane
    found = _plane(places[high], z_mm[high], weight[high])
    if found is None:
        return plane
    flat = np.abs(_above_mm(found, places[high], z_mm[high])) < _NEAR_MM
    wide = np.linalg.eigvalsh(np.cov(places[high][flat, :2].T))[0] ** 0.5 if flat.sum() > 2 else 0.0
    level = np.abs(found[:2] / found[2] - plane[:2] / plane[2]).max() <= _UPPER_LEVEL
    return found if flat.mean() >= _UPPER_FLAT and wide >= _UPPER_WIDE and level else plane


def _above_mm(planes: Floats, places: Floats, z_mm: Floats) -> Floats:
    """How far points lie before one plane (3,) or many (n, 3)."""
    return np.asarray(1 / np.maximum(planes @ places.T, 1e-5) - z_mm)


def _plane(places: Floats, z_mm: Floats, weight: Floats) -> Floats | None:
    """Coefficients (3,) of one over depth by x, y and 1, of the plane with most weight near it; None if none has much.

    One over the depth of a plane is linear in a pixel's place, so that three points give a plane. The best of _TRIES
    triples, always the same ones, is fitted again to what lies near it (RANSAC, Fischler and Bolles 1981).
    """
    if len(z_mm) < _MIN_POINTS:
        return None
    chosen = np.random.default_rng(0).integers(0, len(z_mm), (_TRIES, 3))
    corners = places[chosen]
    spread = np.abs(np.linalg.det(corners)) > _SPREAD
    if not spread.any():
        return None
    planes = np.linalg.solve(corners[spread], (1 / z_mm[chosen[spread]])[..., None])[..., 0]
    near = np.abs(_above_mm(planes, places, z_mm)) < _NEAR_MM
    best = near[int((near @ weight).argmax())]
    if best.sum() < _MIN_POINTS:
        return None
    root = np.sqrt(weight[best])[:, None]
    fitted, *_ = np.linalg.lstsq(places[best] * root, root[:, 0] / z_mm[best], rcond=None)
    return np.asarray(fitted)
