"""Depth as height above the mattress, whatever the camera's place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgemon.depth import SURFACE, depth_image

HEIGHT, WIDTH, FOCAL_PX = 120, 160, 140.0


def cot(distance_mm: float, tilt: float, turn: float, bump_mm: float = 100.0) -> NDArray[np.uint16]:
    """A tilted plane through a point on the axis, with a square that stands `bump_mm` along the ray before it."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    u, v = (x - WIDTH / 2) / FOCAL_PX, (y - HEIGHT / 2) / FOCAL_PX
    normal = np.array([np.sin(tilt) * np.cos(turn), np.sin(tilt) * np.sin(turn), np.cos(tilt)])
    z_mm = distance_mm * normal[2] / (normal[0] * u + normal[1] * v + normal[2])
    z_mm[45:75, 60:100] -= bump_mm
    return np.rint(z_mm).astype(np.uint16)


@given(st.floats(500, 1500), st.floats(0, 0.7), st.floats(0, 6.3))
@settings(deadline=None, max_examples=40)
def test_the_mattress_is_level_and_an_infant_stands_out_by_its_height(
    distance: float, tilt: float, turn: float
) -> None:
    grey = depth_image(cot(distance, tilt, turn))[..., 0].astype(int)
    flat = np.ones((HEIGHT, WIDTH), bool)
    flat[45:75, 60:100] = False
    assert np.abs(grey[flat] - SURFACE).max() <= 3
    assert np.abs(grey[~flat] - (SURFACE + 100)).max() <= 3


def test_the_floor_beside_the_cot_is_not_taken_for_the_mattress() -> None:
    depth_mm = cot(700, 0.1, 1.0)
    depth_mm[:, :40] += 300
    depth_mm[:, 125:] += 300
    grey = depth_image(depth_mm)[..., 0].astype(int)
    assert abs(int(np.median(grey[:, 45:55])) - SURFACE) <= 3
    assert (grey[:, :35] == 1).all()


def test_holes_are_black_and_a_picture_of_holes_is_black() -> None:
    depth_mm = cot(700, 0.2, 0.0)
    depth_mm[10:30, 10:30] = 0
    image = depth_image(depth_mm)
    assert (image.shape, image.dtype) == ((HEIGHT, WIDTH, 3), np.uint8)
    assert not image[10:30, 10:30].any()
    assert (image[..., 0] == image[..., 2]).all()
    assert not depth_image(np.zeros((9, 12), np.uint16)).any()


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 99))
@settings(deadline=None, max_examples=40)
def test_any_depth_makes_a_picture(height: int, width: int, seed: int) -> None:
    depth_mm = np.random.default_rng(seed).integers(0, 65535, (height, width)).astype(np.uint16)
    image = depth_image(depth_mm)
    assert image.shape == (height, width, 3)
    assert ((image[..., 0] == 0) == (depth_mm == 0)).all()


def test_the_same_depth_gives_the_same_picture() -> None:
    depth_mm = cot(800, 0.3, 2.0)
    np.testing.assert_array_equal(depth_image(depth_mm), depth_image(depth_mm))


@pytest.mark.parametrize("far_mm", [1, 65535])
def test_depth_at_the_limits_of_its_bits_is_no_error(far_mm: int) -> None:
    assert depth_image(np.full((20, 30), far_mm, np.uint16)).max() == SURFACE
