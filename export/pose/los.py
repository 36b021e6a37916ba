"""Limb overlap score, LOS (eq. 4 of Migliorelli et al., the seed's text 004), with what it leaves open decided.

For one limb (wrist, elbow, shoulder or ankle, knee, hip) of one infant:

    LOS = 1 - mean over its counted joints of ||told - true|| / sqrt(A**2 + B**2)

- The second sum has no bounds: it is over the same three joints, so that the quotient is their mean error.
- A and B are the width and height of the picture as it was annotated, never of a resized picture or a grid of several.
- Joints count that are visible (v = 2). The text leaves out joints "annotated as non-visible (due to external
  occlusions)"; its delta(v > 0) says the same only where occluded joints are not labelled. `from_v=1` counts covered
  joints too.
- A limb without a counted joint (0/0) is skipped; how many limbs count is told.
- The limbs' figures are means over infants, LOS is the mean of the four (as the seed's table 2 has it).
- An infant that is missed scores 0 in each counted limb, so that silence earns nothing. Poses beyond the first of an
  infant neither earn nor cost: AP counts them.
- No clipping is needed within the picture; a told joint may lie outside it, so a limb's figure is at least 0.

The figure is relative to the picture, not to the infant: a constant guess scores high (see baselines.py), and head and
neck count nothing. It is always shown beside the two trivial baselines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from export.pose.joints import LIMBS, VISIBLE, Joined


@dataclass(frozen=True, slots=True)
class Los:
    """LOS of each limb, NaN where none counts, with how many limbs count and how many of those were missed."""

    limbs: Mapping[str, float]
    counted: int
    missed: int

    @property
    def mean(self) -> float:
        """The mean of the four limbs, of those that have a figure; NaN where none has."""
        told = [value for value in self.limbs.values() if not np.isnan(value)]
        return float(np.mean(told)) if told else float("nan")


def los(joined: Joined, from_v: int = VISIBLE) -> Los:
    """LOS of N persons over their joints with v of at least `from_v`."""
    share = joined.apart_px / np.hypot(*joined.sizes.T)[:, None]
    limbs, counted, missed = {}, 0, 0
    for name, joints in LIMBS.items():
        weight = joined.truth[:, joints, 2] >= from_v
        here = weight.any(axis=1)
        off = np.where(weight, share[:, joints], 0.0)[here].sum(axis=1) / weight[here].sum(axis=1)
        scores = np.where(joined.found[here], np.maximum(1 - off, 0.0), 0.0)
        limbs[name] = float(scores.mean()) if here.any() else float("nan")
        counted += int(here.sum())
        missed += int((~joined.found[here]).sum())
    return Los(limbs, counted, missed)
