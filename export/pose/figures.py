"""The figures of one set of poses on one group of samples."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgemon.records import Pose
from export.pose.joints import COVERED, PCK_SHARE, Joined, join
from export.pose.los import Los, los
from export.pose.oks import Precision, average_precision, judge
from export.pose.samples import PoseSample

LIMB_JOINTS = 12  # the first of KEYPOINTS: without head and neck, which COCO's models do not tell


@dataclass(frozen=True, slots=True)
class Figures:
    """All figures of merit of poses; errors in trunk lengths, of visible joints unless said."""

    infants: int
    precision: Precision
    los: Los
    los_labelled: Los  # with covered joints
    error_p50: float
    error_p90: float
    covered_p50: float
    pck: float

    def named(self) -> Iterator[tuple[str, float]]:
        """Those that have a value, with their names."""
        p = self.precision
        rows = {
            "OKS AP": p.ap,
            "OKS AP at 0.50": p.ap50,
            "OKS AP at 0.75": p.ap75,
            "OKS AR": p.ar,
            "OKS AR at 0.50": p.ar50,
            "OKS AR at 0.75": p.ar75,
            "LOS": self.los.mean,
            **{f"LOS {limb}": value for limb, value in self.los.limbs.items()},
            "LOS with covered joints": self.los_labelled.mean,
            "error p50, trunk lengths": self.error_p50,
            "error p90, trunk lengths": self.error_p90,
            "error p50 of covered joints, trunk lengths": self.covered_p50,
            f"PCKsh at {PCK_SHARE}": self.pck,
        }
        return ((name, round(value, 4)) for name, value in rows.items() if math.isfinite(value))


def figures(samples: Sequence[PoseSample], found: Sequence[Sequence[Pose]]) -> Figures:
    """The figures.

    Raises:
        ValueError: nobody has a labelled joint.
    """
    joined = join(samples, found)
    return Figures(
        infants=len(joined.truth),
        precision=average_precision([judge(sample, poses) for sample, poses in zip(samples, found, strict=True)]),
        los=los(joined),
        los_labelled=los(joined, COVERED),
        error_p50=quantile(joined, 0.5),
        error_p90=quantile(joined, 0.9),
        covered_p50=quantile(joined, 0.5, COVERED),
        pck=joined.pck(),
    )


def quantile(joined: Joined, share: float, *v: int) -> float:
    """Of the errors in trunk lengths; NaN where there are none."""
    errors = joined.errors(*v)
    return float(np.nanquantile(errors, share)) if np.isfinite(errors).any() else math.nan


def limbs_only(sample: PoseSample) -> PoseSample:
    """The same with head and neck unlabelled; the box stays."""
    persons = sample.persons.copy()
    persons[:, LIMB_JOINTS:] = 0
    boxes = np.array([sample.box(n) for n in range(len(persons))], np.float32).reshape(-1, 4)
    return replace(sample, persons=persons, boxes=boxes)
