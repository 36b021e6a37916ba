"""Skin regions: where they lie, at any roll, and when they are not to be read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgemon.faces import regions
from edgemon.records import Face, Frame

UPRIGHT = np.array([[-20, 0], [20, 0], [0, 20], [-15, 38], [15, 38]], np.float32)


def face(landmarks: NDArray[np.float64 | np.float32]) -> Face:
    (x0, y0), (x1, y1) = landmarks.min(axis=0) - 20, landmarks.max(axis=0) + 20
    return Face(1, (float(x0), float(y0), float(x1), float(y1)), landmarks.astype(np.float32), 0.9, 0.0, 0.0)


def placed(x_px: float, y_px: float) -> NDArray[np.float32]:
    return UPRIGHT + np.array([x_px, y_px], np.float32)


def rolled(degrees: float, centre: tuple[float, float], scale: float = 1.0) -> NDArray[np.float64]:
    a = np.radians(degrees)
    turn = np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])
    return scale * (UPRIGHT @ turn) + np.array(centre)


def picture(seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(20, 220, (240, 320, 3), dtype=np.uint8)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_turned_picture_has_the_same_colours(quarters: int) -> None:
    image, landmarks = picture(), rolled(17.0, (150.0, 110.0))
    height, width = image.shape[:2]
    before = regions.mean_rgb(image, face(landmarks))
    for _ in range(quarters):
        landmarks = np.column_stack([landmarks[:, 1], width - 1 - landmarks[:, 0]])
        height, width = width, height
    after = regions.mean_rgb(np.ascontiguousarray(np.rot90(image, quarters)), face(landmarks))
    np.testing.assert_allclose(after, before, atol=1.5)


@given(roll=st.floats(-180, 180), scale=st.floats(0.8, 3.0))
@settings(max_examples=50, deadline=None)
def test_each_region_finds_its_own_colour_at_any_roll(roll: float, scale: float) -> None:
    image = np.full((480, 480, 3), 40, np.uint8)
    landmarks = rolled(roll, (240.0, 240.0), scale)
    yy, xx = np.mgrid[:480, :480]
    colours = np.array([[200, 10, 10], [10, 200, 10], [10, 10, 200]], np.uint8)
    for polygon, colour in zip(regions.polygons(landmarks.astype(np.float32)), colours, strict=True):
        cx, cy = polygon.mean(axis=0)
        image[(xx - cx) ** 2 + (yy - cy) ** 2 <= (36.0 * scale) ** 2 / (1 if colour[0] == 200 else 6)] = colour
    means = regions.mean_rgb(image, face(landmarks))
    assert [int(i) for i in means.argmax(axis=1)] == [0, 1, 2]


def test_cheeks_are_named_by_the_infants_side() -> None:
    forehead, right, left = regions.polygons(UPRIGHT + 100).mean(axis=1)
    assert right[0] < left[0], "the right cheek is on the left of an upright picture"
    assert forehead[1] < 100 < right[1]


def test_a_small_move_changes_the_colour_smoothly() -> None:
    ramp = np.broadcast_to(np.linspace(50, 200, 320)[None, :, None], (240, 320, 3)).astype(np.uint8)
    means = [regions.mean_rgb(ramp, face(placed(140 + dx, 100.0)))[0, 1] for dx in np.arange(0, 2, 0.125)]
    steps = np.diff(means)
    assert steps.min() > 0.04, "1/8 px is worth 0.059 levels here"
    assert steps.max() < 0.08


def test_regions_out_of_the_picture_are_nan() -> None:
    means = regions.mean_rgb(picture(), face(placed(10.0, 100.0)))
    assert np.isnan(means[1]).all()
    assert np.isfinite(means[2]).all()


def test_a_face_far_outside_gives_nan_everywhere() -> None:
    assert np.isnan(regions.mean_rgb(picture(), face(UPRIGHT - 900))).all()


def test_tiny_faces_are_not_read() -> None:
    assert np.isnan(regions.mean_rgb(picture(), face(rolled(0, (160, 120), 0.2)))).all()


def test_the_cheek_behind_the_nose_is_not_read() -> None:
    landmarks = placed(150.0, 100.0)
    landmarks[2, 0] -= 18
    means = regions.mean_rgb(picture(), face(landmarks))
    assert np.isnan(means[1]).all()
    assert np.isfinite(means[[0, 2]]).all()


def test_saturated_skin_is_left_out() -> None:
    image = np.full((240, 320, 3), 100, np.uint8)
    image[:, 150:156] = 255
    landmarks = face(placed(150.0, 100.0))
    np.testing.assert_allclose(regions.mean_rgb(image, landmarks), 100.0, atol=1e-3)
    assert np.isnan(regions.mean_rgb(np.full_like(image, 255), landmarks)).all()


def test_large_faces_are_read_from_every_second_pixel() -> None:
    image = np.random.default_rng(1).integers(90, 111, (480, 640, 3), dtype=np.uint8)
    means = regions.mean_rgb(image, face(rolled(30, (320, 220), 4.0)))
    np.testing.assert_allclose(means, 100.0, atol=1.0)


def test_a_sample_names_its_frame_and_its_track() -> None:
    sample = regions.sample(Frame("cot-1", 7, 1.5, picture(), "test"), face(UPRIGHT + 100))
    assert (sample.seq, sample.captured_s, sample.track_id, sample.rgb.shape) == (7, 1.5, 1, (3, 3))
