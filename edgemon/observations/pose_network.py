"""The pose network at work: one picture after another, all as a batch, or all as tiles of one picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from edgemon.depth import depth_image
from edgemon.errors import ModelError
from edgemon.inference import Model, Tensor, letterbox, prepare
from edgemon.manifest import IMAGES
from edgemon.observations.pose import CELL_PX, decode, distinct
from edgemon.observations.pose_spots import Spot, cut, fitted, put_back, spots
from edgemon.records import KEYPOINTS, Frame, Pose

Mode = Literal["single", "batch", "grid"]
Image = NDArray[np.uint8]
Tile = tuple[int, int, int, int]  # left, top, width, height in px
Maps = tuple[Tensor, ...]  # heatmap, offset and, where the network tells them, attributes, of one picture

OUTPUTS: Final = {"heatmap": len(KEYPOINTS) + 1, "offset": 2 * len(KEYPOINTS), "attributes": 9}  # name: channels
LOOKS: Final = 3  # for each infant: at the whole picture, from close by, and at the square that then fits
NEAR: Final = 0.5  # of the way from the middle of a square to its edge: there a centre counts by half
GREY: Final = 114  # what lies beside the pictures, as in `letterbox`


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What the network says of one picture, or of the square around an infant in it; `scale` is its input's to that."""

    maps: Maps
    scale: float

    def poses(self, *, visible: float, posture: float, centre: float = 0.0, several: bool = False) -> tuple[Pose, ...]:
        """The infants at these thresholds, best first, in px of what was looked at."""
        found = decode(*self.maps, centre_from=centre, visible_from=visible, posture_from=posture, several=several)
        return tuple(_scaled(pose, 1 / self.scale) for pose in found)


@dataclass(frozen=True, slots=True, eq=False)
class Close:
    """A look at the square around one infant, `side_px` wide, in which its centre, and no twin's, is in the middle."""

    spot: Spot
    look: Look
    side_px: int

    def pose(self, *, visible: float, posture: float) -> Pose:
        """The infant in px of the picture."""
        heatmap, *others = self.look.maps
        middle = np.concatenate([heatmap[:-1], heatmap[-1:] * _bell(heatmap.shape[1:])])
        look = Look((middle, *others), self.look.scale)
        (pose,) = look.poses(visible=visible, posture=posture, centre=-math.inf)
        return put_back(pose, self.spot, self.side_px)


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """One picture: the look at all of it, and closer ones at the infants found; None of networks without spots."""

    whole: Look
    close: tuple[Close, ...] | None

    def poses(self, *, centre: float, visible: float, posture: float, several: bool = False) -> tuple[Pose, ...]:
        """The infants at these thresholds, best first, in the picture's pixels; at most one unless `several`."""
        if self.close is None:
            return self.whole.poses(centre=centre, visible=visible, posture=posture, several=several)
        found = [close.pose(visible=visible, posture=posture) for close in self.close if close.spot.score >= centre]
        return distinct(found) if several else tuple(found[:1])


