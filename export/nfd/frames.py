"""A fixed set of frames in memory: newborns' faces anywhere, at any roll, partly covered; and what augments them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from export.augment import Painter, Scene, compose, cover, expose
from export.datasets import FaceMark, Image, Renders

FACE_FREE_SHARE = 0.15
MIN_VISIBLE = 0.3  # of the face as rendered, before it is covered
COVERS = 2  # each hides something of two faces in five
CANVAS_PX = 320  # the longer side that frames are drawn at, as `export.augment` is made for, before they are resized
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
    painter = Painter(np.random.default_rng(seed))
    return [_scene(painter, source, visible, size_px) for _ in range(count)]


def _scene(painter: Painter, source: Renders, visible: list[int], size_px: tuple[int, int]) -> Scene:
    rng, scale = painter.rng, max(size_px) / CANVAS_PX
    canvas = (round(size_px[0] / scale), round(size_px[1] / scale))
    backdrop = painter.texture(canvas)
    if rng.random() < FACE_FREE_SHARE:
        scene = Scene(backdrop, ())
    else:
        subject = source.picture(visible[int(rng.integers(len(visible)))])
        scene = compose(painter, subject, backdrop, canvas)
        for _ in range(COVERS):
            scene = cover(painter, scene)
    rgb = cv2.resize(
        expose(painter, scene.rgb), size_px, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    )
    resize = np.array([[scale, 0, 0], [0, scale, 0]], np.float64)
    return Scene(np.asarray(rgb, np.uint8), tuple(face.moved(resize) for face in scene.faces))


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
