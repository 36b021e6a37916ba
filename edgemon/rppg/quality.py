"""How far to trust a rate: several signs, and the probability that it is right within 5 bpm."""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass
from typing import Final

import numpy as np

from edgemon.rppg.sampling import Array
from edgemon.rppg.slices import Windows
from edgemon.rppg.spectra import GRID_BPM

_NEAR_BPM: Final = 6.0
_ALIKE_BPM: Final = 8.0
_HALVES_BPM: Final = 12.0

OFFSET: Final = -5.82
WEIGHTS: Final = (2.59, 1.39, 7.73, 6.18, -8.81, 2.27)  # of Signs; `export fit-heart-rate` prints them


@dataclass(frozen=True, slots=True)
class Signs:
    """What speaks for or against a rate.

    `belief`: log odds of the tracker's mass within 6 bpm. `agreement`: share of the signals, of all regions and
    methods, that peak within 8 bpm. `steadiness`: power within 12 bpm in both halves of the window, as their mean.
    `constancy`: power within 12 bpm in the window before it; steadiness again while there is none. `sureness`: 1 less
    the belief's entropy over that of no knowledge; it counts against the rate, for a belief that is narrower than a
    heart is steady comes from something else. `stillness`: share of the power at the rate that does not lie across
    blood.
    """

    belief: float
    agreement: float
    steadiness: float
    constancy: float
    sureness: float
    stillness: float

    @classmethod
    def of(cls, bpm: float, belief: Array, windows: Windows) -> Signs:
        """The signs for a rate."""
        off_bpm = np.abs(GRID_BPM - bpm)
        first, last = (float(part[off_bpm <= _HALVES_BPM].sum()) for part in windows.halves)
        peaks = GRID_BPM[windows.shares.argmax(axis=-1)]
        near = min(1.0, float(belief[off_bpm <= _NEAR_BPM].sum()))
        entropy = -float((belief * np.log(np.maximum(belief, 1e-12))).sum()) / math.log(len(belief))
        return cls(
            math.log((near + 0.01) / (1.01 - near)),
            float((np.abs(peaks - bpm) <= _ALIKE_BPM).mean()),
            math.sqrt(first * last),
            math.sqrt(first * last) if windows.before is None else float(windows.before[off_bpm <= _HALVES_BPM].sum()),
            1.0 - entropy,
            float(windows.stillness[int(off_bpm.argmin())]),
        )


def quality_of(signs: Signs) -> float:
    """The probability 0..1 that a rate with these signs is right within 5 bpm: a logistic fit (docs/heart_rate.md)."""
    score = OFFSET + sum(w * v for w, v in zip(WEIGHTS, astuple(signs), strict=True))
    return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, score))))
