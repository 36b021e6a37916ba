"""A fixed set of frames in memory: newborns' faces anywhere, of all sizes, partly covered; and what augments them.

Faces are within 45 degrees of upright, about as in the seed's photographs: every roll takes a training several times as
long, which comparing the modules does not need; `rotation` of the training turns them on. Light is the render's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from export.augment import Painter, Scene, cover, warp
from export.datasets import FaceMark, Image, Renders

FACE_FREE_SHARE = 0.15
MIN_VISIBLE = 0.3  # of the face as rendered, before it is covered
COVERS = 2  # each hides something of two faces in five
FACE_SHARE = (0.16, 0.85)  # the face's size by the frame's height
MAX_ROLL_DEG = 45.0
GRAIN_PX = 400  # the painter's noise is not larger
MEAN, SCALE = 127.5, 1 / 127.5
MIRRORED = (1, 0, 2, 4, 3)  # which landmark is which in the mirror
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One frame: RGB uint8 (H, W, 3), boxes xyxy (m, 4) and landmarks (m, 10) px."""

    rgb: Image
    boxes: Floats
    landmarks: Floats


def draw(renders: Path, count: int, size_px: tuple[int, int], seed: int) -> list[Scene]:
    """Frames (width, height) of the renders of one split; the same for the same arguments.

    Raises:
        ValueError: the folder is no set of renders, or no face in it can be seen.
    """
    cv2.setNumThreads(1)
    source = Renders(renders)
    rows = source.rows
    visible = [i for i, row in enumerate(rows) if row["face_box"] and row["face_visible"] >= MIN_VISIBLE]
    if not visible:
        raise ValueError(f"{renders}: no render shows a face")
    hidden = [i for i, row in enumerate(rows) if not row["face_box"]]
    painter = Painter(np.random.default_rng(seed))
    return [_scene(painter, source, visible, hidden, size_px) for _ in range(count)]


def _scene(painter: Painter, source: Renders, visible: list[int], hidden: list[int], size_px: tuple[int, int]) -> Scene:
    rng, (width, height) = painter.rng, size_px
    behind = source.rgb(hidden[int(rng.integers(len(hidden)))]) if hidden else painter.texture(size_px)
    zoom = rng.uniform(1, 2) * max(width / behind.shape[1], height / behind.shape[0])
    corner = rng.uniform(0, 1, 2) * (np.array(size_px) - zoom * np.array(behind.shape[1::-1]))
    rgb, faces = warp(behind, np.column_stack([np.eye(2) * zoom, corner]), size_px), tuple[FaceMark, ...]()
    if rng.random() >= FACE_FREE_SHARE:
        subject = source.picture(visible[int(rng.integers(len(visible)))])
        assert subject.face is not None
        low, high = np.log(FACE_SHARE)
        scale = height * np.exp(rng.uniform(low, high)) / subject.face.size_px
        turn = np.radians(rng.uniform(-MAX_ROLL_DEG, MAX_ROLL_DEG) - subject.face.roll_deg)
        linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        matrix = np.column_stack([linear, rng.uniform(0.2, 0.8, 2) * size_px - linear @ subject.face.centre])
        whole = warp(np.full(subject.rgb.shape[:2], 255, np.uint8), matrix, size_px) == 255
        rgb = np.where(whole[..., None], warp(subject.rgb, matrix, size_px), rgb)
        faces = (subject.face.moved(matrix),)
    scene = Scene(rgb, faces)
    for _ in range(COVERS):
        scene = cover(painter, scene)
    grain = painter.noise((min(height, GRAIN_PX), min(width, GRAIN_PX)), abs(rng.normal(0, 4)), 0.6)
    noise = cv2.resize(grain, size_px, interpolation=cv2.INTER_NEAREST)
    return Scene(np.clip(scene.rgb + noise, 0, 255).astype(np.uint8), scene.faces)


def as_drawn(scene: Scene) -> Frame:
    """As it is."""
    return Frame(scene.rgb, *_arrays(scene.faces))


def augmented(scene: Scene, rng: np.random.Generator, *, rotation: bool = False) -> Frame:
    """Mirrored half the time, with other brightness, contrast and colour cast: all that the seed augments by.

    `rotation` turns the frame about its centre by any angle, which the seed does not: its photographs were not taken
    from every side, ours are to be found at any roll.
    """
    if rotation:
        scene = _turned(scene, rng.uniform(0, 360))
    rgb, (boxes, points) = scene.rgb, _arrays(scene.faces)
    if rng.random() < 0.5:
        right = np.float32(rgb.shape[1])
        rgb = rgb[:, ::-1]
        boxes = np.stack([right - boxes[:, 2], boxes[:, 1], right - boxes[:, 0], boxes[:, 3]], axis=1)
        places = points.reshape(-1, 5, 2)[:, MIRRORED, :]
        points = np.stack([right - places[..., 0], places[..., 1]], axis=2).reshape(-1, 10)
    gain = rng.uniform(0.7, 1.3) * rng.uniform(0.9, 1.1, 3)
    table = np.clip((np.arange(256)[:, None] - 128) * gain + 128 + rng.uniform(-25, 25), 0, 255).astype(np.uint8)
    light = np.stack([table[:, c][rgb[..., c]] for c in range(3)], axis=2)
    return Frame(light, boxes, points)


def _turned(scene: Scene, degrees: float) -> Scene:
    height, width = scene.rgb.shape[:2]
    matrix = np.asarray(cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0), np.float64)
    rgb = np.asarray(cv2.warpAffine(scene.rgb, matrix, (width, height)), np.uint8)
    faces = tuple(face.moved(matrix) for face in scene.faces)
    inside = tuple(f for f in faces if 0 <= f.centre[0] < width and 0 <= f.centre[1] < height)
    return Scene(rgb, inside)


def _arrays(faces: tuple[FaceMark, ...]) -> tuple[Floats, Floats]:
    boxes = np.array([face.box() for face in faces], np.float32).reshape(-1, 4)
    return boxes, np.array([face.landmarks for face in faces], np.float32).reshape(-1, 10)
