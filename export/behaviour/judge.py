"""A model on renders of unseen infants, on faces with regions painted over, and on calm adults with open eyes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgemon.inference import ExpressionModel
from export.behaviour.faces import Faces, crop_all, found
from export.behaviour.reads import Reads, read
from export.behaviour.sources import of_renders
from export.datasets import Renders
from export.expression_data import MIN_VISIBLE
from export.face_cases import FRONT, Condition, Subjects, london_subjects, render_subjects, together
from export.face_precision import Finder
from export.metrics import at_most

TRUE_CROP, FOUND_CROP = "true boxes", "the detector's boxes"
OPEN = Condition()
COVERED: Mapping[str, Condition] = {  # rows from the eyes' in half faces: brow -0.2, nose 0.3, mouth 0.7
    "eyes_visible": Condition(hidden=(-0.25, 0.25), from_eyes=True),
    "mouth_visible": Condition(hidden=(0.1, 1.3)),
    "brow_visible": Condition(hidden=(-0.65, -0.08), from_eyes=True),
    "cheeks_visible": Condition(hidden=(0.1, 0.75), from_eyes=True),
}


@dataclass(frozen=True, slots=True)
class Abstention:
    """Share of faces of which a region is held to be hidden, open and painted over."""

    region: str
    faces: int
    open: float
    covered: float


@dataclass(frozen=True, slots=True)
class FalseCalls:
    """Adults with open eyes and a calm face, read through the detector: frames shown and found, and of the found ones
    whose target is called (n,) with the person each shows (n,)."""

    name: str
    frames: int
    persons: NDArray[np.int64]
    closed: NDArray[np.bool_]
    crying: NDArray[np.bool_]

    @property
    def found(self) -> int:
        """Frames in which the face was found."""
        return len(self.persons)

    def told(self, calls: NDArray[np.bool_]) -> str:
        """A share of frames, and of persons with the most that their share may be."""
        called, everyone = len(np.unique(self.persons[calls])), len(np.unique(self.persons))
        most = at_most(called, everyone)
        return (
            f"{calls.mean():.1%} of {self.found} frames; {called} of {everyone} persons in any frame, which allows "
            f"{most:.1%} of persons at 95 %"
        )


@dataclass(frozen=True, slots=True)
class Crops:
    """Faces of a set by how they were cropped, with the share of all that was found."""

    faces: Mapping[str, tuple[Faces, float]]


def crops_of(renders: Path, finder: Finder, limit: int | None = None) -> Crops:
    """Rendered faces by their true boxes and by the detector's."""
    samples = of_renders(renders, limit)
    if not samples:
        raise ValueError(f"{renders}: shows no face; draw more (python -m export synthesize images)")
    both = {}
    for name, by in ((TRUE_CROP, None), (FOUND_CROP, finder)):
        faces, missed = crop_all(samples, by)
        both[name] = (faces, 1 - missed / len(samples))
    return Crops(both)


def read_crops(model: ExpressionModel, crops: Crops) -> dict[str, tuple[Reads, float]]:
    """What the model says of each, with the share of faces read."""
    return {name: (read(model, faces), share) for name, (faces, share) in crops.faces.items()}


def read_renders(model: ExpressionModel, renders: Path) -> Reads:
    """What the model says of rendered faces by their true boxes."""
    return read(model, crop_all(of_renders(renders), None)[0])


def visible_from(reads: Reads, region: str, share: float = 0.03) -> float:
    """The threshold of a visibility below which this share of the faces that can be judged would abstain.

    Raises:
        ValueError: the renders tell nothing of the region.
    """
    column = reads.of(region)
    if not column.scores.size:
        raise ValueError(f"the renders tell nothing of {region}; draw them anew (python -m export synthesize images)")
    return round(float(np.quantile(column.scores[column.truth >= MIN_VISIBLE], share)), 4)


def read_covered(model: ExpressionModel, renders: Path, limit: int | None = None) -> tuple[Abstention, ...]:
    """Faces with a region painted over, which must abstain, and the same ones open, which must not.

    Of a region that the model does not tell, or has no threshold for, nothing is said.
    """
    told = Renders(renders)
    groups = [render_subjects(told, limit, group) for group in (FRONT, replace(FRONT, scene="expression"))]
    subjects = together(groups, f"renders {renders.name}")
    if not subjects.pictures:
        return ()
    regions = [region for region in COVERED if region in model.manifest.thresholds]
    rows = []
    for region in regions:
        plain, covered = (_below(model, subjects, region, c) for c in (OPEN, COVERED[region]))
        rows.append(Abstention(region, len(subjects.pictures), plain, covered))
    return tuple(rows)


def _below(model: ExpressionModel, subjects: Subjects, region: str, condition: Condition) -> float:
    scenes = subjects.frames(condition)
    told = [getattr(model.read(s.rgb, s.faces[0].box(), s.faces[0].landmarks), region) for s in scenes]
    return float(np.mean(np.array(told, np.float64) < model.manifest.threshold(region)))


def read_adults(model: ExpressionModel, folder: Path, finder: Finder) -> FalseCalls:
    """The held-out adults of the London set, each in four frames as a cot's camera shows a newborn."""
    subjects = london_subjects(folder, "test")
    persons, closed, crying = [], [], []
    scenes = list(subjects.frames(OPEN))
    for number, scene in enumerate(scenes):
        place = found(finder, scene.rgb, scene.faces[0].box())
        if place is not None:
            got = model.read(scene.rgb, place.box, place.landmarks)
            persons.append(number % len(subjects.pictures))
            closed.append(got.eyes_closed >= model.manifest.threshold("eyes_closed"))
            crying.append(got.crying >= model.manifest.threshold("crying"))
    flags = (np.array(calls, bool) for calls in (closed, crying))
    return FalseCalls(subjects.name, len(scenes), np.array(persons, np.int64), *flags)
