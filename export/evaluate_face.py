"""What a face detector finds: recall by condition, false frames and the error of the roll."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgemon.faces.detect import Detection
from edgemon.inference import Image, roll_deg
from edgemon.manifest import Metric
from export.augment import Scene
from export.datasets import FaceMark
from export.face_cases import CONDITIONS, FREE_KINDS, Subjects
from export.face_precision import ANY_SHOW, IOUS, LOWEST_SCORE, Finder, Precision
from export.metrics import FALSE_FRAMES, share_at, threshold_at

MAX_CENTRE_OFF, SIZE_RATIO = 0.4, (0.5, 2.0)
ROLLS = tuple(name for name, condition in CONDITIONS.items() if not condition.dark and not condition.hidden)


@dataclass(frozen=True, slots=True)
class Hit:
    """The best detection that lies on the true face: its score (0: none) and by how much its roll is off."""

    score: float
    roll_error_deg: float


@dataclass(frozen=True)
class Finds:
    """Hits by condition on one set of faces; a condition that no face of the set can be shown in has none."""

    data: str
    hits: Mapping[str, tuple[Hit, ...]]

    @property
    def conditions(self) -> tuple[str, ...]:
        """Those with frames."""
        return tuple(name for name, hits in self.hits.items() if hits)

    def recall(self, condition: str, threshold: float) -> float:
        """Share of the faces that are found."""
        return share_at([hit.score for hit in self.hits[condition]], threshold)

    def roll_errors_deg(self, threshold: float) -> NDArray[np.float64]:
        """Errors of the found faces at all rolls in light."""
        return np.array([h.roll_error_deg for name in ROLLS for h in self.hits[name] if h.score >= threshold])


def lies_on(found: Detection, face: FaceMark) -> bool:
    """A hit: centre within 0.4 face sizes of the true one, size within half and double."""
    box, truth = np.array(found.box), np.array(face.box())
    side, true_side = (math.sqrt(max(1e-6, float((b[2:] - b[:2]).prod()))) for b in (box, truth))
    off = float(np.hypot(*((box[:2] + box[2:] - truth[:2] - truth[2:]) / 2)))
    return off <= MAX_CENTRE_OFF * true_side and SIZE_RATIO[0] <= side / true_side <= SIZE_RATIO[1]


def best_hit(found: Iterable[Detection], face: FaceMark) -> Hit:
    """The highest detection on the face."""
    for detection in found:
        if lies_on(detection, face):
            error = roll_deg(detection.landmarks) - roll_deg(face.landmarks)
            return Hit(detection.score, abs((error + 180) % 360 - 180))
    return Hit(0.0, math.nan)


def find(finder: Finder, subjects: Subjects) -> Finds:
    """Run a detector over all conditions."""

    def hits(scenes: Iterator[Scene]) -> tuple[Hit, ...]:
        return tuple(best_hit(finder.detect(s.rgb, LOWEST_SCORE), s.faces[0]) for s in scenes)

    return Finds(subjects.name, {name: hits(subjects.frames(c)) for name, c in CONDITIONS.items()})


def false_scores(finder: Finder, frames: Iterable[Image]) -> NDArray[np.float64]:
    """The highest score of each face-free frame."""
    return np.array([max((d.score for d in finder.detect(f, LOWEST_SCORE)), default=0.0) for f in frames])


def by_kind(scores: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """The scores of face-free frames, whose kinds come in turn, by their kind."""
    return {kind: scores[i :: len(FREE_KINDS)] for i, kind in enumerate(FREE_KINDS)}


@dataclass(frozen=True)
class FaceReport:
    """A detector on unseen faces: recall at the shipped threshold and at those of 2 % false frames, AP, roll error.

    `false` holds the highest score of each face-free frame, whose kinds come in turn; spoiled faces, which have all
    parts of a face in the wrong places, are the hardest, so one threshold is told without them.
    """

    finds: tuple[Finds, ...]
    false: NDArray[np.float64]
    shipped: float
    precision: tuple[Precision, ...] = ()

    @property
    def thresholds(self) -> dict[str, float]:
        """By how they were chosen."""
        return {
            "shipped threshold, chosen on validation renders": self.shipped,
            f"{FALSE_FRAMES:.0%} false frames": threshold_at(self.false),
            f"{FALSE_FRAMES:.0%} false frames, spoiled faces apart": threshold_at(
                np.concatenate([by_kind(self.false)[kind] for kind in FREE_KINDS[:2]])
            ),
        }

    def metrics(self) -> tuple[Metric, ...]:
        """Everything as named figures."""
        rows = [
            Metric(name="recall", data=f"{f.data} ({len(f.hits[c])} frames)", condition=f"{c}; {how}", value=value)
            for how, threshold in self.thresholds.items()
            for f in self.finds
            for c in f.conditions
            for value in [round(f.recall(c, threshold), 4)]
        ]
        for kind, scores in by_kind(self.false).items():
            share = round(share_at(scores, self.shipped), 4)
            rows.append(Metric(name="false frames", data=f"{kind} ({scores.size})", condition="shipped", value=share))
        free = f"face-free frames ({self.false.size})"
        for how, threshold in self.thresholds.items():
            share = round(share_at(self.false, threshold), 4)
            rows.append(
                Metric(name="false frames", data=free, condition=f"threshold {threshold:.3f}; {how}", value=share)
            )
        for f in self.finds:
            errors = f.roll_errors_deg(self.shipped)
            rows += [
                Metric(name=f"roll error p{p} deg", data=f.data, condition="all rolls, found faces", value=value)
                for p in (50, 90)
                if errors.size
                for value in [round(float(np.percentile(errors, p)), 2)]
            ]
        rows += [
            Metric(name=f"AP at IoU {iou}", data=f"{p.data} ({p.faces} faces)", condition=ANY_SHOW, value=round(ap, 4))
            for p in self.precision
            for iou, ap in p.ap.items()
        ]
        return tuple(rows)

    def lines(self) -> Iterator[str]:
        """The table: recall in percent."""
        yield f"{'recall %':<58}" + "".join(f"{c.replace('roll ', ''):>13}" for c in CONDITIONS)
        for how, threshold in self.thresholds.items():
            yield f"at {threshold:.3f}: {how}; false frames {share_at(self.false, threshold):.1%} of {self.false.size}"
            for f in self.finds:
                shown = (f"{100 * f.recall(c, threshold):.1f}" if c in f.conditions else "-" for c in CONDITIONS)
                cells = "".join(f"{cell:>13}" for cell in shown)
                yield f"  {f.data + ' (' + str(len(f.hits[ROLLS[0]])) + ')':<56}{cells}"
        kinds = (f"{kind} {share_at(scores, self.shipped):.1%}" for kind, scores in by_kind(self.false).items())
        yield f"false frames at the shipped threshold by kind: {', '.join(kinds)}"
        for f in self.finds:
            errors = f.roll_errors_deg(self.shipped)
            if errors.size:
                p50, p90 = np.percentile(errors, (50, 90))
                yield f"roll error, {f.data}: p50 {p50:.1f}, p90 {p90:.1f} degrees"
        if self.precision:
            yield f"{'average precision, ' + ANY_SHOW:<58}" + "".join(f"{f'IoU {iou}':>13}" for iou in IOUS)
        for p in self.precision:
            yield f"  {p.data + ' (' + str(p.faces) + ')':<56}" + "".join(f"{100 * ap:>13.1f}" for ap in p.ap.values())
