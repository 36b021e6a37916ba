"""How well eyes, cry and yawn are read from crops of unseen infants, and what is falsely called on calm adults."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgemon.inference import ExpressionModel, Image
from edgemon.manifest import Metric
from edgemon.records import Box
from export import metrics
from export.babyehanet import TARGETS
from export.datasets import Renders, london
from export.expression_data import JUDGED, MIN_VISIBLE, labels_of
from export.face_cases import CONDITIONS, Subjects
from export.face_precision import Finder

Array = NDArray[np.float64]
BY_LIGHT = ("AUC", "balanced accuracy")
LIGHTS = ("bright", "dim", "dark", "infrared")
MEASURES: Mapping[str, Callable[[Array, Array], float]] = {
    "AUC": metrics.auc,
    "accuracy": metrics.accuracy,
    "balanced accuracy": metrics.balanced_accuracy,
    "ECE": metrics.calibration_error,
}


@dataclass(frozen=True, slots=True)
class Reads:
    """Scores (n, 10), truths (n, 10), whether each can be judged (n, 10), and the light (n,); untold scores are NaN."""

    scores: Array
    truth: Array
    judged: NDArray[np.bool_]
    light: NDArray[np.str_]

    def of(self, target: str, light: str | None = None) -> tuple[Array, Array]:
        """Scores and truths of one target where they can be judged."""
        column = TARGETS.index(target)
        keep = self.judged[:, column] if light is None else self.judged[:, column] & (self.light == light)
        return self.scores[keep, column], self.truth[keep, column]


def read_renders(model: ExpressionModel, renders: Renders, finder: Finder | None) -> tuple[Reads, float]:
    """Read every face, by the detector's own box and landmarks where one is given; with the share of faces read."""
    rows, scores, seen = [], [], 0
    for index, row in enumerate(renders.rows):
        if row["face_box"] is None:
            continue
        seen += 1
        rgb, box, points = renders.rgb(index), tuple(row["face_box"]), np.array(row["landmarks"], np.float32)
        if finder is not None:
            place = _found(finder, rgb, box)
            if place is None:
                continue
            box, points = place
        got = model.read(rgb, box, points)
        scores.append([math.nan if getattr(got, name) is None else getattr(got, name) for name in TARGETS])
        rows.append((*labels_of(row), row["light"]))
    told = np.array([r[0] for r in rows], np.float64)
    judged = (np.array([r[1] for r in rows]) > 0) & ~np.isnan(scores)
    return Reads(np.array(scores), told, judged, np.array([r[2] for r in rows])), len(rows) / max(1, seen)


def _found(finder: Finder, rgb: Image, truth: Box) -> tuple[Box, NDArray[np.float32]] | None:
    """The best detection whose centre lies in the true box."""
    x0, y0, x1, y1 = truth
    for detection in finder.detect(rgb):
        a, b, c, d = detection.box
        if x0 <= (a + c) / 2 <= x1 and y0 <= (b + d) / 2 <= y1:
            return detection.box, detection.landmarks
    return None


@dataclass(frozen=True, slots=True)
class Abstention:
    """Share of faces of which a region is held to be hidden: by how they were shown."""

    region: str
    shown: str
    faces: int
    abstained: float


def read_covered(model: ExpressionModel, subjects: Subjects) -> tuple[Abstention, ...]:
    """Faces with eyes or lower half painted over, which must abstain, and the same ones open, which must not."""
    rows = []
    for region, hidden in (("eyes_visible", "eyes hidden"), ("mouth_visible", "covered")):
        for shown in ("roll 0", hidden):
            scenes = subjects.frames(CONDITIONS[shown])
            reads = [model.read(s.rgb, s.faces[0].box(), s.faces[0].landmarks) for s in scenes]
            below = [getattr(read, region) < model.manifest.threshold(region) for read in reads]
            rows.append(Abstention(region, shown, len(below), float(np.mean(below))))
    return tuple(rows)


