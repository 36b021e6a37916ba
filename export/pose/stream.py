"""The endless stream of cots for the pose network, turned, covered and spoiled as a ward's cameras spoil them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from edgemon.depth import height_image, height_mm
from edgemon.inference import Image
from edgemon.observations.pose_spots import ROOM
from edgemon.records import HeadSide, Posture
from export.augment import Painter, expose
from export.datasets.marks import read_rgb
from export.dekr import MIRRORED, crown_deg, encode, reach_px
from export.pose.renders import renders
from export.pose.samples import Floats, Kind, PoseSample, read_depth

SIZE_PX = (128, 128)
GRID_SHARE, COVER_SHARE = 0.05, 0.3
FIND_SHARE = 0.35  # of the pictures show a whole cot, in which the infant is to be found; the others one from close by
FIND_TURN_SD_DEG, ZOOM, SHIFT = 20.0, (0.7, 1.35), 0.12  # of whole cots
NEAR_TURN_SD_DEG, NEAR_ZOOM_SD, NEAR_SHIFT = 12.0, 0.1, 0.05  # of close ones: by how much the first look may err
STRETCH_SD = 0.05
LEVEL_MM = 2000  # how far above the surface the level is from which depth is counted here
COVERED_SHARE = (0.12, 0.4)  # of the picture's width and height
_SWAPPED = {HeadSide.LEFT: HeadSide.RIGHT, HeadSide.RIGHT: HeadSide.LEFT}

Raw = Image | NDArray[np.uint16]  # RGB (H, W, 3), or mm below LEVEL_MM above the surface (H, W), 0 in holes


@dataclass(frozen=True, slots=True, eq=False)
class Cot:
    """A picture and its infants (P, 14, 3), with the posture and head side of each."""

    raw: Raw
    persons: Floats
    postures: tuple[Posture | None, ...]
    head_sides: tuple[HeadSide | None, ...]


class Cots(IterableDataset[tuple[Tensor, ...]]):
    """Image (3, height, width) uint8 and the six maps of `export.dekr.Targets`.

    All pictures are held in memory, which the loader's workers share: 0.15 MB each of depth at 320x240, 0.23 of colour.
    """

    def __init__(self, folders: Sequence[Path], kind: Kind, seed: int, size_px: tuple[int, int] = SIZE_PX) -> None:
        self.kind, self.seed, self.size_px = kind, seed, size_px
        self.cots = [read(sample) for folder in folders for sample in renders(folder, kind)]

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        worker = get_worker_info()
        cv2.setNumThreads(1)
        rng = np.random.default_rng([self.seed, worker.id if worker else 0])
        painter = Painter(rng)
        while True:
            finds = bool(rng.random() < FIND_SHARE)
            grids = rng.random() < GRID_SHARE
            image, cot = self._grid(painter, finds) if grids else self._one(painter, finds, self.size_px)
            maps = encode(
                cot.persons,
                self.size_px,
                visible_only=True,
                postures=cot.postures,
                head_sides=cot.head_sides,
                joints=not finds,
            )
            yield (torch.from_numpy(image.transpose(2, 0, 1).copy()), *(torch.from_numpy(each) for each in maps))

    def _one(self, painter: Painter, finds: bool, size_px: tuple[int, int]) -> tuple[Image, Cot]:
        cot = self.cots[int(painter.rng.integers(len(self.cots)))]
        return spoiled(painter, whole(painter.rng, cot, size_px) if finds else close(painter.rng, cot, size_px))

    def _grid(self, painter: Painter, finds: bool) -> tuple[Image, Cot]:
        width, height = self.size_px
        return grid([self._one(painter, finds, (width // 2, height // 2)) for _ in range(4)])


def read(sample: PoseSample) -> Cot:
    """The picture with its infants."""
    count = len(sample.persons)
    if sample.kind == "rgb":
        raw: Raw = read_rgb(sample.image)
    else:
        below = LEVEL_MM - np.nan_to_num(height_mm(read_depth(sample.image)), nan=LEVEL_MM)
        raw = np.rint(below).clip(0, 65535).astype(np.uint16)
    return Cot(raw, sample.persons, (sample.posture,) * count, (sample.head_side,) * count)


def whole(rng: np.random.Generator, cot: Cot, size_px: tuple[int, int]) -> Cot:
    """The whole picture, mirrored or not, turned by any quarter and a little, zoomed and shifted into a size."""
    if rng.random() < 0.5:
        cot = mirrored(cot)
    height, width = cot.raw.shape[:2]
    angle = 90.0 * int(rng.integers(4)) + float(rng.normal(0, FIND_TURN_SD_DEG))
    zoom = min(size_px[0] / width, size_px[1] / height) * float(rng.uniform(*ZOOM))
    to = np.array(size_px) * (0.5 + rng.uniform(-SHIFT, SHIFT, 2))
    return moved(cot, _about((width / 2, height / 2), to, zoom * _turn(angle) @ _stretch(rng)), size_px)


def close(rng: np.random.Generator, cot: Cot, size_px: tuple[int, int]) -> Cot:
    """The square around the first infant, upright, about as a first look tells it; an empty cot as a whole."""
    if rng.random() < 0.5:
        cot = mirrored(cot)
    crown = crown_deg(cot.persons[0]) if len(cot.persons) else None
    if crown is None:
        return whole(rng, cot, size_px)
    person = cot.persons[0]
    x, y = person[person[:, 2] > 0, :2].mean(axis=0)
    zoom = min(size_px) / (2 * ROOM * reach_px(person)) * float(np.exp(rng.normal(0, NEAR_ZOOM_SD)))
    to = np.array(size_px) * (0.5 + rng.uniform(-NEAR_SHIFT, NEAR_SHIFT, 2))
    linear = zoom * _turn(crown + float(rng.normal(0, NEAR_TURN_SD_DEG))) @ _stretch(rng)
    return moved(cot, _about((float(x), float(y)), to, linear), size_px)


def _turn(angle_deg: float) -> NDArray[np.float64]:
    """Counterclockwise, as seen."""
    cos, sin = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    return np.array([[cos, sin], [-sin, cos]])


def _stretch(rng: np.random.Generator) -> NDArray[np.float64]:
    """Longer one way, shorter across: other infants, and cameras that hang askew."""
    way, by = _turn(float(rng.uniform(0, 180))), float(np.exp(rng.normal(0, STRETCH_SD)))
    return np.asarray(way.T @ np.diag([by, 1 / by]) @ way)


def _about(centre: tuple[float, float], to: NDArray[np.float64], linear: NDArray[np.float64]) -> NDArray[np.float64]:
    """The affine matrix (2, 3) that applies a linear one about a centre, which then lies elsewhere.

    All are counted from the picture's edge.
    """
    return np.column_stack([linear, to - linear @ np.array(centre)])


def mirrored(cot: Cot) -> Cot:
    """As in a mirror: the left joints are told as right ones and the reverse."""
    sides = tuple(None if side is None else _SWAPPED.get(side, side) for side in cot.head_sides)
    persons = cot.persons[:, list(MIRRORED)]
    persons[..., 0] = np.where(persons[..., 2] > 0, cot.raw.shape[1] - persons[..., 0], 0)
    flipped = cv2.flip(cot.raw, 1)
    raw: Raw = flipped.astype(np.uint16) if cot.raw.ndim == 2 else flipped.astype(np.uint8)
    return replace(cot, raw=raw, persons=persons, head_sides=sides)


def moved(cot: Cot, matrix: NDArray[np.float64], size_px: tuple[int, int]) -> Cot:
    """By an affine matrix (2, 3), into a size; beyond its border a picture repeats its last pixels.

    Depth is not interpolated, for between two depths lies nothing.
    """
    depth = cot.raw.ndim == 2
    middles = matrix.copy()
    middles[:, 2] += matrix[:, :2].sum(axis=1) / 2 - 0.5  # OpenCV counts from the middle of the first pixel
    flags = cv2.INTER_NEAREST if depth else cv2.INTER_LINEAR
    raw = cv2.warpAffine(cot.raw, middles, size_px, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    persons = cot.persons.copy()
    persons[..., :2] = cot.persons[..., :2] @ matrix[:, :2].T.astype(np.float32) + matrix[:, 2].astype(np.float32)
    outside = ((persons[..., :2] < 0) | (persons[..., :2] >= size_px)).any(axis=-1)
    persons[..., 2] = np.where(outside, 0, persons[..., 2])
    return replace(cot, raw=np.asarray(raw, np.uint16) if depth else np.asarray(raw, np.uint8), persons=persons)


def grid(shown: Sequence[tuple[Image, Cot]]) -> tuple[Image, Cot]:
    """Four pictures as one of twice the size, as `pose.mode: grid` shows them."""
    images, cots = zip(*shown, strict=True)
    height, width = images[0].shape[:2]
    image = np.vstack([np.hstack(images[:2]), np.hstack(images[2:])])
    places = (np.array([n % 2 * width, n // 2 * height, 0], np.float32) for n in range(4))
    persons = np.concatenate([cot.persons + place for cot, place in zip(cots, places, strict=True)])
    postures = tuple(posture for cot in cots for posture in cot.postures)
    return image, Cot(image, persons, postures, tuple(side for cot in cots for side in cot.head_sides))


def spoiled(painter: Painter, cot: Cot) -> tuple[Image, Cot]:
    """The picture as the network gets it, and its infants with what a cover hides told as hidden."""
    rng = painter.rng
    if rng.random() < COVER_SHARE:
        cot = covered(painter, cot)
    if cot.raw.ndim == 3:
        return expose(painter, np.asarray(cot.raw, np.uint8)), cot
    below = far(rng, np.asarray(cot.raw, np.uint16))
    return height_image(np.where(below == 0, np.float32(np.nan), np.float32(LEVEL_MM) - below)), cot


def covered(painter: Painter, cot: Cot) -> Cot:
    """Something unknown, round or square, laid over a part of the picture."""
    rng = painter.rng
    raw, (height, width) = cot.raw.copy(), cot.raw.shape[:2]
    half = (np.array([width, height]) * rng.uniform(*COVERED_SHARE, 2) / 2).astype(int)
    centre = (rng.uniform(0, 1, 2) * (width, height)).astype(int)
    mask = np.zeros((height, width), np.uint8)
    if rng.random() < 0.5:
        cv2.ellipse(mask, centre.tolist(), half.tolist(), float(rng.uniform(0, 180)), 0, 360, 1, -1)
    else:
        corners = cv2.boxPoints((centre.tolist(), (2 * half).tolist(), float(rng.uniform(0, 180))))
        cv2.fillConvexPoly(mask, corners.astype(np.int32), 1)
    hides = mask > 0
    if raw.ndim == 3:
        raw[hides] = painter.texture((width, height))[hides]
    else:
        raw[hides] = np.where(raw[hides] > 400, raw[hides] - int(rng.uniform(20, 180)), raw[hides])
    persons = cot.persons.copy()
    columns, rows = (persons[..., axis].astype(int).clip(0, most - 1) for axis, most in ((0, width), (1, height)))
    persons[..., 2] = np.where((persons[..., 2] == 2) & hides[rows, columns], 1, persons[..., 2])
    return replace(cot, raw=raw, persons=persons)


def far(rng: np.random.Generator, below_mm: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """A camera that is off in its scale and its level, is noisy and is blind in places."""
    height, width = below_mm.shape
    holes = below_mm == 0
    askew = np.linspace(-1, 1, width)[None] * rng.normal(0, 6) + np.linspace(-1, 1, height)[:, None] * rng.normal(0, 6)
    out = LEVEL_MM + (below_mm - np.float32(LEVEL_MM)) * float(rng.uniform(0.85, 1.2)) + rng.normal(0, 4) + askew
    out += _grain(rng, (height, width)) * min(20.0, abs(float(rng.normal(0, 6))))
    for _ in range(int(rng.integers(0, 5)) if rng.random() < 0.4 else 0):
        x, y = rng.uniform(0, 1, 2) * (width, height)
        radius = rng.uniform(2, 14)
        holes |= np.hypot(np.arange(width)[None] - x, np.arange(height)[:, None] - y) < radius
    return np.asarray(np.where(holes, 0, out.clip(1, 65535)), np.uint16)


def _grain(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Noise of unit deviation, of a grain from one pixel to several.

    Depth cameras match or filter over windows, so that neighbours err alike; makers tell deviations up to 17 mm.
    """
    grain = rng.standard_normal(shape, np.float32)
    sigma_px = float(rng.uniform(-0.5, 2))
    if sigma_px > 0.3:
        grain = np.asarray(cv2.GaussianBlur(grain, (0, 0), sigma_px), np.float32)
        grain /= grain.std()
    return grain
