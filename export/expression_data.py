"""The endless stream of aligned face crops for the expression network, spoiled as a cot's camera spoils them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from edgemon.inference import aligned_crop
from edgemon.observations.expression import DARK, TOLD_BY
from edgemon.records import Box
from export.augment import Painter, expose
from export.babyehanet import TARGETS
from export.crops import Crops
from export.datasets import Image, Picture, london

OPEN_FROM, CLOSED_BELOW = 0.45, 0.25  # lids between these are neither, and teach only what else is seen
ACTION_FROM, REST_BELOW = 0.4, 0.15  # intensities between these are neither
MIN_VISIBLE = 0.35  # below it a region cannot be judged
LONDON_SHARE = 0.08
JUDGED = tuple(TOLD_BY)
ROWS: Mapping[str, tuple[float, float]] = {  # of the upright crop, in which a region lies on most faces
    "brow_visible": (0.18, 0.35),
    "eyes_visible": (0.36, 0.49),
    "cheeks_visible": (0.48, 0.77),
    "mouth_visible": (0.60, 0.80),
}

Labels = NDArray[np.float32]


def labels_of(row: Mapping[str, Any]) -> tuple[Labels, Labels]:
    """Targets (10,) in the order of TARGETS and their weights (10,) from one render's truth; what it lacks weighs 0."""
    right, left = (float(v) for v in row["eye_openness"])
    closed = max(right, left) < CLOSED_BELOW
    told: dict[str, float | None] = {
        "eyes_closed": float(closed) if closed or min(right, left) > OPEN_FROM else None,
        "crying": None if row["expression"] == "fussing" else float(row["expression"] == "crying"),
        "yawning": float(row["expression"] == "yawning"),
        **{name: _action(row.get(name)) for name in ("brow_bulge", "eye_squeeze", "nasolabial_furrow")},
        **{region: row.get(region) for region in TOLD_BY.values()},
    }
    for name, region in TOLD_BY.items():
        if (told[region] or 0.0) < MIN_VISIBLE:
            told[name] = None
    values = [told[name] for name in TARGETS]
    return np.array([v or 0.0 for v in values], np.float32), np.array([v is not None for v in values], np.float32)


def _action(intensity: float | None) -> float | None:
    if intensity is None or REST_BELOW <= intensity < ACTION_FROM:
        return None
    return float(intensity >= ACTION_FROM)


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """A picture with one face, what it shows (10,), and what of that can be told (10,)."""

    rgb: Image
    box: Box
    landmarks: NDArray[np.float32]
    told: Labels
    weight: Labels


def of_crops(crops: Crops, index: int) -> Face:
    """One of the renders."""
    return Face(*crops[index], *labels_of(crops.rows[index]))


def of_adult(adult: Picture) -> Face:
    """A grown-up with a calm face, open eyes and nothing hidden."""
    assert adult.face is not None
    told = np.array([name not in JUDGED for name in TARGETS], np.float32)
    return Face(adult.rgb, adult.face.box(), adult.face.landmarks, told, np.ones(len(TARGETS), np.float32))


class ExpressionCrops(IterableDataset[tuple[Tensor, ...]]):
    """Crop (3, 112, 112) uint8, targets (10,), weights (10,); folders of renders are shown equally often."""

    def __init__(self, renders: Sequence[Path], photographs: Path | None, size_px: int, seed: int) -> None:
        self.crops, self.size_px, self.seed = tuple(Crops(folder) for folder in renders), size_px, seed
        self.persons = london(photographs, "train") if photographs else ()

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        worker = get_worker_info()
        cv2.setNumThreads(1)
        rng = np.random.default_rng([self.seed, worker.id if worker else 0])
        painter = Painter(rng)
        adults = [of_adult(person.picture()) for person in self.persons]
        while True:
            if adults and rng.random() < LONDON_SHARE:
                face = adults[rng.integers(len(adults))]
            else:
                crops = self.crops[rng.integers(len(self.crops))]
                face = of_crops(crops, int(rng.integers(len(crops))))
            crop, told, weight = spoiled(painter, face, self.size_px)
            yield torch.from_numpy(crop.transpose(2, 0, 1).copy()), torch.from_numpy(told), torch.from_numpy(weight)


def spoiled(painter: Painter, face: Face, size_px: int) -> tuple[Image, Labels, Labels]:
    """The crop as a cot's camera and our detector may give it, with its labels and their weights."""
    rng = painter.rng
    box, points = _jitter(rng, face.box, face.landmarks)
    crop = _coarse(rng, aligned_crop(face.rgb, box, points, size_px))
    if rng.random() < 0.5:
        crop = np.ascontiguousarray(crop[:, ::-1])
    crop, told, weight = _cover(painter, crop, face.told, face.weight)
    crop, edge = expose(painter, crop), size_px // 6
    if float(crop[edge:-edge, edge:-edge].mean()) < DARK:  # which the device does not show the network
        weight = np.where([name in JUDGED for name in TARGETS], 0, weight).astype(np.float32)
    return crop, told, weight


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


def _cover(painter: Painter, crop: Image, told: Labels, weight: Labels) -> tuple[Image, Labels, Labels]:
    """Lay strips over the crop, and now and then hide a region whole, which the visibilities must tell."""
    rng, side = painter.rng, crop.shape[0]
    crop, told, weight = crop.copy(), told.copy(), weight.copy()
    colour = tuple(int(v) for v in rng.integers(0, 256, 3))
    kind = rng.random()
    if kind < 0.25:
        a, b = rng.integers(0, side, 2), rng.integers(0, side, 2)
        cv2.line(crop, a.tolist(), b.tolist(), colour, int(rng.integers(2, 9)), cv2.LINE_AA)
    elif kind < 0.37:
        first, last = ROWS[str(rng.choice(list(ROWS)))]
        top, bottom = first - rng.uniform(-0.02, 0.1), last + rng.uniform(-0.02, 0.1)
        crop[round(top * side) : round(bottom * side)] = colour
        for region, (start, end) in ROWS.items():
            told[TARGETS.index(region)] *= 1 - max(0.0, min(bottom, end) - max(top, start)) / (end - start)
        for name, region in TOLD_BY.items():
            if told[TARGETS.index(region)] < MIN_VISIBLE:
                weight[TARGETS.index(name)] = 0.0
    return crop, told, weight