def visible_from(reads: Reads, region: str, share: float = 0.03) -> float:
    """The threshold of a visibility below which this share of the faces that can be judged would abstain."""
    scores, told = reads.of(region)
    if not scores.size:
        raise ValueError(f"the renders tell nothing of {region}; draw them anew (python -m export synthesize images)")
    return round(float(np.quantile(scores[told >= MIN_VISIBLE], share)), 4)


@dataclass(frozen=True, slots=True)
class FalseCalls:
    """Adults with open eyes and a calm face, read through the detector."""

    name: str
    persons: int
    found: int
    eyes_called_closed: float
    called_crying: float


def read_adults(model: ExpressionModel, folder: Path, finder: Finder) -> FalseCalls:
    """The held-out adults of the London set."""
    persons, calls = london(folder, "test"), []
    for person in persons:
        picture = person.picture()
        assert picture.face is not None
        place = _found(finder, picture.rgb, picture.face.box())
        if place is not None:
            got = model.read(picture.rgb, *place)
            limits = [model.manifest.threshold(name) for name in ("eyes_closed", "crying")]
            calls.append(np.array([got.eyes_closed, got.crying]) >= limits)
    closed, crying = np.mean(np.array(calls).reshape(-1, 2), axis=0) if calls else (np.nan, np.nan)
    return FalseCalls("London adults test", len(persons), len(calls), float(closed), float(crying))


@dataclass(frozen=True)
class ExpressionReport:
    """Reads by how the crop was made, and the false calls on adults."""

    reads: Mapping[str, tuple[Reads, float]]
    abstentions: tuple[Abstention, ...]
    adults: FalseCalls | None

    def metrics(self) -> tuple[Metric, ...]:
        """Everything as named figures; a cell that lacks one of the classes is left out."""
        rows = []
        for crop, (reads, share) in self.reads.items():
            data = f"renders test, {crop} ({len(reads.scores)} faces)"
            rows.append(Metric(name="faces read", data=data, condition="all lights", value=round(share, 4)))
            for target in JUDGED:
                for light in (None, *LIGHTS):
                    scores, truth = reads.of(target, light)
                    if truth.size and 0 < truth.sum() < truth.size:
                        where = f"{target}; {light or 'all lights'} ({truth.size})"
                        rows += [
                            Metric(name=name, data=data, condition=where, value=round(measure(scores, truth), 4))
                            for name, measure in MEASURES.items()
                            if light is None or name in BY_LIGHT
                        ]
        rows += [
            Metric(name=f"{a.region} below its threshold", data=f"renders ({a.faces})", condition=a.shown, value=value)
            for a in self.abstentions
            for value in [round(a.abstained, 4)]
        ]
        if self.adults is not None and self.adults.found:
            a = self.adults
            data = f"{a.name}, the detector's crops ({a.found} of {a.persons} found)"
            rows.append(
                Metric(name="open eyes called closed", data=data, condition="studio", value=a.eyes_called_closed)
            )
            rows.append(Metric(name="calm called crying", data=data, condition="studio", value=a.called_crying))
        return tuple(rows)

    def lines(self) -> Iterator[str]:
        """The table."""
        for crop, (reads, share) in self.reads.items():
            yield f"renders test, {crop}: {len(reads.scores)} faces, {share:.1%} of all"
            yield f"  {'':<24}{'n':>6}" + "".join(f"{name:>20}" for name in MEASURES)
            for target in JUDGED:
                for light in (None, *LIGHTS):
                    scores, truth = reads.of(target, light)
                    if truth.size and 0 < truth.sum() < truth.size:
                        cells = "".join(f"{measure(scores, truth):>20.4f}" for measure in MEASURES.values())
                        yield f"  {target + ', ' + (light or 'all'):<24}{truth.size:>6}{cells}"
        for b in self.abstentions:
            yield f"{b.region} below its threshold, {b.shown}: {b.abstained:.1%} of {b.faces}"
        if self.adults is not None:
            a = self.adults
            yield (
                f"{a.name}: {a.found} of {a.persons} found; open eyes called closed {a.eyes_called_closed:.1%}, "
                f"calm called crying {a.called_crying:.1%}"
            )
