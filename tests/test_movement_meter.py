"""The motion meter: what changed between two frames, and what is no movement of the infant."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edgemon.movement import MotionMeter


def picture(seed: int = 0) -> NDArray[np.uint8]:
    """A cot's picture with texture, and the same each time."""
    return np.random.default_rng(seed).integers(60, 120, (480, 640, 3)).astype(np.uint8)


def with_patch(image: NDArray[np.uint8], x: int, y: int, wide: int, high: int) -> NDArray[np.uint8]:
    """The picture with something bright in it."""
    changed = image.copy()
    changed[y : y + high, x : x + wide] = 220
    return changed


def test_quantity_is_the_area_and_the_centroid_its_middle() -> None:
    meter = MotionMeter()
    assert meter.add(picture(), 0.0) is None
    motion = meter.add(with_patch(picture(), 320, 240, 64, 48), 1.0)
    assert motion is not None
    assert motion.at_s == 1.0
    assert motion.quantity == pytest.approx(0.01)
    assert (motion.x, motion.y) == (pytest.approx(0.55, abs=0.01), pytest.approx(0.55, abs=0.01))


def test_still_and_noise_and_a_lamp_are_no_movement() -> None:
    rng = np.random.default_rng(2)
    meter, base = MotionMeter(), picture()
    meter.add(base, 0.0)
    still = meter.add(base, 1.0)
    assert still is not None
    assert (still.quantity, still.x) == (0.0, None)
    noisy = [np.clip(base + rng.normal(0, 6, base.shape), 0, 255).astype(np.uint8) for _ in range(4)]
    found = [meter.add(image, 2.0 + i) for i, image in enumerate(noisy)]
    assert all(motion is not None and motion.quantity < 0.002 for motion in found)
    lamp = meter.add(noisy[-1] + np.uint8(40), 9.0)
    assert lamp is not None
    assert lamp.quantity < 0.002


def test_another_picture_and_another_size_are_not_compared() -> None:
    meter = MotionMeter()
    meter.add(picture(), 0.0)
    other = np.where(np.arange(480)[:, None, None] % 32 < 16, 20, 230).astype(np.uint8)
    assert meter.add(np.broadcast_to(other, (480, 640, 3)), 1.0) is None
    assert meter.add(picture()[:240, :320], 2.0) is None
    assert meter.add(picture()[:240, :320], 3.0) is not None


def test_only_the_region_counts() -> None:
    """What moves beside the cot is not the infant; the centroid is told in shares of the whole picture."""
    meter = MotionMeter(region=(0.5, 0.0, 1.0, 1.0))
    meter.add(picture(), 0.0)
    beside = meter.add(with_patch(picture(), 100, 100, 100, 100), 1.0)
    assert beside is not None
    assert beside.quantity == 0.0
    meter.add(picture(), 2.0)
    inside = meter.add(with_patch(picture(), 480, 200, 64, 80), 3.0)
    assert inside is not None
    assert inside.quantity == pytest.approx(64 * 80 / (320 * 480), rel=0.05)
    assert (inside.x, inside.y) == (pytest.approx(0.8, abs=0.01), pytest.approx(0.5, abs=0.01))


@pytest.mark.parametrize("region", [(0.0, 0.5, 1.0, 0.501), (0.999, 0.0, 1.0, 1.0), (0.5, 0.5, 0.5001, 0.5001)])
def test_a_region_narrower_than_a_cell_is_no_error(region: tuple[float, float, float, float]) -> None:
    meter = MotionMeter(region=region)
    for n, image in enumerate((picture(0), picture(1), picture(2))):
        meter.add(image, float(n))
    depth = MotionMeter(region=region)
    for n in range(3):
        depth.add(np.full((480, 640), 900 + 50 * n, np.uint16), float(n))


def test_depth_counts_millimetres_and_no_holes() -> None:
    meter = MotionMeter()
    flat = np.full((480, 640), 900, np.uint16)
    near, hole = flat.copy(), flat.copy()
    near[:48, :64] = 850
    hole[200:300, 200:300] = 0
    meter.add(flat, 0.0)
    moved = meter.add(near, 1.0)
    assert moved is not None
    assert moved.quantity == pytest.approx(0.01)
    meter.add(flat, 2.0)
    opened = meter.add(hole, 3.0)
    assert opened is not None
    assert opened.quantity == 0.0


@pytest.mark.parametrize("size", [(160, 120), (320, 240), (1920, 1080), (81, 61), (50, 40)])
def test_any_size_is_thinned(size: tuple[int, int]) -> None:
    wide, high = size
    meter = MotionMeter()
    meter.add(np.zeros((high, wide, 3), np.uint8), 0.0)
    image = np.zeros((high, wide, 3), np.uint8)
    image[: high // 2, : wide // 2] = 200
    motion = meter.add(image, 1.0)
    assert motion is not None
    assert motion.quantity == pytest.approx(0.25, abs=0.03)
