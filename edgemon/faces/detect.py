"""From the detector's raw outputs to faces: anchors, decoding, score and non-maximum suppression, in numpy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from edgemon.errors import ModelError
from edgemon.inference import Image, Model, Tensor, letterbox, prepare
from edgemon.records import Box

# (stride, anchor sides) in px of the network's input; newborn faces are 48-240 px of 320x240, so stride 8 is not needed
LEVELS: tuple[tuple[int, tuple[int, ...]], ...] = ((16, (54, 76, 108)), (32, (152, 216)))
CENTRE_VARIANCE, SIZE_VARIANCE = 0.1, 0.2
MAX_CANDIDATES = 100
VOTE_DIOU, VOTE_SCORE = 0.75, 0.6  # who votes: the overlap with the best, and the score as a share of its score


@dataclass(frozen=True, slots=True, eq=False)
class Detection:
    """One face found: box xyxy px, landmarks float32 (5, 2) px in the order of `Face`, score 0..1."""

    box: Box
    landmarks: NDArray[np.float32]
    score: float


@cache
def anchors(size_px: tuple[int, int]) -> NDArray[np.float32]:
    """All anchors (N, 4) as centre x, centre y, width, height in px; by level, row, column, side."""
    width, height = size_px
    parts = []
    for stride, sides in LEVELS:
        columns, rows = -(-width // stride), -(-height // stride)
        y, x, side = np.meshgrid(
            (np.arange(rows) + 0.5) * stride, (np.arange(columns) + 0.5) * stride, sides, indexing="ij"
        )
        parts.append(np.stack([x, y, side, side], axis=-1).reshape(-1, 4))
    return np.concatenate(parts).astype(np.float32)


def decode_boxes(deltas: NDArray[np.float32], priors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Boxes xyxy (n, 4) from deltas (n, 4) and their anchors (n, 4); SSD's variances."""
    centre = priors[:, :2] + deltas[:, :2] * CENTRE_VARIANCE * priors[:, 2:]
    half = priors[:, 2:] * np.exp(np.clip(deltas[:, 2:] * SIZE_VARIANCE, -4, 4)) / 2
    return np.concatenate([centre - half, centre + half], axis=1)


def decode_landmarks(deltas: NDArray[np.float32], priors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Landmarks (n, 5, 2) from deltas (n, 10) and their anchors (n, 4)."""
    return priors[:, None, :2] + deltas.reshape(-1, 5, 2) * CENTRE_VARIANCE * priors[:, None, 2:]


def face_score(logits: NDArray[np.float32], alpha: float) -> NDArray[np.float32]:
    """score = p^alpha * D^(1 - alpha) (n,) from the logits (n, 2) of class and predicted DIoU (MICCAI 2024, eq. 2)."""
    # sigmoid in its log form does not overflow
    log_sigmoid = -np.logaddexp(0, -logits)
    return np.exp(alpha * log_sigmoid[:, 0] + (1 - alpha) * log_sigmoid[:, 1]).astype(np.float32)


def diou(box: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """IoU - rho^2 / c^2 of one box (4,) with others (n, 4): the overlap, less the distance of the centres."""
    overlap = np.clip(np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2]), 0, None)
    intersection = overlap.prod(axis=1)
    area, areas = (box[2:] - box[:2]).prod(), (others[:, 2:] - others[:, :2]).prod(axis=1)
    hull = np.maximum(box[2:], others[:, 2:]) - np.minimum(box[:2], others[:, :2])
    rho2 = (((box[:2] + box[2:]) - (others[:, :2] + others[:, 2:])) ** 2).sum(axis=1) / 4
    iou = intersection / np.maximum(area + areas - intersection, 1e-6)
    return np.asarray(iou - rho2 / np.maximum((hull**2).sum(axis=1), 1e-6), np.float32)


def nms(boxes: NDArray[np.float32], scores: NDArray[np.float32], threshold: float) -> list[int]:
    """DIoU-NMS: indices that stay, best first."""
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while order.size:
        best, rest = int(order[0]), order[1:]
        kept.append(best)
        order = rest[diou(boxes[best], boxes[rest]) <= threshold]
    return kept


Floats = NDArray[np.float32]


def vote(values: Floats, overlaps: Floats, scores: Floats) -> Floats:
    """The mean (k,) of what candidates (n, k) for one face say, by score and overlap (n,) with the best.

    Box voting (ICCV 2015, arXiv 1505.01749, sec. 3.3), for the landmarks too: neighbouring anchors see the same face,
    and their errors are partly their own.
    """
    near = overlaps >= VOTE_DIOU
    weights = (scores[near] * overlaps[near])[:, None]
    return np.asarray((values[near] * weights).sum(axis=0) / weights.sum(), np.float32)


class FaceDetector:
    """Finds every face in one RGB image, at any in-plane roll."""

    def __init__(self, model: Model) -> None:
        if model.manifest.task != "face":
            raise ModelError(f"model {model.manifest.label} is a {model.manifest.task} model, not a face model")
        self.manifest = model.manifest
        self._model = model
        self._threshold = self.manifest.threshold("score")
        self._alpha = self.manifest.threshold("alpha")
        self._nms_diou = self.manifest.threshold("nms_diou")
        self._anchors = anchors(self.manifest.input.size_px)

    def detect(self, image: Image, threshold: float | None = None) -> tuple[Detection, ...]:
        """The faces whose score reaches the threshold (the manifest's by default), best first, in px of the image."""
        fitted, scale = letterbox(image, self.manifest.input.size_px)
        outputs = self._model(prepare(fitted, self.manifest.input))
        return self._decode(outputs, self._threshold if threshold is None else threshold, scale)

    def _decode(self, outputs: tuple[Tensor, ...], threshold: float, scale: float) -> tuple[Detection, ...]:
        logits, boxes, points = (output[0] for output in outputs)
        scores = face_score(logits, self._alpha)
        chosen = np.flatnonzero(scores >= VOTE_SCORE * threshold)
        chosen = chosen[np.argsort(-scores[chosen], kind="stable")[:MAX_CANDIDATES]]
        priors, scores = self._anchors[chosen], scores[chosen]
        xyxy = decode_boxes(boxes[chosen], priors)
        landmarks = decode_landmarks(points[chosen], priors).reshape(-1, 10)
        both = np.concatenate([xyxy, landmarks], axis=1)
        found = []
        for i in nms(xyxy, scores, self._nms_diou):
            if scores[i] < threshold:
                break
            voters = scores >= VOTE_SCORE * scores[i]
            told = vote(both[voters], diou(xyxy[i], xyxy[voters]), scores[voters]) / scale
            found.append(Detection(_box(told[:4]), told[4:].reshape(5, 2).astype(np.float32), float(scores[i])))
        return tuple(found)


def _box(xyxy: NDArray[np.float32]) -> Box:
    x0, y0, x1, y1 = (float(v) for v in xyxy)
    return x0, y0, x1, y1
