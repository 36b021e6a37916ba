"""Told joints beside true ones, and how far they are apart in lengths of the infant's trunk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgemon.records import KEYPOINTS, Pose
from export.pose.oks import judge, pairs
from export.pose.samples import JOINTS, PoseSample

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

COVERED, VISIBLE = 1, 2
LIMBS: Final = {
    f"{side} {limb}": tuple(KEYPOINTS.index(f"{side}_{joint}") for joint in joints)
    for limb, joints in (("arm", ("wrist", "elbow", "shoulder")), ("leg", ("ankle", "knee", "hip")))
    for side in ("left", "right")
}
SHOULDERS: Final = tuple(map(KEYPOINTS.index, ("left_shoulder", "right_shoulder")))
HIPS: Final = tuple(map(KEYPOINTS.index, ("left_hip", "right_hip")))
HEAD: Final = KEYPOINTS.index("head")
PCK_SHARE: Final = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Joined:
    """N persons: `truth` (N, 14, 3) with v, `told` (N, 14, 3) with scores, NaN where missed.

    `sizes` (N, 2) are width and height of their pictures, `sample` (N,) the pictures' numbers.
    """

    truth: Floats
    told: Floats
    sizes: Floats
    sample: NDArray[np.intp]

    @property
    def found(self) -> Flags:
        """Which persons some pose was paired with."""
        return ~np.isnan(self.told[:, 0, 0])

    @property
    def apart_px(self) -> Floats:
        """Distances (N, 14), NaN where missed."""
        return np.asarray(np.linalg.norm(self.told[..., :2] - self.truth[..., :2], axis=2))

    @property
    def trunk_px(self) -> Floats:
        """Mid-shoulder to mid-hip (N,); NaN where one of the four joints is not labelled."""
        length = np.linalg.norm(self._middle(SHOULDERS) - self._middle(HIPS), axis=1)
        return np.asarray(np.where(length > 0, length, np.nan))

    @property
    def scale_px(self) -> Floats:
        """Root of shoulder width times crown to mid-hip (N,); NaN where one of the five joints is not labelled."""
        across = np.linalg.norm(np.subtract(*(self._places((n,))[:, 0] for n in SHOULDERS)), axis=1)
        along = np.linalg.norm(self._places((HEAD,))[:, 0] - self._middle(HIPS), axis=1)
        scale = np.sqrt(across * along)
        return np.asarray(np.where(scale > 0, scale, np.nan))

    def errors(self, v: int = VISIBLE) -> Floats:
        """Errors in trunk lengths (N, 14) of joints with this v in persons that were found; NaN elsewhere."""
        counted = self.truth[..., 2] == v
        return np.where(counted, self.apart_px / self.trunk_px[:, None], np.nan)

    def pck(self, share: float = PCK_SHARE) -> float:
        """PCKsh: the share of visible joints told within so much of `scale_px`; a missed person's are not.

        Video-Based Infant Pose Estimation for Early Motor Assessment (NYCU), PCKsh@0.1. NaN where no person has both.
        """
        counted = (self.truth[..., 2] == VISIBLE) & ~np.isnan(self.scale_px)[:, None]
        near = self.apart_px < share * self.scale_px[:, None]
        return float(near[counted].mean()) if counted.any() else float("nan")

    def of(self, persons: Flags) -> Joined:
        """Some of the persons."""
        return Joined(self.truth[persons], self.told[persons], self.sizes[persons], self.sample[persons])

    def _places(self, joints: Sequence[int]) -> Floats:
        chosen = self.truth[:, list(joints)]
        return np.where(chosen[..., 2:] > 0, chosen[..., :2], np.nan)

    def _middle(self, joints: Sequence[int]) -> Floats:
        return np.asarray(self._places(joints).mean(axis=1))


def join(samples: Sequence[PoseSample], found: Sequence[Sequence[Pose]]) -> Joined:
    """Every person with the pose that is most like it; poses beyond the number of persons are AP's matter."""
    rows = [
        row
        for number, (sample, poses) in enumerate(zip(samples, found, strict=True))
        for row in _rows(sample, poses, number)
    ]
    return Joined(
        np.array([truth for truth, _, _, _ in rows], np.float64).reshape(-1, JOINTS, 3),
        np.array([told for _, told, _, _ in rows], np.float64).reshape(-1, JOINTS, 3),
        np.array([size for _, _, size, _ in rows], np.float64).reshape(-1, 2),
        np.array([number for _, _, _, number in rows], np.intp),
    )


Row = tuple[NDArray[np.float32], NDArray[np.float32], tuple[int, int], int]


def _rows(sample: PoseSample, poses: Sequence[Pose], number: int) -> Iterator[Row]:
    best = sorted(poses, key=lambda pose: -pose.score)
    told = np.full_like(sample.persons, np.nan)
    for place, person in pairs(judge(sample, poses)):
        told[person] = best[place].keypoints
    for truth, row in zip(sample.persons, told, strict=True):
        if (truth[:, 2] > 0).any():
            yield truth, row, sample.size, number
