"""The endless stream of aligned face crops for the expression network, spoiled as a cot's camera spoils them."""

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

from edgemon.inference import aligned_crop
from edgemon.records import Box
from export.augment import Painter, expose
from export.babyehanet import TARGETS
from export.datasets import Image, Picture, Renders, london

OPEN_FROM, CLOSED_BELOW = 0.45, 0.25  # lids between these are neither, and teach only what else is seen
MIN_VISIBLE = 0.35  # below it a region cannot be judged
LONDON_SHARE = 0.08
EYES, MOUTH = (0.22, 0.5), (0.55, 0.9)  # rows of the upright crop


def labels_of(row: Mapping[str, Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Targets (5,) in the order of TARGETS and their weights (5,) from one render's truth."""
    right, left = (float(v) for v in row["eye_openness"])
    closed = 1.0 if max(right, left) < CLOSED_BELOW else 0.0
    judged = closed or min(right, left) > OPEN_FROM
    eyes, mouth = float(row["eyes_visible"]), float(row["mouth_visible"])
    told = np.array([closed, row["expression"] == "crying", row["expression"] == "yawning", eyes, mouth], np.float32)
    weight = np.array(
        [bool(judged) and eyes >= MIN_VISIBLE, mouth >= MIN_VISIBLE, mouth >= MIN_VISIBLE, 1, 1], np.float32
    )
    return told, weight


class ExpressionCrops(IterableDataset[tuple[Tensor, ...]]):
    """Crop (3, 112, 112) uint8, targets (5,), weights (5,)."""

    def __init__(self, renders: Path, photographs: Path | None, size_px: int, seed: int) -> None:
        self.renders, self.size_px, self.seed = Renders(renders), size_px, seed
        self.usable = [i for i, row in enumerate(self.renders.rows) if row["face_box"] is not None]
        self.persons = london(photographs, "train") if photographs else ()

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        worker = get_worker_info()
        cv2.setNumThreads(1)
        rng = np.random.default_rng([self.seed, worker.id if worker else 0])
        painter = Painter(rng)
        adults = [person.picture() for person in self.persons]
        while True:
            crop, told, weight = self._sample(painter, adults)
            yield torch.from_numpy(crop.transpose(2, 0, 1).copy()), torch.from_numpy(told), torch.from_numpy(weight)

    def _sample(
        self, painter: Painter, adults: list[Picture]
    ) -> tuple[Image, NDArray[np.float32], NDArray[np.float32]]:
        rng = painter.rng
        if adults and rng.random() < LONDON_SHARE:
            adult = adults[rng.integers(len(adults))]
            assert adult.face is not None
            rgb, box, points = adult.rgb, adult.face.box(), adult.face.landmarks
            told, weight = np.array([0, 0, 0, 1, 1], np.float32), np.ones(len(TARGETS), np.float32)
        else:
            index = self.usable[rng.integers(len(self.usable))]
            row = self.renders.rows[index]
            rgb, box = self.renders.rgb(index), tuple(row["face_box"])
            points = np.array(row["landmarks"], np.float32)
            told, weight = labels_of(row)
        box, points = _jitter(rng, box, points)
        crop = _coarse(rng, aligned_crop(rgb, box, points, self.size_px))
        if rng.random() < 0.5:
            crop = np.ascontiguousarray(crop[:, ::-1])
        crop, told, weight = _cover(painter, crop, told, weight)
        return expose(painter, crop), told, weight


def _jitter(
    rng: np.random.Generator, box: tuple[float, ...], points: NDArray[np.float32]
) -> tuple[Box, NDArray[np.float32]]:
    """As far off as the detector's boxes and landmarks are."""
    x0, y0, x1, y1 = box
    side = (x1 - x0 + y1 - y0) / 2
    cx, cy = (x0 + x1) / 2 + rng.normal(0, 0.04) * side, (y0 + y1) / 2 + rng.normal(0, 0.04) * side
    half_x, half_y = (x1 - x0) / 2 * rng.uniform(0.86, 1.16), (y1 - y0) / 2 * rng.uniform(0.86, 1.16)
    noisy = points + rng.normal(0, 0.025 * side, points.shape)
    return (cx - half_x, cy - half_y, cx + half_x, cy + half_y), noisy.astype(np.float32)


def _coarse(rng: np.random.Generator, crop: Image) -> Image:
    """A face of 48 px has no more detail than that."""
    if rng.random() > 0.4:
        return crop
    side = crop.shape[0]
    small = int(rng.uniform(60, side))
    coarse = cv2.resize(crop, (small, small), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(coarse, (side, side), interpolation=cv2.INTER_LINEAR), np.uint8)


def _cover(
    painter: Painter, crop: Image, told: NDArray[np.float32], weight: NDArray[np.float32]
) -> tuple[Image, NDArray[np.float32], NDArray[np.float32]]:
    """Lay strips over the crop, and now and then hide the eyes or the mouth whole, which the visibilities must tell."""
    rng, side = painter.rng, crop.shape[0]
    crop, told, weight = crop.copy(), told.copy(), weight.copy()
    colour = tuple(int(v) for v in rng.integers(0, 256, 3))
    kind = rng.random()
    if kind < 0.25:
        a, b = rng.integers(0, side, 2), rng.integers(0, side, 2)
        cv2.line(crop, a.tolist(), b.tolist(), colour, int(rng.integers(2, 9)), cv2.LINE_AA)
    elif kind < 0.37:
        rows, hidden, judged = ((EYES, 3, (0,)), (MOUTH, 4, (1, 2)))[int(rng.random() < 0.5)]
        top, bottom = (round((row + rng.uniform(-0.05, 0.05)) * side) for row in rows)
        crop[max(0, top) : bottom] = colour
        told[hidden] = 0.0
        weight[list(judged)] = 0.0
    return crop, told, weight
