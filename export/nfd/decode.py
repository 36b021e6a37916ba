"""From the numbers of one frame to faces: decoding, score and non-maximum suppression, in numpy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.detection_metrics import iou_table

Floats = NDArray[np.float32]
MAX_CANDIDATES = 300  # before suppression, best first
CENTRE_VARIANCE, SIZE_VARIANCE = 0.1, 0.2  # SSD's (arXiv 1512.02325)
NMS_IOU = 0.4  # the official test script's
OFFICIAL_SCORE = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Faces of one frame, best first: boxes xyxy (n, 4) and landmarks (n, 5, 2) px, scores (n,)."""

    boxes: Floats
    landmarks: Floats
    scores: Floats


def decode_boxes(deltas: Floats, anchors: Floats) -> Floats:
    """Boxes xyxy (n, 4) px from deltas (n, 4) and their anchors (n, 4)."""
    centre = anchors[:, :2] + deltas[:, :2] * CENTRE_VARIANCE * anchors[:, 2:]
    half = anchors[:, 2:] * np.exp(np.clip(deltas[:, 2:] * SIZE_VARIANCE, -4, 4)) / 2
    return np.concatenate([centre - half, centre + half], axis=1)


def decode_landmarks(deltas: Floats, anchors: Floats) -> Floats:
    """Landmarks (n, 5, 2) px from deltas (n, 10) and their anchors (n, 4)."""
    return anchors[:, None, :2] + deltas.reshape(-1, 5, 2) * CENTRE_VARIANCE * anchors[:, None, 2:]


def ranking(probability: Floats, quality: Floats | None, alpha: float) -> Floats:
    """score = p^alpha * D^(1 - alpha) (eq. 2); p alone without a quality."""
    if quality is None:
        return probability
    return np.asarray(probability**alpha * quality ** (1 - alpha), np.float32)


def decode(scores: Floats, deltas: Floats, landmarks: Floats, anchors: Floats, *, at_least: float) -> Found:
    """The faces among scores (N,), deltas (N, 4) and (N, 10) of the anchors (N, 4) px."""
    chosen = np.flatnonzero(scores >= at_least)
    chosen = chosen[np.argsort(-scores[chosen], kind="stable")[:MAX_CANDIDATES]]
    boxes = decode_boxes(deltas[chosen], anchors[chosen])
    kept = suppress(boxes)
    chosen = chosen[kept]
    points = decode_landmarks(landmarks[chosen], anchors[chosen])
    return Found(boxes[kept].astype(np.float32), points.astype(np.float32), scores[chosen])


def decode_official(boxes: Floats, probabilities: Floats, landmarks: Floats, anchors: Floats) -> Found:
    """The faces among the three outputs of the official network, each (1, N, ...)."""
    return decode(probabilities[0, :, 1], boxes[0], landmarks[0], anchors, at_least=OFFICIAL_SCORE)


def suppress(boxes: Floats, iou: float = NMS_IOU) -> list[int]:
    """Indices of the boxes (n, 4), best first, that no better kept one overlaps by more than `iou`."""
    overlap = iou_table(boxes, boxes)
    alive, kept = np.ones(len(boxes), bool), []
    for index in range(len(boxes)):
        if alive[index]:
            kept.append(index)
            alive &= overlap[index] <= iou
    return kept
