"""Decoding and NMS of the face detector against golden arrays.

`golden/detect.npz` holds raw outputs and what plain loops in float64 make of them; `python tests/test_detect.py`
remakes it.
"""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgemon.errors import ModelError
from edgemon.faces.detect import (
    LEVELS,
    VOTE_DIOU,
    VOTE_SCORE,
    FaceDetector,
    anchors,
    decode_boxes,
    decode_landmarks,
    diou,
    face_score,
    nms,
    vote,
)
from edgemon.inference import Model
from edgemon.manifest import Manifest, ModelFile

GOLDEN = Path(__file__).parent / "golden" / "detect.npz"
SIZE_PX = (320, 240)
ALPHA, SCORE, NMS_DIOU = 0.7, 0.4, 0.45
Row = tuple[float, ...]


def plain_anchors() -> list[Row]:
    """Level by level, row by row, column by column, side by side."""
    return [
        ((column + 0.5) * stride, (row + 0.5) * stride, side)
        for stride, sides in LEVELS
        for row in range(math.ceil(SIZE_PX[1] / stride))
        for column in range(math.ceil(SIZE_PX[0] / stride))
        for side in sides
    ]


def plain_diou(a: Row, b: Row) -> float:
    """IoU - rho^2 / c^2 of two boxes, written out."""
    wide = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    high = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - wide * high
    rho2 = ((a[0] + a[2] - b[0] - b[2]) / 2) ** 2 + ((a[1] + a[3] - b[1] - b[3]) / 2) ** 2
    c2 = (max(a[2], b[2]) - min(a[0], b[0])) ** 2 + (max(a[3], b[3]) - min(a[1], b[1])) ** 2
    return wide * high / union - rho2 / c2


def plain_detect(logits: NDArray[np.float32], boxes: NDArray[np.float32], points: NDArray[np.float32]) -> list[Row]:
    """(score, box, landmarks) of each face, best first."""
    found: list[Row] = []
    for (x, y, side), (p, d), box, point in zip(plain_anchors(), logits, boxes, points, strict=True):
        score = (1 / (1 + math.exp(-p))) ** ALPHA * (1 / (1 + math.exp(-d))) ** (1 - ALPHA)
        cx, cy = x + 0.1 * side * box[0], y + 0.1 * side * box[1]
        w, h = side * math.exp(0.2 * box[2]), side * math.exp(0.2 * box[3])
        places = [(x, y)[i % 2] + 0.1 * side * value for i, value in enumerate(point)]
        found.append((score, cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2, *places))
    kept: list[Row] = []
    for row in sorted(found, reverse=True):
        if row[0] >= SCORE and all(plain_diou(row[1:5], other[1:5]) <= NMS_DIOU for other in kept):
            kept.append(row)
    return [plain_vote(row, found) for row in kept]


def plain_vote(best: Row, found: list[Row]) -> Row:
    """The best with the mean of what is near it, weighted by score and overlap."""
    near = [(plain_diou(best[1:5], row[1:5]), row) for row in found if row[0] >= VOTE_SCORE * best[0]]
    weighed = [(overlap * row[0], row) for overlap, row in near if overlap >= VOTE_DIOU]
    total = sum(weight for weight, _ in weighed)
    return best[0], *(sum(weight * row[k] for weight, row in weighed) / total for k in range(1, 15))


def remake() -> None:
    """Raw outputs with three faces that several anchors see, and the plain loops' answer."""
    rng = np.random.default_rng(4)
    count = len(plain_anchors())
    logits = rng.normal((-5, 0), 1, (count, 2)).astype(np.float32)
    boxes, points = (rng.normal(0, 0.8, (count, size)).astype(np.float32) for size in (4, 10))
    for x, y in ((80, 70), (210, 120), (250, 200)):
        near = [i for i, (ax, ay, side) in enumerate(plain_anchors()) if math.hypot(ax - x, ay - y) < 20 and side > 70]
        logits[near] = rng.normal(2, 1, (len(near), 2))
    np.savez_compressed(
        GOLDEN, logits=logits, boxes=boxes, landmarks=points, expected=np.array(plain_detect(logits, boxes, points))
    )


@pytest.fixture(scope="module")
def golden() -> dict[str, NDArray[np.float32]]:
    with np.load(GOLDEN) as file:
        return dict(file)


def constant_graph(outputs: dict[str, NDArray[np.float32]]) -> bytes:
    """A network that answers the same to every picture."""
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, SIZE_PX[1], SIZE_PX[0]])
    nodes = [helper.make_node("Constant", [], [name], value=numpy_helper.from_array(v)) for name, v in outputs.items()]
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, v.shape) for name, v in outputs.items()]
    graph = helper.make_graph(nodes, "constant", [image], infos)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def face_model(outputs: dict[str, NDArray[np.float32]], task: str = "face", **thresholds: float) -> Model:
    onnx_bytes = constant_graph(outputs)
    manifest = Manifest.model_validate(
        {
            "id": "golden",
            "version": "1.0.0",
            "sha256": hashlib.sha256(onnx_bytes).hexdigest(),
            "precision": "fp32",
            "task": task,
            "intended_use": "this test",
            "thresholds": {"score": SCORE, "alpha": ALPHA, "nms_diou": NMS_DIOU} | thresholds,
            "input": {
                "name": "image",
                "shape": (1, 3, SIZE_PX[1], SIZE_PX[0]),
                "colour": "RGB",
                "mean": (127.5,) * 3,
                "scale": (1 / 127.5,) * 3,
            },
            "outputs": [{"name": name, "meaning": "golden"} for name in outputs],
            "origins": [{"data": "random numbers", "licence": "CC0 1.0"}],
            "metrics": [{"name": "none", "data": "none", "condition": "none", "value": 0.0}],
        }
    )
    return Model(ModelFile(manifest, onnx_bytes))


