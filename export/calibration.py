"""Prepared inputs as a device sees them: what int8 ranges are set by, and what graphs are compared on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import cycle
from pathlib import Path

import numpy as np

from edgemon.inference import Tensor, aligned_crop, prepare
from edgemon.records import Box
from export.augment import Painter, expose
from export.datasets import Image, Picture, Renders, london
from export.evaluate_pulse import SECONDS, windows
from export.face_cases import CONDITIONS, face_free, london_subjects, render_subjects
from export.onnx_export import TASKS, TaskName
from export.pulse_stream import FS_HZ

CALIBRATION_COUNT = 160
_PICTURES = "{count} pictures of validation renders and of London adults in training, in all conditions"
CALIBRATION_SETS: Mapping[TaskName, str] = {
    "face": _PICTURES,
    "expression": _PICTURES,
    "pulse": "{count} windows of 2 to 6 s made of validation renders",
}


def real_inputs(
    task: TaskName, renders: Path, photographs: Path | None, count: int = CALIBRATION_COUNT
) -> Iterator[Tensor]:
    """`count` prepared inputs of a network; renders are those of a split that training did not see."""
    if task == "pulse":
        yield from _clips(renders, count)
        return
    for image in PICTURES[task](Renders(renders), photographs, count):
        yield prepare(image, TASKS[task].input)


def _clips(renders: Path, count: int) -> Iterator[Tensor]:
    """Windows of 2, 4 and 6 s in turn."""
    for number, window in enumerate(windows(renders, count, seed=3)):
        frames = round(SECONDS[number % len(SECONDS)] * FS_HZ)
        yield np.ascontiguousarray(window.patches[-frames:].transpose(0, 3, 1, 2)[None])


def _frames(renders: Renders, photographs: Path | None, count: int) -> Iterator[Image]:
    """One of each condition in turn; every fifth frame is without a face."""
    subjects = [render_subjects(renders, count)]
    if photographs is not None:
        subjects.append(london_subjects(photographs, "train"))
    faces = [[cycle(s.frames(condition, seed=3)) for condition in CONDITIONS.values()] for s in subjects]
    without = face_free(renders, subjects, count, seed=3)
    for number in range(count):
        if number % 5 == 4:
            yield next(without)
        else:
            pool = faces[number % len(faces)]
            yield next(pool[number // len(faces) % len(pool)]).rgb


def _crops(renders: Renders, photographs: Path | None, count: int) -> Iterator[Image]:
    painter = Painter(np.random.default_rng(3))
    side = TASKS["expression"].input.size_px[0]
    faces = [i for i, row in enumerate(renders.rows) if row["face_box"] is not None]
    adults = [person.picture() for person in london(photographs, "train")] if photographs else []
    for number in range(count):
        if adults and number % 5 == 4:
            crop = _crop(adults[number % len(adults)], side)
        else:
            index = faces[number % len(faces)]
            row = renders.rows[index]
            crop = aligned_crop(
                renders.rgb(index), tuple(row["face_box"]), np.array(row["landmarks"], np.float32), side
            )
        yield expose(painter, crop) if number % 2 else crop


def _crop(picture: Picture, side: int) -> Image:
    assert picture.face is not None
    box: Box = picture.face.box()
    return aligned_crop(picture.rgb, box, picture.face.landmarks, side)


PICTURES: Mapping[TaskName, Callable[[Renders, Path | None, int], Iterator[Image]]] = {
    "face": _frames,
    "expression": _crops,
}


def named(task: TaskName, count: int) -> str:
    """The calibration set's name."""
    return CALIBRATION_SETS[task].format(count=count)
