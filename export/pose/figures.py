"""The figures of one set of poses on one group of samples."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgemon.records import Pose
from export.pose.joints import COVERED, PCK_SHARE, VISIBLE, Joined, join
from export.pose.los import Los, los
from export.pose.oks import Precision, average_precision, judge
from export.pose.samples import JOINTS, PoseSample

LIMB_JOINTS = 12  # the first of KEYPOINTS: without head and neck, which COCO's models do not tell


@dataclass(frozen=True, slots=True)
class Figures:
    """All figures of merit of poses; errors in trunk lengths, of visible joints unless said.

    `precision` counts covered joints too, as CrowdPose does; `seen` only visible ones, as the seed's data do, in which
    occluded joints are not labelled. None where nobody has a visible joint.
    """

    infants: int
    precision: Precision
    seen: Precision | None
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
            "OKS AP of visible joints": math.nan if self.seen is None else self.seen.ap,
            "OKS AR of visible joints": math.nan if self.seen is None else self.seen.ar,
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
    seen = [masked(sample, sample.persons[..., 2] == VISIBLE) for sample in samples]
    return Figures(
        infants=len(joined.truth),
        precision=_precision(samples, found),
        seen=_precision(seen, found) if any(sample.persons.any() for sample in seen) else None,
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
    """The same with head and neck unlabelled."""
    return masked(sample, np.broadcast_to(np.arange(JOINTS) < LIMB_JOINTS, sample.persons.shape[:2]))


def masked(sample: PoseSample, kept: NDArray[np.bool_]) -> PoseSample:
    """The same with only these joints (P, 14) labelled; the boxes stay."""
    boxes = np.array([sample.box(n) for n in range(len(sample.persons))], np.float32).reshape(-1, 4)
    return replace(sample, persons=np.where(kept[..., None], sample.persons, 0).astype(np.float32), boxes=boxes)


def _precision(samples: Sequence[PoseSample], found: Sequence[Sequence[Pose]]) -> Precision:
    return average_precision([judge(sample, poses) for sample, poses in zip(samples, found, strict=True)])
