"""What predictors that never look at the picture score: the floor under every figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgemon.records import Pose
from export.pose.samples import JOINTS, PoseSample


@dataclass(frozen=True, slots=True, eq=False)
class ConstantPose:
    """One infant in each picture, its joints (14, 2) always at the same shares of width and height."""

    name: str
    shares: NDArray[np.float64]

    def __call__(self, sample: PoseSample) -> tuple[Pose, ...]:
        """The guess in the picture's pixels."""
        places = self.shares * sample.size
        return (Pose(np.column_stack([places, np.ones(JOINTS)]).astype(np.float32), 1.0, None, None),)


CENTRE = ConstantPose("image centre", np.full((JOINTS, 2), 0.5))


def mean_pose(samples: Sequence[PoseSample], name: str) -> ConstantPose:
    """The mean place of each joint, labelled in any picture, in shares of width and height; else the picture's centre.

    Raises:
        ValueError: there are no persons to take the mean of.
    """
    persons = [sample.persons / (*sample.size, 1) for sample in samples if len(sample.persons)]
    if not persons:
        raise ValueError("a mean pose needs pictures with labelled infants")
    joints = np.concatenate(persons).astype(np.float64)
    labelled = (joints[..., 2:] > 0) & np.isfinite(joints[..., :2])
    count = labelled.sum(axis=0)
    total = np.where(labelled, joints[..., :2], 0.0).sum(axis=0)
    return ConstantPose(name, np.where(count > 0, total / np.maximum(count, 1), 0.5))
