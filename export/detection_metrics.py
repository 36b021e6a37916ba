"""Average precision of a detector from its boxes and the true ones, as pure functions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Detections = Sequence[tuple[ArrayLike, ArrayLike]]


def iou_table(a: ArrayLike, b: ArrayLike) -> Floats:
    """IoU (n, m) of boxes xyxy (n, 4) with boxes (m, 4)."""
    p, q = np.asarray(a, np.float64).reshape(-1, 1, 4), np.asarray(b, np.float64).reshape(1, -1, 4)
    shared = _area(np.maximum(p[..., :2], q[..., :2]), np.minimum(p[..., 2:], q[..., 2:]))
    union = _area(p[..., :2], p[..., 2:]) + _area(q[..., :2], q[..., 2:]) - shared
    return np.asarray(shared / np.maximum(union, 1e-12), np.float64)


def _area(lower: Floats, upper: Floats) -> Floats:
    return np.asarray(np.clip(upper - lower, 0, None).prod(axis=-1), np.float64)


def matches(
    detections: Detections, truths: Sequence[ArrayLike], iou: float, ignore: Sequence[ArrayLike] | None = None
) -> tuple[Floats, Flags, int]:
    """Scores (N,) and hits (N,) of every detection of all frames, and how many true boxes there are.

    Per frame: boxes xyxy (n, 4) with scores (n,), true boxes (m, 4), and boxes (k, 4) that neither count nor harm. Best
    score first, a detection hits the free true box that it overlaps most, if by at least `iou`; one that hits none but
    overlaps an ignored box that much is left out.

    Raises:
        ValueError: the sequences differ in length, or boxes and scores of a frame do.
    """
    unwanted = ignore if ignore is not None else [np.empty((0, 4))] * len(truths)
    if not len(detections) == len(truths) == len(unwanted):
        raise ValueError(f"{len(detections)} frames of detections, {len(truths)} of truths, {len(unwanted)} of ignored")
    scores, hits = [np.empty(0)], [np.empty(0, bool)]
    for (boxes, confidence), truth, skip in zip(detections, truths, unwanted, strict=True):
        box, score = np.asarray(boxes, np.float64).reshape(-1, 4), np.asarray(confidence, np.float64).reshape(-1)
        if len(box) != len(score):
            raise ValueError(f"{len(box)} boxes with {len(score)} scores")
        order = np.argsort(-score, kind="stable")
        hit = _hits(iou_table(box[order], truth), iou)
        skipped = ~hit & (iou_table(box[order], skip) >= iou).any(axis=1)
        scores.append(score[order][~skipped])
        hits.append(hit[~skipped])
    total = sum(np.asarray(truth).reshape(-1, 4).shape[0] for truth in truths)
    return np.concatenate(scores), np.concatenate(hits), total


def _hits(overlap: Floats, iou: float) -> Flags:
    """Which rows of IoU (n, m), best score first, take a column of their own."""
    hit, table = np.zeros(len(overlap), bool), overlap.copy()
    for row in range(len(table)) if table.shape[1] else ():
        column = int(table[row].argmax())
        if table[row, column] >= iou:
            hit[row] = True
            table[:, column] = -1
    return hit


def precision_recall(scores: ArrayLike, hits: ArrayLike, total: int) -> tuple[Floats, Floats]:
    """Precision and recall at each distinct score, best first; detections of one score come in together.

    Raises:
        ValueError: there is no true box.
    """
    if total < 1:
        raise ValueError("recall needs true boxes")
    score, hit = np.asarray(scores, np.float64), np.asarray(hits, bool)
    order = np.argsort(-score, kind="stable")
    score, true = score[order], np.cumsum(hit[order])
    last = np.append(score[1:] != score[:-1], True) if score.size else np.empty(0, bool)
    return true[last] / (np.flatnonzero(last) + 1), true[last] / total


def average_precision(scores: ArrayLike, hits: ArrayLike, total: int) -> float:
    """Area under precision over recall, precision made monotone, at all points (PASCAL VOC from 2010 on).

    Raises:
        ValueError: there is no true box.
    """
    precision, recall = precision_recall(scores, hits, total)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float((envelope * np.diff(recall, prepend=0.0)).sum())
