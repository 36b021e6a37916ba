"""The upright patch of a face: the same at every roll and size, finite always, and fine enough for a pulse."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgemon.faces.patch import REACH, SIDE, patch

PLACES = np.array([[-0.5, 0.0], [0.5, 0.0], [0.0, 0.5], [-0.38, 0.95], [0.38, 0.95]])


def landmarks_at(x: float, y: float, size_px: float, roll_deg: float) -> np.ndarray:
    turn = np.radians(roll_deg)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return (size_px * PLACES @ rotation.T + (x, y)).astype(np.float32)


def picture() -> np.ndarray:
    rng = np.random.default_rng(0)
    coarse = rng.integers(40, 220, (9, 9, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(coarse, (240, 240), interpolation=cv2.INTER_CUBIC), np.uint8)


@pytest.mark.parametrize("roll_deg", [-170.0, -90.0, -33.0, 90.0, 180.0])
def test_the_patch_turns_with_the_face(roll_deg: float) -> None:
    image, upright = picture(), landmarks_at(120, 110, 40, 0)
    matrix = cv2.getRotationMatrix2D((119.5, 119.5), -roll_deg, 1.0)
    turned = cv2.warpAffine(image, matrix, (240, 240), flags=cv2.INTER_LINEAR)
    followed = (upright @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
    assert np.abs(patch(turned, followed) - patch(image, upright)).max() < 2.0


def test_cells_are_means_over_their_place() -> None:
    image = np.zeros((200, 200, 3), np.uint8)
    image[:, 100:] = (200, 100, 50)
    seen = patch(image, landmarks_at(99.5, 90, 40, 0))
    assert seen.shape == (SIDE, SIDE, 3)
    assert seen.dtype == np.float32
    assert np.abs(seen[:, : SIDE // 2 - 1]).max() == 0
    assert np.allclose(seen[:, SIDE // 2 + 1 :], (200, 100, 50))


def test_a_pulse_below_one_step_of_the_sensor_is_kept() -> None:
    rng = np.random.default_rng(1)
    face = landmarks_at(120, 110, 40, 20)
    levels = [120.0, 120.4]
    means = []
    for level in levels:
        frames = [(level + rng.normal(0, 2, (240, 240, 3)) + 0.5).astype(np.uint8) for _ in range(4)]
        means.append(np.mean([patch(frame, face).mean() for frame in frames]))
    assert means[1] - means[0] == pytest.approx(0.4, abs=0.08)


@settings(max_examples=30, deadline=None)
@given(arrays(np.float32, (5, 2), elements=st.floats(-500, 500, width=32)))
def test_any_landmarks_give_a_finite_patch(landmarks: np.ndarray) -> None:
    seen = patch(picture(), landmarks)
    assert np.isfinite(seen).all()
    assert seen.min() >= 0
    assert seen.max() <= 255


def test_the_patch_reaches_over_the_face() -> None:
    image = np.zeros((200, 200, 3), np.uint8)
    half = round(REACH * 40 / 2)
    image[102 - half : 102 + half, 100 - half : 100 + half] = 255  # its centre lies 0.3 below the eyes
    assert patch(image, landmarks_at(99.5, 89.5, 40, 0)).min() > 200