class PoseNetwork:
    """Finds the infants in pictures of whole cots; remembers nothing.

    Raises:
        ModelError: another task's model, other maps than heatmap, offset and perhaps attributes at a quarter of the
            input's size, a threshold missing, or one that takes a single image where batches are asked for.
    """

    def __init__(self, model: Model, mode: Mode = "single") -> None:
        self.manifest = told = model.manifest
        if told.task != "pose":
            raise ModelError(f"model {told.label} is a {told.task} model, not a pose model")
        if mode == "batch" and told.input.shape[0] != IMAGES:
            raise ModelError(f"model {told.label} takes one image at a time; set pose.mode: single or grid")
        names = tuple(output.name for output in told.outputs)
        if names not in (tuple(OUTPUTS), tuple(OUTPUTS)[:2]):
            raise ModelError(f"model {told.label} tells {', '.join(names)}; a pose model tells {', '.join(OUTPUTS)}")
        width, height = told.input.size_px
        cells = (int(height / CELL_PX), int(width / CELL_PX))
        for name, maps in zip(names, model(np.zeros(told.input.sized(), np.float32)), strict=True):
            if maps.shape[1:] != (OUTPUTS[name], *cells):
                raise ModelError(f"model {told.label}: {name} is {maps.shape[1:]}, not {(OUTPUTS[name], *cells)}")
        self._centre_from, self._visible_from = told.threshold("centre"), told.threshold("visible")
        self._posture_from = told.threshold("posture") if "attributes" in names else 1.0
        self._run: Callable[[Tensor], tuple[Tensor, ...]] = model
        self._spots = "attributes" in names
        self._look = {"single": self._each, "batch": self._batch, "grid": self._grid}[mode]

    @property
    def takes_depth(self) -> bool:
        """Whether it was taught depth, not colour."""
        return self.manifest.input.colour == "depth"

    def read(self, frames: Sequence[Frame], *, several: bool = False) -> list[tuple[Pose, ...]]:
        """The infants in each frame, best first, in its own pixels; at most one each unless `several`.

        Raises:
            ModelError: the network fails, or a number that comes out is not finite.
            ValueError: depth for a network of colour, or the reverse.
        """
        pictures = [depth_image(_depth(frame)) if self.takes_depth else frame.rgb for frame in frames]
        levels = {"centre": self._centre_from, "visible": self._visible_from, "posture": self._posture_from}
        seen = self.look(pictures, centre_from=self._centre_from, several=several)
        return [one.poses(**levels, several=several) for one in seen]

    def look(self, pictures: Sequence[Image], *, centre_from: float = 0.0, several: bool = False) -> list[Seen]:
        """At all pictures (H, W, 3), then from close by at the infants in them whose centres reach `centre_from`."""
        looks = self._look(pictures) if pictures else []
        if not self._spots:
            return [Seen(look, None) for look in looks]
        found = [
            (n, spot)
            for n, look in enumerate(looks)
            for spot in spots(look.maps[0], look.maps[2], look.scale, centre_from=centre_from, several=several)
        ]
        better = []
        for n, rough in self._closer(pictures, found):
            pose = rough.pose(visible=self._visible_from, posture=1.0)
            better.append((n, fitted(pose, rough.spot.score)))
        close = self._closer(pictures, better)
        return [Seen(look, tuple(each for m, each in close if m == n)) for n, look in enumerate(looks)]

    def _closer(self, pictures: Sequence[Image], where: Sequence[tuple[int, Spot]]) -> list[tuple[int, Close]]:
        """At the square around each spot, which is told with the number of its picture."""
        side_px = min(self.manifest.input.size_px)
        looks = self._look([cut(pictures[n], spot, side_px) for n, spot in where]) if where else []
        return [(n, Close(spot, look, side_px)) for (n, spot), look in zip(where, looks, strict=True)]

    def _each(self, pictures: Sequence[Image]) -> list[Look]:
        return [self._batch([picture])[0] for picture in pictures]

    def _batch(self, pictures: Sequence[Image]) -> list[Look]:
        spec = self.manifest.input
        fitted = [letterbox(picture, spec.size_px) for picture in pictures]
        maps = self._run(np.concatenate([prepare(image, spec) for image, _ in fitted]))
        return [
            Look(_cut((m[n] for m in maps), 0, 0, picture, scale), scale)
            for n, (picture, (_, scale)) in enumerate(zip(pictures, fitted, strict=True))
        ]

    def _grid(self, pictures: Sequence[Image]) -> list[Look]:
        """All pictures in one: each infant has 1/n of the network's width and height for itself."""
        spec = self.manifest.input
        canvas = np.full((spec.size_px[1], spec.size_px[0], 3), GREY, np.uint8)
        places = tiles(len(pictures), spec.size_px)
        scales = []
        for picture, (left, top, width, height) in zip(pictures, places, strict=True):
            canvas[top : top + height, left : left + width], scale = letterbox(picture, (width, height))
            scales.append(scale)
        maps = self._run(prepare(canvas, spec))
        return [
            Look(_cut((m[0] for m in maps), left, top, picture, scale), scale)
            for picture, (left, top, _, _), scale in zip(pictures, places, scales, strict=True)
        ]


def tiles(count: int, size_px: tuple[int, int]) -> tuple[Tile, ...]:
    """So many equal tiles of a picture (width, height), row by row, n in each of n rows, on the borders of cells."""
    side = math.ceil(math.sqrt(count))
    width, height = (int(size // side // CELL_PX * CELL_PX) for size in size_px)
    return tuple((n % side * width, n // side * height, width, height) for n in range(count))


def _cut(maps: Iterable[Tensor], left: int, top: int, picture: Image, scale: float) -> Maps:
    """What is told of the picture itself, which begins at (left, top) px; beside it there are grey bars or others."""
    column, row = int(left / CELL_PX), int(top / CELL_PX)
    rows, columns = (math.ceil(side * scale / CELL_PX - 1e-6) for side in picture.shape[:2])
    return tuple(m[:, row : row + rows, column : column + columns] for m in maps)


def _bell(shape: tuple[int, ...]) -> Tensor:
    """1 in the middle, half of it at NEAR of the way to the nearest edge."""
    rows, columns = (np.linspace(-1, 1, side, dtype=np.float32) for side in shape)
    away = (rows[:, None] ** 2 + columns[None] ** 2) / NEAR**2
    return np.asarray(0.5**away, np.float32)


def _scaled(pose: Pose, factor: float) -> Pose:
    keypoints = pose.keypoints.copy()
    keypoints[:, :2] *= factor
    return replace(pose, keypoints=keypoints)


def _depth(frame: Frame) -> NDArray[np.uint16]:
    if frame.image.ndim != 2:
        raise ValueError("a colour frame has no depth")
    return frame.image.astype(np.uint16, copy=False)