def raw(golden: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    return {name: golden[name][None] for name in ("logits", "boxes", "landmarks")}


def test_detector_gives_what_plain_loops_give(golden: dict[str, NDArray[np.float32]]) -> None:
    found = FaceDetector(face_model(raw(golden))).detect(np.zeros((240, 320, 3), np.uint8))
    rows = [(d.score, *d.box, *d.landmarks.reshape(-1)) for d in found]
    np.testing.assert_allclose(rows, golden["expected"], rtol=1e-4, atol=1e-3)


def test_a_larger_picture_gives_larger_faces(golden: dict[str, NDArray[np.float32]]) -> None:
    detector = FaceDetector(face_model(raw(golden)))
    small = detector.detect(np.zeros((240, 320, 3), np.uint8))
    large = detector.detect(np.zeros((480, 640, 3), np.uint8))
    np.testing.assert_allclose([d.box for d in large], 2 * np.array([d.box for d in small]), rtol=1e-5)
    np.testing.assert_allclose([d.landmarks for d in large], 2 * np.array([d.landmarks for d in small]), rtol=1e-5)


def test_the_given_threshold_replaces_the_manifests(golden: dict[str, NDArray[np.float32]]) -> None:
    found = FaceDetector(face_model(raw(golden))).detect(np.zeros((240, 320, 3), np.uint8), threshold=0.9)
    assert len(found) == int((golden["expected"][:, 0] >= 0.9).sum())


def test_numbers_that_are_not_finite_are_refused(golden: dict[str, NDArray[np.float32]]) -> None:
    broken = raw(golden)
    broken["boxes"] = np.full_like(broken["boxes"], np.nan)
    with pytest.raises(ModelError, match="not finite"):
        face_model(broken)


def test_a_model_of_another_task_is_refused(golden: dict[str, NDArray[np.float32]]) -> None:
    with pytest.raises(ModelError, match="not a face model"):
        FaceDetector(face_model(raw(golden), task="expression"))


def test_anchors_come_level_by_level() -> None:
    plain = np.array([(x, y, side, side) for x, y, side in plain_anchors()], np.float32)
    np.testing.assert_array_equal(anchors(SIZE_PX), plain)


def test_no_deltas_give_the_anchor_itself() -> None:
    priors = anchors(SIZE_PX)[::97]
    zero = np.zeros((len(priors), 10), np.float32)
    boxes = decode_boxes(zero[:, :4], priors)
    np.testing.assert_allclose((boxes[:, :2] + boxes[:, 2:]) / 2, priors[:, :2], rtol=1e-6)
    np.testing.assert_allclose(boxes[:, 2:] - boxes[:, :2], priors[:, 2:], rtol=1e-5)
    np.testing.assert_allclose(decode_landmarks(zero, priors), np.repeat(priors[:, None, :2], 5, axis=1))


def test_a_score_stays_within_bounds_for_extreme_logits() -> None:
    extreme = np.array([[-1e4, 1e4], [1e4, 1e4], [-1e4, -1e4]], np.float32)
    np.testing.assert_allclose(face_score(extreme, 0.5), [0, 1, 0], atol=1e-6)


coordinates = st.floats(0, 300, width=32)
box = st.tuples(coordinates, coordinates, st.floats(4, 200, width=32), st.floats(4, 200, width=32)).map(
    lambda b: np.array([b[0], b[1], b[0] + b[2], b[1] + b[3]], np.float32)
)


@given(box, box)
def test_diou_is_bounded_symmetric_and_one_for_the_same_box(a: NDArray[np.float32], b: NDArray[np.float32]) -> None:
    forth, back = float(diou(a, b[None])[0]), float(diou(b, a[None])[0])
    assert forth == pytest.approx(back, abs=1e-4)
    assert -1 <= forth <= 1 + 1e-5
    assert float(diou(a, a[None])[0]) == pytest.approx(1, abs=1e-4)


@given(st.lists(box, min_size=1, max_size=12), st.integers(0, 2**32 - 1))
def test_a_vote_lies_within_what_its_voters_say(boxes: list[NDArray[np.float32]], seed: int) -> None:
    stack = np.stack(boxes)
    scores = np.random.default_rng(seed).uniform(0.1, 1, len(boxes)).astype(np.float32)
    overlaps = diou(stack[0], stack)
    told, near = vote(stack, overlaps, scores), stack[overlaps >= VOTE_DIOU]
    assert (told >= near.min(axis=0) - 1e-2).all()
    assert (told <= near.max(axis=0) + 1e-2).all()


@given(st.lists(box, min_size=1, max_size=12), st.integers(0, 2**32 - 1))
def test_nms_keeps_the_best_and_nothing_that_overlaps_it(boxes: list[NDArray[np.float32]], seed: int) -> None:
    all_boxes = np.stack(boxes)
    scores = np.random.default_rng(seed).random(len(boxes)).astype(np.float32)
    kept = nms(all_boxes, scores, NMS_DIOU)
    assert kept[0] == int(scores.argmax())
    for place, i in enumerate(kept):
        rest = kept[place + 1 :]
        assert (diou(all_boxes[i], all_boxes[rest]) <= NMS_DIOU).all()
        assert (scores[rest] <= scores[i]).all()
    dropped = set(range(len(boxes))) - set(kept)
    assert all((diou(all_boxes[j], all_boxes[kept]) > NMS_DIOU - 1e-6).any() for j in dropped)


if __name__ == "__main__":
    remake()
    onnx.checker.check_model(onnx.load_from_string(constant_graph({"logits": np.zeros((1, 1, 2), np.float32)})))
