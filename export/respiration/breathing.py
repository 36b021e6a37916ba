"""How a newborn breathes: breath by breath, irregular, with sighs and pauses.

Healthy term newborns take 30 to 60 breaths a minute, up to 80; breaths differ by some percent in quiet sleep and by a
fifth in active sleep; in periodic breathing they wax and wane between pauses of 3 s and more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Series = NDArray[np.float64]
SLOWEST, FASTEST = 30.0, 80.0  # breaths a minute on average
STYLES: Final = ("quiet", "active", "periodic")
STEP_S: Final = 1 / 100
_VARIES: Final = {"quiet": 0.04, "active": 0.15, "periodic": 0.07}  # a breath's length, of the mean
_DEEP: Final = {"quiet": 0.08, "active": 0.25, "periodic": 0.1}
_INSPIRED: Final = 0.42  # share of a breath
_REST: Final = 0.1  # and the share at its end with an empty chest
_SIGH: Final = 0.015  # of breaths
_PAUSE: Final = 0.01  # of breaths, followed by a lone pause


@dataclass(frozen=True, slots=True)
class Breathing:
    """Each STEP_S how full the chest is (about 0 to 1), the breaths since the start, and whether there is a pause."""

    full: Series
    breaths: Series
    pausing: NDArray[np.bool_]

    def at(self, t_s: float) -> float:
        """How full the chest is at a time."""
        return float(np.interp(t_s / STEP_S, np.arange(len(self.full)), self.full))

    def taken(self, t_s: Series) -> Series:
        """Breaths since the start at these times."""
        return np.interp(t_s / STEP_S, np.arange(len(self.breaths)), self.breaths)

    def paused(self, t_s: Series) -> NDArray[np.bool_]:
        """Whether there is a pause at these times."""
        steps = np.rint(t_s / STEP_S).astype(int).clip(0, len(self.pausing) - 1)
        return np.asarray(self.pausing[steps])


def breathe(rng: np.random.Generator, seconds: float, style: str, mean: float) -> Breathing:
    """`mean` breaths a minute in one of STYLES, drifting by a tenth."""
    full: list[Series] = []
    breaths: list[Series] = []
    pausing: list[NDArray[np.bool_]] = []
    steps, taken = 0, 0
    for length_s, depth in _sequence(rng, style, mean):
        count = max(1, round(length_s / STEP_S))
        share, pause = np.arange(count) / count, depth == 0.0
        full.append(depth * _wave(share))
        breaths.append(taken + (np.zeros(count) if pause else share))
        pausing.append(np.full(count, pause))
        taken += not pause
        steps += count
        if steps * STEP_S > seconds + 1:
            break
    return Breathing(np.concatenate(full), np.concatenate(breaths), np.concatenate(pausing))


def _sequence(rng: np.random.Generator, style: str, mean: float) -> Iterator[tuple[float, float]]:
    """Length in s and depth of each breath; the depth of a pause is 0."""
    drift, number, train = 0.0, 0, int(rng.integers(8, 16))
    while True:
        drift = float(np.clip(0.98 * drift + rng.normal(0, 0.012), -0.12, 0.12))
        length_s = 60 / mean * (1 + drift) * float(np.exp(rng.normal(0, _VARIES[style])))
        depth = float(np.exp(rng.normal(0, _DEEP[style])))
        if style == "periodic":
            depth *= 0.35 + 0.65 * np.sin(np.pi * (number + 0.5) / train)
        yield (1.3 * length_s, 1.9 * depth) if rng.random() < _SIGH else (length_s, depth)
        number += 1
        if style == "periodic" and number == train:
            number, train = 0, int(rng.integers(8, 16))
            yield float(rng.uniform(3, 6)), 0.0
        elif rng.random() < _PAUSE:
            yield float(rng.uniform(2, 5)), 0.0


def _wave(share: Series) -> Series:
    """How full the chest is through a breath: in, out more slowly, a short rest."""
    out = np.clip((share - _INSPIRED) / (1 - _INSPIRED - _REST), 0, 1)
    rising = 0.5 - 0.5 * np.cos(np.pi * np.clip(share / _INSPIRED, 0, 1))
    return np.asarray(np.where(share < _INSPIRED, rising, 0.5 + 0.5 * np.cos(np.pi * out)))
