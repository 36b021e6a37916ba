"""The endless stream of training frames for the face detector, matched to its anchors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from edgemon.faces.detect import CENTRE_VARIANCE, SIZE_VARIANCE, anchors
from export.augment import Painter, Scene, compose, cover, expose, place, spoil, warp
from export.datasets import Image, LondonPerson, Picture, Renders, london

POSITIVE_IOU, NEGATIVE_IOU = 0.45, 0.3
MIN_VISIBLE = 0.35  # a face that is hidden more than this teaches nothing that can be seen
LONDON_SHARE, FACE_FREE_SHARE, SECOND_FACE_SHARE = 0.17, 0.22, 0.06


class FaceScenes(IterableDataset[tuple[Tensor, ...]]):
    """Image (3, H, W) uint8, label (N,) of -1 ignore, 0 background, 1 face, and box (N, 4) and landmarks (N, 10) px."""

    def __init__(self, renders: Path, photographs: Path | None, size: tuple[int, int], seed: int) -> None:
        self.renders, self.size, self.seed = Renders(renders), size, seed
        self.persons: tuple[LondonPerson, ...] = london(photographs, "train") if photographs else ()
        rows = self.renders.rows
        self.with_face = [i for i, r in enumerate(rows) if r["face_box"] and r["face_visible"] >= MIN_VISIBLE]
        self.face_free = [i for i, r in enumerate(rows) if r["face_box"] is None]

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        worker = get_worker_info()
        cv2.setNumThreads(1)
        rng = np.random.default_rng([self.seed, worker.id if worker else 0])
        painter = Painter(rng)
        photographs = [person.picture() for person in self.persons]
        priors = anchors(self.size)
        while True:
            scene = self.scene(painter, photographs)
            yield (torch.from_numpy(scene.rgb.transpose(2, 0, 1).copy()), *match(scene, priors))

    def scene(self, painter: Painter, photographs: list[Picture]) -> Scene:
        """One frame."""
        rng = painter.rng
        backdrop = self._backdrop(painter, photographs)
        if rng.random() < FACE_FREE_SHARE:
            return Scene(expose(painter, self._face_free(painter, photographs, backdrop)), ())
        scene = compose(painter, self._subject(rng, photographs), backdrop, self.size)
        if photographs and rng.random() < SECOND_FACE_SHARE:
            scene = _with_second(painter, scene, photographs[rng.integers(len(photographs))])
        scene = cover(painter, scene)
        return Scene(expose(painter, scene.rgb), scene.faces)

    def _subject(self, rng: np.random.Generator, photographs: list[Picture]) -> Picture:
        if photographs and rng.random() < LONDON_SHARE:
            return photographs[rng.integers(len(photographs))]
        return self.renders.picture(self.with_face[rng.integers(len(self.with_face))])

    def _backdrop(self, painter: Painter, photographs: list[Picture]) -> Image:
        rng = painter.rng
        if rng.random() < 0.5 or not self.face_free:
            return painter.texture(self.size)
        rgb = self.renders.rgb(self.face_free[rng.integers(len(self.face_free))])
        turn, zoom = rng.uniform(0, 360), rng.uniform(0.9, 2.2) * self.size[0] / 384
        matrix = cv2.getRotationMatrix2D((192, 192), turn, zoom)
        centred = np.asarray(matrix, np.float64)
        centred[:, 2] += np.array(self.size) / 2 - 192
        return warp(rgb, centred, self.size, cv2.BORDER_REFLECT_101)

    def _face_free(self, painter: Painter, photographs: list[Picture], backdrop: Image) -> Image:
        rng = painter.rng
        if rng.random() < 0.45:
            return backdrop
        scene = compose(painter, self._subject(rng, photographs), backdrop, self.size)
        return spoil(painter, scene.faces[0], scene.rgb)


def _with_second(painter: Painter, scene: Scene, other: Picture) -> Scene:
    assert other.face is not None
    size = (scene.rgb.shape[1], scene.rgb.shape[0])
    matrix = place(painter.rng, other.face, size)
    face = other.face.moved(matrix)
    distance = np.hypot(*(np.subtract(face.centre, scene.faces[0].centre)))
    if distance < 1.3 * (max(face.axes) + max(scene.faces[0].axes)):
        return scene
    mask = warp(np.where(other.subject, 255, 0).astype(np.uint8), matrix, size)[..., None] / 255.0
    mixed = warp(other.rgb, matrix, size) * mask + scene.rgb * (1 - mask)
    return Scene(mixed.astype(np.uint8), (*scene.faces, face))


def match(scene: Scene, priors: NDArray[np.float32]) -> tuple[Tensor, Tensor, Tensor]:
    """Label, box and landmarks of every anchor; each face has at least its best anchor."""
    label = np.zeros(len(priors), np.int64)
    boxes, points = np.zeros((len(priors), 4), np.float32), np.zeros((len(priors), 10), np.float32)
    corners = np.concatenate([priors[:, :2] - priors[:, 2:] / 2, priors[:, :2] + priors[:, 2:] / 2], axis=1)
    best = np.zeros(len(priors), np.float32)
    for face in scene.faces:
        box = np.array(face.box(), np.float32)
        overlap = _iou(box, corners)
        positive = overlap >= POSITIVE_IOU
        positive[overlap.argmax()] = True
        taken = positive & (overlap >= best)
        boxes[taken], points[taken], label[taken] = box, face.landmarks.reshape(-1), 1
        label[(overlap > NEGATIVE_IOU) & (label == 0)] = -1
        best = np.maximum(best, overlap)
    return torch.from_numpy(label), torch.from_numpy(boxes), torch.from_numpy(points)


def _iou(box: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    shared = np.clip(np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2]), 0, None).prod(axis=1)
    area, areas = (box[2:] - box[:2]).prod(), (others[:, 2:] - others[:, :2]).prod(axis=1)
    return np.asarray(shared / (area + areas - shared), np.float32)


def encode(boxes: Tensor, points: Tensor, priors: Tensor) -> tuple[Tensor, Tensor]:
    """The deltas (n, 4) and (n, 10) that decode to these boxes and landmarks (SSD's variances)."""
    centre, size = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    shift = (centre - priors[:, :2]) / (CENTRE_VARIANCE * priors[:, 2:])
    grow = torch.log(size / priors[:, 2:]) / SIZE_VARIANCE
    around = priors[:, :2].repeat(1, 5)
    return torch.cat([shift, grow], dim=1), (points - around) / (CENTRE_VARIANCE * priors[:, 2:].repeat(1, 5))
