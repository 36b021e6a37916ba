"""The one preprocessing, and sessions that refuse what their manifest does not promise."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgemon.errors import ModelError
from edgemon.faces.detect import FaceDetector
from edgemon.inference import ExpressionModel, Model, aligned_crop, letterbox, prepare, roll_deg
from edgemon.manifest import ModelInput, default_folder, load

INPUT = ModelInput(name="image", shape=(1, 3, 4, 6), colour="RGB", mean=(10.0, 20.0, 30.0), scale=(0.5, 0.25, 0.125))
UPRIGHT = np.array([[-12, -10], [12, -10], [0, 2], [-9, 14], [9, 14]], np.float32)
CENTRE = (160.0, 120.0)


def picture(seed: int = 0) -> NDArray[np.uint8]:
    """Smooth RGB (240, 320, 3), so that a turn and back loses little."""
    small = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(small, (320, 240), interpolation=cv2.INTER_CUBIC), np.uint8)


def turned(points: NDArray[np.float32], degrees: float) -> NDArray[np.float32]:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return (points @ np.array([[c, s], [-s, c]], np.float32)).astype(np.float32)


def test_prepare_subtracts_scales_and_transposes() -> None:
    image = np.random.default_rng(1).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    tensor = prepare(image, INPUT)
    assert tensor.shape == (1, 3, 4, 6)
    assert tensor.dtype == np.float32
    for channel, (mean, scale) in enumerate(zip(INPUT.mean, INPUT.scale, strict=True)):
        np.testing.assert_allclose(tensor[0, channel], (image[..., channel] - mean) * scale, rtol=1e-6)


def test_prepare_refuses_a_picture_of_another_size() -> None:
    with pytest.raises(ValueError, match=r"\(4, 6, 3\)"):
        prepare(np.zeros((6, 4, 3), np.uint8), INPUT)


def test_letterbox_leaves_the_right_size_alone() -> None:
    image = picture()
    same, scale = letterbox(image, (320, 240))
    assert same is image
    assert scale == 1.0


@given(st.integers(16, 700), st.integers(16, 700))
@settings(max_examples=40, deadline=None)
def test_letterbox_keeps_the_aspect_and_fills_the_rest_with_grey(width: int, height: int) -> None:
    out, scale = letterbox(np.full((height, width, 3), 200, np.uint8), (320, 240))
    assert out.shape == (240, 320, 3)
    inner_w, inner_h = max(1, round(width * scale)), max(1, round(height * scale))
    assert inner_w == 320 or inner_h == 240
    assert (out[:inner_h, :inner_w] == 200).all()
    assert (out[inner_h:] == 114).all()
    assert (out[:, inner_w:] == 114).all()


@given(st.floats(-179, 179))
def test_roll_is_the_angle_the_landmarks_were_turned_by(degrees: float) -> None:
    error = roll_deg(turned(UPRIGHT, degrees)) - degrees
    assert abs((error + 180) % 360 - 180) < 1e-2


@given(st.floats(-179, 179), st.floats(0.25, 1))
def test_roll_holds_when_the_head_is_turned_aside(degrees: float, narrow: float) -> None:
    aside = (UPRIGHT * (narrow, 1)).astype(np.float32)
    error = roll_deg(turned(aside, degrees)) - degrees
    assert abs((error + 180) % 360 - 180) < 1e-2


@given(st.floats(-179, 179))
@settings(max_examples=25, deadline=None)
def test_the_crop_of_a_turned_picture_is_that_of_the_upright_one(degrees: float) -> None:
    image = picture()
    box = (CENTRE[0] - 25, CENTRE[1] - 25, CENTRE[0] + 25, CENTRE[1] + 25)
    upright = aligned_crop(image, box, UPRIGHT + np.float32(CENTRE), 64)
    matrix = cv2.getRotationMatrix2D(CENTRE, -degrees, 1.0)
    rotated = np.asarray(cv2.warpAffine(image, matrix, (320, 240)), np.uint8)
    points = (turned(UPRIGHT, degrees) + np.float32(CENTRE)).astype(np.float32)
    crop = aligned_crop(rotated, box, points, 64)
    assert np.abs(crop.astype(int) - upright).mean() < 4


def test_the_crop_is_centred_and_as_large_as_the_box_with_its_margin() -> None:
    image = np.zeros((240, 320, 3), np.uint8)
    cv2.circle(image, (160, 120), 30, (255, 255, 255), -1)
    crop = aligned_crop(image, (130, 90, 190, 150), UPRIGHT + np.float32(CENTRE), 90, margin=0.25)
    ys, xs = np.nonzero(crop[..., 0] > 127)
    assert xs.mean() == pytest.approx(44.5, abs=0.7)
    assert ys.mean() == pytest.approx(44.5, abs=0.7)
    assert np.ptp(xs) == pytest.approx(60, abs=2)


def test_outside_the_picture_the_crop_is_black() -> None:
    bright = np.full((240, 320, 3), 255, np.uint8)
    crop = aligned_crop(bright, (-40, -40, 40, 40), UPRIGHT, 64)
    assert (crop[:20, :20] == 0).all()
    assert (crop[-10:, -10:] == 255).all()


def released(name: str) -> Model:
    return Model.open(default_folder(), name)


@pytest.mark.parametrize("name", ["face", "expression"])
def test_a_released_model_opens_and_gives_what_its_manifest_says(name: str) -> None:
    model = released(name)
    outputs = model(np.zeros(model.manifest.input.shape, np.float32))
    assert len(outputs) == len(model.manifest.outputs)


def test_the_released_detector_and_reader_work_together() -> None:
    detector, reader = FaceDetector(released("face")), ExpressionModel(released("expression"))
    image = picture(3)
    found = detector.detect(image, threshold=0.0)
    scores = reader.read(image, found[0].box, found[0].landmarks)
    assert all(
        0 <= value <= 1
        for value in (scores.eyes_closed, scores.crying, scores.yawning, scores.eyes_visible, scores.mouth_visible)
    )


def test_a_reader_refuses_a_detectors_model() -> None:
    with pytest.raises(ModelError, match="not an expression model"):
        ExpressionModel(released("face"))


def copied(folder: Path) -> Path:
    for suffix in (".onnx", ".toml"):
        (folder / f"face{suffix}").write_bytes((default_folder() / f"face{suffix}").read_bytes())
    return folder


def test_an_empty_model_file_is_refused(tmp_path: Path) -> None:
    (copied(tmp_path) / "face.onnx").write_bytes(b"")
    with pytest.raises(ModelError, match="is empty"):
        load(tmp_path, "face")


def test_a_changed_model_file_is_refused(tmp_path: Path) -> None:
    path = copied(tmp_path) / "face.onnx"
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(ModelError, match="SHA-256"):
        load(tmp_path, "face")


def test_bytes_that_are_no_graph_are_refused(tmp_path: Path) -> None:
    path = copied(tmp_path) / "face.onnx"
    old = hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_bytes(b"not a graph")
    manifest = path.with_suffix(".toml")
    manifest.write_text(manifest.read_text().replace(old, hashlib.sha256(b"not a graph").hexdigest()))
    with pytest.raises(ModelError, match="not a usable ONNX graph"):
        Model.open(tmp_path, "face")


def test_a_graph_that_takes_another_size_is_refused(tmp_path: Path) -> None:
    manifest = copied(tmp_path) / "face.toml"
    manifest.write_text(manifest.read_text().replace("[1, 3, 240, 320]", "[1, 3, 320, 240]"))
    with pytest.raises(ModelError, match="graph takes"):
        Model.open(tmp_path, "face")


def test_a_missing_threshold_is_named() -> None:
    with pytest.raises(ModelError, match="'no_such'"):
        released("face").manifest.threshold("no_such")
