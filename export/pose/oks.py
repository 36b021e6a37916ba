"""Average precision and recall by object keypoint similarity (OKS), as CrowdPose's evaluation defines them.

Li et al., CrowdPose, CVPR 2019, and its `crowdposetools/cocoeval.py`: COCO's protocol with 14 sigmas and with
0.53 * width * height of the box for the area. Equal to pycocotools given these sigmas and areas (tests).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgemon.records import Pose
from export.pose.samples import PoseSample

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

SIGMAS: Final = np.array([79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89, 79, 79]) / 1000
AREA_SHARE: Final = 0.53  # of the box's area: what CrowdPose takes for a person's
THRESHOLDS: Final = np.linspace(0.5, 0.95, 10)
RECALLS: Final = np.linspace(0, 1, 101)
MOST_FOUND: Final = 20  # detections of one picture that count


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """One picture: OKS (D, P) of what was found, best score first, the scores (D,), and whom of (P,) to ignore."""

    oks: Floats
    scores: Floats
    ignored: Flags

    def hits(self, threshold: float) -> tuple[Flags, Flags]:
        """Which detections hit a person, and which of those an ignored one.

        In the order of their scores each takes the free person that it resembles most, an ignored one only where no
        other is left; of equals the later.
        """
        hit, aside = np.zeros(len(self.scores), bool), np.zeros(len(self.scores), bool)
        free = np.ones(len(self.ignored), bool)
        for number, similar in enumerate(self.oks):
            for pool in (free & ~self.ignored, free & self.ignored):
                fit = np.flatnonzero(pool & (similar >= min(threshold, 1 - 1e-10)))
                if fit.size:
                    best = fit[similar[fit] == similar[fit].max()][-1]
                    hit[number], aside[number], free[best] = True, self.ignored[best], False
                    break
        return hit, aside


@dataclass(frozen=True, slots=True)
class Precision:
    """AP and AR, their means over OKS 0.50:0.05:0.95, and those at 0.50 and 0.75."""

    ap: float
    ap50: float
    ap75: float
    ar: float
    ar50: float
    ar75: float


def oks(found: NDArray[np.floating], persons: NDArray[np.floating], boxes: NDArray[np.floating]) -> Floats:
    """Similarity (D, P) of found joints (D, 14, 2+) with persons (P, 14, 3), whose boxes (P, 4) are xyxy.

    The mean over labelled joints (v > 0) of exp(-d**2 / (2 * area * (2 * sigma)**2)). Of a person without any labelled
    joint, d is the distance from the box grown by its own size on each side.
    """
    apart = found[:, None, :, :2].astype(np.float64) - persons[None, :, :, :2]
    box = boxes.astype(np.float64)
    sides = box[:, 2:] - box[:, :2]
    low, high = (box[:, :2] - sides)[None, :, None], (box[:, 2:] + sides)[None, :, None]
    places = found[:, None, :, :2]
    outside = np.maximum(low - places, 0) + np.maximum(places - high, 0)
    labelled = persons[..., 2] > 0
    none = np.asarray(~labelled.any(axis=1))
    off = np.where(none[None, :, None, None], outside, apart)
    area = AREA_SHARE * sides.prod(axis=1) + np.spacing(1)
    alike = np.exp(-(off**2).sum(axis=3) / (2 * area[None, :, None] * (2 * SIGMAS) ** 2))
    counted = labelled | none[:, None]
    return np.asarray((alike * counted[None]).sum(axis=2) / counted.sum(axis=1)[None])


def judge(sample: PoseSample, found: Sequence[Pose]) -> Judged:
    """What was found in one picture against its persons; a person without labelled joints is ignored."""
    best = sorted(found, key=lambda pose: -pose.score)[:MOST_FOUND]
    places = np.array([pose.keypoints for pose in best], np.float64).reshape(len(best), len(SIGMAS), 3)
    boxes = np.array([sample.box(n) for n in range(len(sample.persons))], np.float64).reshape(-1, 4)
    ignored = np.asarray(~(sample.persons[..., 2] > 0).any(axis=1))
    scores = np.array([pose.score for pose in best], np.float64)
    return Judged(oks(places, sample.persons.astype(np.float64), boxes), scores, ignored)


def average_precision(pictures: Sequence[Judged]) -> Precision:
    """AP and AR over pictures.

    Raises:
        ValueError: nobody has a labelled joint.
    """
    persons = _persons(pictures)
    scores = np.concatenate([picture.scores for picture in pictures])
    order = np.argsort(-scores, kind="stable")
    curves = np.array([_curve(pictures, order, persons, float(t)) for t in THRESHOLDS])
    (ap, ar), half, tight = curves.mean(axis=0), curves[0], curves[5]
    return Precision(*(float(v) for v in (ap, half[0], tight[0], ar, half[1], tight[1])))


def _persons(pictures: Sequence[Judged]) -> int:
    count = sum(int((~picture.ignored).sum()) for picture in pictures)
    if not count:
        raise ValueError("average precision and recall need persons with labelled joints")
    return count


def _curve(pictures: Sequence[Judged], order: NDArray[np.intp], persons: int, threshold: float) -> tuple[float, float]:
    """Interpolated precision, mean over 101 recalls, and the highest recall, at one threshold."""
    told = [picture.hits(threshold) for picture in pictures]
    hit, aside = (np.concatenate([pair[n] for pair in told])[order] for n in (0, 1))
    true, false = np.cumsum(hit & ~aside), np.cumsum(~hit)
    if not true.size:
        return 0.0, 0.0
    precision = true / (true + false + np.spacing(1))
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    recall = true / persons
    at = np.searchsorted(recall, RECALLS, side="left")
    reached = envelope[np.minimum(at, len(envelope) - 1)] * (at < len(envelope))
    return float(reached.mean()), float(recall[-1])


def pairs(picture: Judged) -> Iterator[tuple[int, int]]:
    """Detection and person, each at most once: the most alike first, of equally alike the better score first."""
    used: tuple[set[int], set[int]] = set(), set()
    for place in np.argsort(-picture.oks, axis=None, kind="stable"):
        number, person = divmod(int(place), len(picture.ignored))
        if number not in used[0] and person not in used[1]:
            used[0].add(number)
            used[1].add(person)
            yield number, person


def recalls(samples: Sequence[PoseSample], found: Sequence[Sequence[Pose]]) -> Floats:
    """The share of infants that are found at each of THRESHOLDS.

    Raises:
        ValueError: nobody has a labelled joint.
    """
    pictures = [judge(sample, poses) for sample, poses in zip(samples, found, strict=True)]
    order = np.argsort(-np.concatenate([picture.scores for picture in pictures]), kind="stable")
    return np.array([_curve(pictures, order, _persons(pictures), float(t))[1] for t in THRESHOLDS])
