"""The endless stream of training frames for the face detector, matched to its anchors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from edgemon.faces.detect import CENTRE_VARIANCE, SIZE_VARIANCE, anchors
from export.augment import Painter, Scene, blend, compose, cover, expose, place, spoil, warp
from export.datasets import Image, Picture, Renders
from export.datasets.own import training_faces
from export.datasets.stream import RenderSource, StreamedRenders

POSITIVE_IOU, NEGATIVE_IOU = 0.45, 0.3
MIN_VISIBLE = 0.35  # a face that is hidden more than this teaches nothing that can be seen
LONDON_SHARE, FACE_FREE_SHARE, SECOND_FACE_SHARE = 0.18, 0.35, 0.08
BLENDS = 5
SIDE_DEG, SIDE_REPEATS, EVENING_REPEATS = 40.0, 2, 2


class FaceScenes(IterableDataset[tuple[Tensor, ...]]):
    """Image (3, H, W) uint8, label (N,) of -1 ignore, 0 background, 1 face, and box (N, 4) and landmarks (N, 10) px.

    `renders` is a folder, or None for renders that are drawn on the way.
    """

    def __init__(self, renders: Path | None, photographs: Path | None, size: tuple[int, int], seed: int) -> None:
        self.folder, self.size, self.seed = renders, size, seed
        self.photographs = training_faces(photographs) if photographs else []
        if renders is not None:
            Renders(renders)  # a folder that is missing is told before training begins

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        worker = get_worker_info()
        cv2.setNumThreads(1)
        seeds = [self.seed, worker.id if worker else 0]
        rng = np.random.default_rng(seeds)
        source = Renders(self.folder) if self.folder else StreamedRenders(int(rng.integers(2**31)))
        frames = FaceFrames(rng, source, self.size, people(rng, self.photographs))
        priors = anchors(self.size)
        while True:
            scene = frames.next()
            yield (torch.from_numpy(scene.rgb.transpose(2, 0, 1).copy()), *match(scene, priors))


def people(rng: np.random.Generator, photographs: list[Picture]) -> list[Picture]:
    """The photographs, and as many blends of two faces with outlines told alike again for each of `BLENDS`."""
    pairs = [(a, photographs[int(rng.integers(len(photographs)))]) for a in photographs for _ in range(BLENDS)]
    return photographs + [blend(a, b, rng.uniform(0.3, 0.7)) for a, b in pairs if a is not b and _alike(a, b)]


def _alike(a: Picture, b: Picture) -> bool:
    return a.face is not None and b.face is not None and len(a.face.outline) == len(b.face.outline)


class FaceFrames:
    """Draws one frame after the other."""

    def __init__(
        self, rng: np.random.Generator, source: RenderSource, size: tuple[int, int], photographs: list[Picture]
    ) -> None:
        self.painter, self.source, self.size, self.photographs = Painter(rng), source, size, photographs
        source.advance()
        self._index()

    def next(self) -> Scene:
        """One frame."""
        if self.source.advance():
            self._index()
        painter, rng = self.painter, self.painter.rng
        backdrop = self._backdrop()
        if rng.random() < FACE_FREE_SHARE:
            return Scene(expose(painter, self._face_free(backdrop)), ())
        scene = compose(painter, self._subject(), backdrop, self.size)
        if self.photographs and rng.random() < SECOND_FACE_SHARE:
            scene = _with_second(painter, scene, self.photographs[rng.integers(len(self.photographs))])
        scene = cover(painter, scene)
        return Scene(expose(painter, scene.rgb), scene.faces)

    def _index(self) -> None:
        rows = self.source.rows
        seen = [i for i, r in enumerate(rows) if r["face_box"] and r["face_visible"] >= MIN_VISIBLE]
        self.with_face = [i for i in seen for _ in range(_repeats(rows[i]))]
        self.face_free = [i for i, r in enumerate(rows) if r["face_box"] is None]

    def _subject(self) -> Picture:
        rng = self.painter.rng
        if self.photographs and rng.random() < LONDON_SHARE:
            return self.photographs[rng.integers(len(self.photographs))]
        return self.source.picture(self.with_face[rng.integers(len(self.with_face))])

    def _backdrop(self) -> Image:
        rng = self.painter.rng
        if rng.random() < 0.5 or not self.face_free:
            return self.painter.texture(self.size)
        rgb = self.source.rgb(self.face_free[rng.integers(len(self.face_free))])
        turn, zoom = rng.uniform(0, 360), rng.uniform(0.9, 2.2) * self.size[0] / 384
        matrix = cv2.getRotationMatrix2D((192, 192), turn, zoom)
        centred = np.asarray(matrix, np.float64)
        centred[:, 2] += np.array(self.size) / 2 - 192
        return warp(rgb, centred, self.size, cv2.BORDER_REFLECT_101)

    def _face_free(self, backdrop: Image) -> Image:
        rng = self.painter.rng
        if rng.random() < 0.65:
            return backdrop
        scene = compose(self.painter, self._subject(), backdrop, self.size)
        return spoil(self.painter, scene.faces[0], scene.rgb)


def _repeats(row: Mapping[str, Any]) -> int:
    """How often a render is drawn for one that shows a face from the front; the rarer and harder, the oftener."""
    if row["scene"] == "evening":
        return EVENING_REPEATS
    return SIDE_REPEATS if abs(row["yaw_deg"]) > SIDE_DEG else 1


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
