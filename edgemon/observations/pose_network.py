"""The pose network at work: one picture after another, all as a batch, or all as tiles of one picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from edgemon.depth import depth_image
from edgemon.errors import ModelError
from edgemon.inference import Model, Tensor, letterbox, prepare
from edgemon.manifest import IMAGES
from edgemon.observations.pose import CELL_PX, decode
from edgemon.observations.pose_turns import turn_of, turned_back, upright
from edgemon.records import KEYPOINTS, Frame, Pose

Mode = Literal["single", "batch", "grid"]
Image = NDArray[np.uint8]
Tile = tuple[int, int, int, int]  # left, top, width, height in px
Maps = tuple[Tensor, ...]  # heatmap, offset and, where the network tells them, attributes, of one picture

OUTPUTS: Final = {"heatmap": len(KEYPOINTS) + 1, "offset": 2 * len(KEYPOINTS), "attributes": 10}  # name: channels
GREY: Final = 114  # what lies beside the pictures, as in `letterbox`


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What the network says of one picture of `size_px` (width, height), seen turned back by `turn` quarters."""

    maps: Maps
    scale: float
    size_px: tuple[int, int]
    turn: int = 0

    def poses(self, *, centre: float, visible: float, posture: float, several: bool = False) -> tuple[Pose, ...]:
        """The infants at these thresholds, best first, in the picture's pixels."""
        found = decode(*self.maps, centre_from=centre, visible_from=visible, posture_from=posture, several=several)
        return tuple(turned_back(_scaled(pose, 1 / self.scale), self.turn, self.size_px) for pose in found)


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
        self._mode = mode
        self._look = {"single": self._each, "batch": self._batch, "grid": self._grid}[mode]

    @property
    def takes_depth(self) -> bool:
        """Whether it was taught depth, not colour."""
        return self.manifest.input.colour == "depth"

    def read(self, frames: Sequence[Frame], *, several: bool = False) -> list[tuple[Pose, ...]]:
        """The infants in each frame, best first, in its own pixels; at most one each unless `several`.

        Of several the likeliest decides how the picture is turned.

        Raises:
            ModelError: the network fails, or a number that comes out is not finite.
            ValueError: depth for a network of colour, or the reverse.
        """
        pictures = [depth_image(_depth(frame)) if self.takes_depth else frame.rgb for frame in frames]
        levels = {"centre": self._centre_from, "visible": self._visible_from, "posture": self._posture_from}
        return [look.poses(**levels, several=several) for look in self.look(pictures)]

    def look(self, pictures: Sequence[Image]) -> list[Look]:
        """At all pictures (H, W, 3) once, and at those whose infant does not lie upright once more, turned.

        In a grid all are shown again if any is turned.
        """
        looks = self._look(pictures) if pictures else []
        turns = [
            turn_of(look.maps[0], look.maps[2] if len(look.maps) > 2 else None, self._centre_from) for look in looks
        ]
        again = [n for n, turn in enumerate(turns) if turn or (any(turns) and self._mode == "grid")]
        if again:
            for n, look in zip(again, self._look([upright(pictures[n], turns[n]) for n in again]), strict=True):
                looks[n] = replace(look, turn=turns[n], size_px=looks[n].size_px)
        return looks

    def _each(self, pictures: Sequence[Image]) -> list[Look]:
        return [self._batch([picture])[0] for picture in pictures]

    def _batch(self, pictures: Sequence[Image]) -> list[Look]:
        spec = self.manifest.input
        fitted = [letterbox(picture, spec.size_px) for picture in pictures]
        maps = self._run(np.concatenate([prepare(image, spec) for image, _ in fitted]))
        return [Look(tuple(m[n] for m in maps), scale, _size(pictures[n])) for n, (_, scale) in enumerate(fitted)]

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
            Look(tuple(_cut(m[0], tile) for m in maps), scale, _size(picture))
            for picture, tile, scale in zip(pictures, places, scales, strict=True)
        ]


def _size(picture: Image) -> tuple[int, int]:
    return picture.shape[1], picture.shape[0]


def tiles(count: int, size_px: tuple[int, int]) -> tuple[Tile, ...]:
    """So many equal tiles of a picture (width, height), row by row, n in each of n rows, on the borders of cells."""
    side = math.ceil(math.sqrt(count))
    width, height = (int(size // side // CELL_PX * CELL_PX) for size in size_px)
    return tuple((n % side * width, n // side * height, width, height) for n in range(count))


def _cut(maps: Tensor, tile: Tile) -> Tensor:
    left, top, width, height = (int(px / CELL_PX) for px in tile)
    return maps[:, top : top + height, left : left + width]


def _scaled(pose: Pose, factor: float) -> Pose:
    keypoints = pose.keypoints.copy()
    keypoints[:, :2] *= factor
    return replace(pose, keypoints=keypoints)


def _depth(frame: Frame) -> NDArray[np.uint16]:
    if frame.image.ndim != 2:
        raise ValueError("a colour frame has no depth")
    return frame.image.astype(np.uint16, copy=False)
