"""The frames that a face detector is judged on: faces of one size at known rolls, in the dark, covered; and no face."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from export.augment import Painter, Scene, expose, spoil, warp
from export.datasets import FaceMark, Image, Picture, Renders, london

FRAME_PX = (320, 240)
FACE_PX = 106.0  # a newborn's face in a frame of that width
DARK_GAIN, DARK_NOISE = 0.22, 6.0
EVENING_FACE_PX = 60.0  # small, as from the side of the cot
FREE_KINDS = ("renders of no face", "textures", "spoiled faces")  # in turn
LONDON_PLACES = 4  # frames of each person and condition


@dataclass(frozen=True, slots=True)
class Condition:
    """How a face is shown: roll, light, and the rows of its ellipse (-1 hairline, 1 chin) that are hidden."""

    roll_deg: float = 0.0
    dark: bool = False
    hidden: tuple[float, float] | None = None  # relative to the eyes' row where `from_eyes`
    from_eyes: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """Rendered newborns that are judged together: share of the face that nothing covers, yaw, and size in the frame."""

    name: str
    visible: tuple[float, float]
    yaw_deg: tuple[float, float]
    scene: str = "face"
    face_px: float = FACE_PX

    def holds(self, row: Mapping[str, Any]) -> bool:
        """Whether a picture of this truth belongs to it."""
        visible, yaw_deg = float(row["face_visible"]), abs(float(row["yaw_deg"]))
        seen = self.visible[0] <= visible <= self.visible[1] and self.yaw_deg[0] <= yaw_deg <= self.yaw_deg[1]
        return seen and row["scene"] == self.scene


FRONT = Group("front", (0.8, 1.0), (0, 45))
GROUPS = (
    FRONT,
    Group("side (yaw 45-80)", (0.8, 1.0), (45, 80)),
    Group("evening, from the side of the cot", (0.8, 1.0), (0, 80), "evening", EVENING_FACE_PX),
    Group("half hidden", (0.5, 0.8), (0, 80)),
)
OPEN_GROUPS = GROUPS[:3]

CONDITIONS: Mapping[str, Condition] = {
    "roll 0": Condition(),
    "roll 45": Condition(45),
    "roll 60": Condition(60),
    "roll 90": Condition(90),
    "roll 135": Condition(135),
    "roll 180": Condition(180),
    "dark": Condition(dark=True),
    "dark, roll 90": Condition(90, dark=True),
    "covered": Condition(hidden=(0.1, 1.3)),
    "eyes hidden": Condition(hidden=(-0.25, 0.25), from_eyes=True),
}


@dataclass(frozen=True)
class Subjects:
    """Pictures with one judged face each; `bright` are those that may be darkened."""

    name: str
    pictures: tuple[Picture, ...]
    bright: tuple[Picture, ...]
    places: int = 1
    face_px: float = FACE_PX

    def frames(self, condition: Condition, seed: int = 1) -> Iterator[Scene]:
        """The frames of one condition, the same ones for every detector; rolls alternate in sign."""
        rng = np.random.default_rng(seed)
        for number, picture in enumerate((self.bright if condition.dark else self.pictures) * self.places):
            sign = 1 if (number + number // len(self.pictures)) % 2 else -1
            yield show(rng, picture, condition, sign, self.face_px)


def render_subjects(renders: Renders, limit: int | None = None, group: Group = FRONT) -> Subjects:
    """Rendered newborns of a group, in any light; those in bright light may be darkened."""
    rows = [i for i, row in enumerate(renders.rows) if row["face_box"] and group.holds(row)][:limit]
    pictures = {i: renders.picture(i) for i in rows}
    bright = tuple(p for i, p in pictures.items() if renders.rows[i]["light"] == "bright")
    name = f"renders {renders.folder.name}, {group.name}"
    return Subjects(name, tuple(pictures.values()), bright, face_px=group.face_px)


def together(parts: Sequence[Subjects], name: str) -> Subjects:
    """Several sets as one."""
    pictures, bright = (tuple(p for part in parts for p in getattr(part, kind)) for kind in ("pictures", "bright"))
    return Subjects(name, pictures, bright)


def london_subjects(folder: Path, split: str) -> Subjects:
    """Adults of one split, each at several places."""
    pictures = tuple(person.picture() for person in london(folder, split))
    return Subjects(f"London adults {split}", pictures, pictures, LONDON_PLACES)


def show(
    rng: np.random.Generator, picture: Picture, condition: Condition, sign: int, face_px: float = FACE_PX
) -> Scene:
    """One frame: the face near the middle, `face_px` large, under the condition."""
    mark = picture.face
    assert mark is not None
    width, height = FRAME_PX
    turn = math.radians(sign * condition.roll_deg - mark.roll_deg)
    scale = face_px / mark.size_px
    c, s = scale * math.cos(turn), scale * math.sin(turn)
    linear = np.array([[c, -s], [s, c]])
    middle = np.array([width, height]) / 2 + rng.uniform(-1, 1, 2) * (40, 20)
    matrix = np.column_stack([linear, middle - linear @ np.array(mark.centre)])
    rgb, face = warp(picture.rgb, matrix, FRAME_PX, cv2.BORDER_REPLICATE), mark.moved(matrix)
    if condition.hidden is not None:
        rgb = _hide(rng, rgb, face, condition)
    if condition.dark:
        grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)[..., None].astype(np.float32)
        noisy = grey * DARK_GAIN + rng.normal(0, DARK_NOISE, grey.shape)
        rgb = np.repeat(np.clip(noisy, 0, 255).astype(np.uint8), 3, axis=2)
    return Scene(rgb, (face,))


def _hide(rng: np.random.Generator, rgb: Image, face: FaceMark, condition: Condition) -> Image:
    assert condition.hidden is not None
    angle = math.radians(face.roll_deg)
    across, along = np.array([math.cos(angle), math.sin(angle)]), np.array([-math.sin(angle), math.cos(angle)])
    centre = np.array(face.centre)
    eyes = float((face.landmarks[:2].mean(axis=0) - centre) @ along) / face.axes[1] if condition.from_eyes else 0.0
    top, bottom = (row + eyes for row in condition.hidden)
    corners = [
        centre + u * face.axes[0] * across + v * face.axes[1] * along
        for u, v in ((-1.2, top), (1.2, top), (1.2, bottom), (-1.2, bottom))
    ]
    colour = tuple(int(v) for v in rng.integers(30, 226, 3))
    out = rgb.copy()
    cv2.fillConvexPoly(out, np.rint(corners).astype(np.int32), colour, cv2.LINE_AA)
    return out


def face_free(renders: Renders, subjects: Sequence[Subjects], count: int, seed: int = 7) -> Iterator[Image]:
    """`count` frames without a face: renders of none, textures, and faces whose parts are shuffled or wiped out."""
    rng = np.random.default_rng(seed)
    painter = Painter(rng)
    empty = [
        renders.rgb(i) for i, row in enumerate(renders.rows) if row["face_box"] is None and row["scene"] != "scrambled"
    ]
    for number in range(count):
        kind = number % len(FREE_KINDS)
        if kind == 0 and empty:
            rgb = _turned(rng, empty[number // len(FREE_KINDS) % len(empty)])
        elif kind == 1:
            rgb = painter.texture(FRAME_PX)
        else:
            pool = subjects[number % len(subjects)].pictures
            condition = Condition(float(rng.uniform(-180, 180)))
            scene = show(rng, pool[rng.integers(len(pool))], condition, 1)
            rgb = spoil(painter, scene.faces[0], scene.rgb)
        yield expose(painter, rgb) if rng.random() < 0.5 else rgb


def _turned(rng: np.random.Generator, rgb: Image) -> Image:
    height, width = rgb.shape[:2]
    zoom = rng.uniform(0.9, 1.8) * FRAME_PX[0] / width
    matrix: NDArray[np.float64] = np.asarray(
        cv2.getRotationMatrix2D((width / 2, height / 2), rng.uniform(0, 360), zoom), np.float64
    )
    matrix[:, 2] += np.array(FRAME_PX) / 2 - (width / 2, height / 2)
    return warp(rgb, matrix, FRAME_PX, cv2.BORDER_REFLECT_101)
