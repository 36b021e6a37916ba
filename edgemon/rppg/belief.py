"""A belief about the heart rate that is carried from one look to the next."""

from __future__ import annotations

from typing import Final

import numpy as np

from edgemon.rppg.sampling import Array
from edgemon.rppg.spectra import GRID_BPM

_LIKELY: Final = np.exp(-0.5 * ((GRID_BPM - 140.0) / 40.0) ** 2) + 0.2  # newborns asleep, awake and crying
PRIOR: Final[Array] = _LIKELY / _LIKELY.sum()

_STEPS_BPM: Final = np.arange(-60.0, 61.0)
_DRIFT_BPM: Final = 3.0
_JUMP: Final = 0.02


def follow(belief: Array, said: Array, weight: float, elapsed_s: float) -> Array:
    """The belief (B,) about the rate `elapsed_s` later, having heard log-likelihoods `said` (B,); a forward filter.

    The rate drifts by 3 bpm in a second, more with the root of time, and may have jumped anywhere at 2 % a second.
    What is heard counts by `weight` a second, for the windows of neighbouring seconds overlap.
    """
    if elapsed_s <= 0:
        return belief
    drift = np.exp(-0.5 * (_STEPS_BPM / (_DRIFT_BPM * np.sqrt(elapsed_s))) ** 2)
    moved = np.convolve(belief, drift / drift.sum(), "same")
    kept = (1.0 - _JUMP) ** elapsed_s
    heard = np.exp(weight * min(1.0, elapsed_s) * (said - said.max()))
    seen = (kept * moved + (1.0 - kept) * PRIOR) * heard
    return np.asarray(seen / seen.sum())
