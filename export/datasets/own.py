"""What training takes of an annotated set: six in ten of its subjects; the others are kept for validation and tests."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from export.augment import Scene, warp
from export.datasets.labelled import FaceLabel, Labelled, split_by_subject
from export.datasets.layouts import open_folder
from export.datasets.london import london
from export.datasets.marks import FaceMark, Image, Picture, ellipse

SHARES = (6, 1, 3)  # train, validation, test: the seed's (MICCAI 2024, sec. 3.3)
MIN_FACE_PX = 64.0  # smaller faces would be enlarged for training frames
KEPT_FACE_PX, REACH = 240.0, 2.5  # in face sizes to each side


def training_samples(folder: Path) -> tuple[Labelled, ...]:
    """The samples of the training subjects whose pictures are there.

    Raises:
        ValueError: the folder's layout is not known, it is malformed, or no such picture is there.
    """
    samples = open_folder(folder)
    train = split_by_subject(samples, SHARES)[0]
    present = tuple(sample for sample in train if sample.path.is_file())
    if not present:
        raise ValueError(f"{folder}: {len(samples)} pictures are annotated, none of {len(train)} to train on is there")
    return present


def training_faces(folder: Path) -> list[Picture]:
    """Pictures with one face of at least 64 px and its landmarks, as the device's detector learns from them.

    Raises:
        ValueError: as `training_samples`, or no face has landmarks.
    """
    if (folder / "tem").is_dir():
        return [person.picture() for person in london(folder, "train")]
    samples = training_samples(folder)
    faces = [(sample, n) for sample in samples for n, face in enumerate(sample.faces) if _teaches(face)]
    if not faces:
        raise ValueError(
            f"{folder}: no face of {MIN_FACE_PX:.0f} px has landmarks, which the detector learns the roll from; "
            "of boxes alone `python -m export nfd-train` can learn"
        )
    return [near(sample.picture(number)) for sample, number in faces]


def near(picture: Picture) -> Picture:
    """The face, at most 240 px large, with what may come into a training frame beside it: many must fit in memory."""
    assert picture.face is not None
    size_px, (x, y) = picture.face.size_px, picture.face.centre
    left, top = max(0, int(x - REACH * size_px)), max(0, int(y - REACH * size_px))
    right, bottom = (int(v + REACH * size_px) for v in (x, y))
    scale = min(1.0, KEPT_FACE_PX / size_px)
    rgb, mask = (
        cv2.resize(part[top:bottom, left:right], None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        for part in (picture.rgb, picture.subject.astype(np.uint8))
    )
    matrix = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]])
    return Picture(np.asarray(rgb, np.uint8), np.asarray(mask) > 0, picture.face.moved(matrix))


def _teaches(face: FaceLabel) -> bool:
    return face.judged and face.landmarks is not None and face.size_px >= MIN_FACE_PX


def training_scenes(folder: Path, count: int, size_px: tuple[int, int], seed: int) -> list[Scene]:
    """At most `count` whole pictures in frames (width, height), with all their faces; unknown landmarks are NaN.

    Faces that their annotators exclude are painted over with their mean colour.

    Raises:
        ValueError: as `training_samples`.
    """
    samples = training_samples(folder)
    order = np.random.default_rng(seed).permutation(len(samples))[:count]
    return [_scene(samples[number], size_px) for number in order]


def _scene(sample: Labelled, size_px: tuple[int, int]) -> Scene:
    rgb, faces = sample.read()
    scale = min(size_px[0] / rgb.shape[1], size_px[1] / rgb.shape[0])
    matrix = np.array([[scale, 0, 0], [0, scale, 0]])
    shown = [face for face in faces if face.judged]
    rgb = _without(rgb, [face for face in faces if not face.judged])
    return Scene(warp(rgb, matrix, size_px), tuple(_mark(face).moved(matrix) for face in shown))


def _mark(face: FaceLabel) -> FaceMark:
    points = np.full((5, 2), np.nan, np.float32) if face.landmarks is None else face.landmarks
    return FaceMark(ellipse(face.box) if face.outline is None else face.outline, points)


def _without(rgb: Image, faces: list[FaceLabel]) -> Image:
    out = rgb.copy()
    for face in faces:
        x0, y0, x1, y1 = (round(v) for v in face.box)
        if x1 > x0 and y1 > y0:
            colour = cv2.mean(rgb[y0:y1, x0:x1])[:3]
            cv2.rectangle(out, (x0, y0), (x1 - 1, y1 - 1), colour, -1)
    return out
