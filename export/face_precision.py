"""Average precision of a face detector on frames with the face anywhere, at any roll and size, and with none."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from edgemon.faces.detect import Detection
from edgemon.inference import Image
from export.augment import warp
from export.datasets import FaceMark, Picture
from export.detection_metrics import average_precision, matches, precision_recall
from export.face_cases import FRAME_PX, Subjects

IOUS = (0.5, 0.6, 0.7, 0.8)
ANY_SHOW = "any roll, place and size (48-190 px)"
SMALLEST_PX, LARGEST_PX = 48.0, 190.0
LOWEST_SCORE = 0.005


class Finder(Protocol):
    """Any detector: ours or a peer."""

    def detect(self, image: Image, threshold: float | None = None) -> tuple[Detection, ...]:
        """The faces in one RGB image, best first."""
        ...


@dataclass(frozen=True, slots=True)
class Precision:
    """AP by IoU on one set of faces, and the curve (precision, recall) at IoU 0.5."""

    data: str
    faces: int
    ap: Mapping[float, float]
    curve: tuple[tuple[float, float], ...]

    @property
    def mean(self) -> float:
        """AP over the IoUs."""
        return float(np.mean(list(self.ap.values())))


def anywhere(rng: np.random.Generator, picture: Picture) -> tuple[Image, FaceMark]:
    """The picture with its face wholly in the frame, at a random roll, place and size."""
    assert picture.face is not None
    mark, (width, height) = picture.face, FRAME_PX
    size_px = math.exp(rng.uniform(math.log(SMALLEST_PX), math.log(LARGEST_PX)))
    turn, scale = math.radians(rng.uniform(-180, 180)), size_px / mark.size_px
    c, s = scale * math.cos(turn), scale * math.sin(turn)
    turned = np.array([[c, -s], [s, c]])
    outline = mark.outline @ turned.T
    low, high = outline.min(axis=0), outline.max(axis=0)
    room = np.array([width, height]) - (high - low)
    shift = np.where(room > 0, rng.uniform(0, 1, 2) * room, room / 2) - low
    matrix = np.column_stack([turned, shift])
    return warp(picture.rgb, matrix, FRAME_PX, cv2.BORDER_REPLICATE), mark.moved(matrix)


def judge(finder: Finder, subjects: Subjects, face_free: Sequence[Image], places: int = 2, seed: int = 5) -> Precision:
    """AP on each subject at `places` places, with the frames of no face beside them."""
    rng = np.random.default_rng(seed)
    found: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
    truths: list[NDArray[np.float64]] = []
    for picture in subjects.pictures * places:
        rgb, face = anywhere(rng, picture)
        found.append(boxes_of(finder.detect(rgb, LOWEST_SCORE)))
        truths.append(np.array([face.box()]))
    for rgb in face_free:
        found.append(boxes_of(finder.detect(rgb, LOWEST_SCORE)))
        truths.append(np.empty((0, 4)))
    by_iou = {iou: matches(found, truths, iou) for iou in IOUS}
    precision, recall = precision_recall(*by_iou[IOUS[0]])
    curve = tuple(zip(precision.round(4).tolist(), recall.round(4).tolist(), strict=True))
    ap = {iou: average_precision(*matched) for iou, matched in by_iou.items()}
    return Precision(subjects.name, len(subjects.pictures) * places, ap, curve)


def boxes_of(found: Sequence[Detection]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Boxes (n, 4) and scores (n,)."""
    boxes = np.array([d.box for d in found], np.float64).reshape(-1, 4)
    return boxes, np.array([d.score for d in found], np.float64)
