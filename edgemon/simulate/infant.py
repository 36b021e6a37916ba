"""An infant who sleeps, wakes and cries, whose heart rate drifts: plausible, made of chance alone, and of no patient.

Every draw comes from the generator that is handed in, so the same generator and the same times give the same infant.
"""

from __future__ import annotations

import math
from random import Random
from typing import Final

from edgemon.records import HeartRate, Posture

BRADYCARDIA_BPM: Final = 84.0
TACHYCARDIA_BPM: Final = 214.0
DRIFT_BPM: Final = 4.0
DRIFT_S: Final = 60.0
FOLLOW_S: Final = 5.0  # how fast the rate follows what drives it
METHOD: Final = "rPPG-POS"


class Spells:
    """On for a while, off for a while, and so on: times of shape 2 (gamma) with the given means, begun in the midst.

    A mean `on_s` of 0 is never on.
    """

    def __init__(self, rng: Random, now_s: float, on_s: float, off_s: float) -> None:
        self._rng, self._on_s, self._off_s = rng, on_s, off_s
        self.on = rng.random() * (on_s + off_s) < on_s
        self.since_s = now_s
        self._until_s = now_s + rng.random() * self._draw() if on_s > 0 else math.inf

    def at(self, now_s: float) -> bool:
        """Whether it is on; times must not go back."""
        while now_s >= self._until_s:
            self.on, self.since_s = not self.on, self._until_s
            self._until_s += self._draw()
        return self.on

    def _draw(self) -> float:
        return max(0.5, self._rng.gammavariate(2.0, (self._on_s if self.on else self._off_s) / 2))


class Infant:
    """One infant; newborns sleep about 16 of 24 hours, in bouts of about an hour."""

    def __init__(self, rng: Random, now_s: float) -> None:
        self._rng = rng
        self._sleep = Spells(rng, now_s, 3600.0, 1500.0)
        self._cry = Spells(rng, now_s, 90.0, 500.0)
        self._stir = Spells(rng, now_s, 8.0, 90.0)
        self._turned = Spells(rng, now_s, 90.0, 2400.0)
        self._low = Spells(rng, now_s, 25.0, 2400.0)
        self._high = Spells(rng, now_s, 50.0, 7200.0)
        self._side = Spells(rng, now_s, 5400.0, 5400.0)
        self._own_bpm = rng.gauss(140.0, 6.0)
        self._drift_bpm = rng.gauss(0.0, DRIFT_BPM)
        self._level_bpm = self._own_bpm
        self._now_s = now_s
        self.asleep = self.crying = self.stirring = self.turned = False

    def live(self, now_s: float) -> None:
        """Go on to `now_s`, which must not lie before the last."""
        step_s, self._now_s = now_s - self._now_s, now_s
        self.asleep = self._sleep.at(now_s)
        self.crying = self._cry.at(now_s) and not self.asleep
        self.stirring = self._stir.at(now_s) or self.crying
        self.turned = self._turned.at(now_s)
        low, high = self._low.at(now_s), self._high.at(now_s)
        calm_bpm = self._own_bpm + (25.0 if self.crying else -8.0 if self.asleep else 2.0)
        driven_bpm = BRADYCARDIA_BPM if low else TACHYCARDIA_BPM if high else calm_bpm
        self._level_bpm += (driven_bpm - self._level_bpm) * (1 - math.exp(-step_s / FOLLOW_S))
        kept = math.exp(-step_s / DRIFT_S)  # the exact step of an Ornstein-Uhlenbeck process
        self._drift_bpm = kept * self._drift_bpm + self._rng.gauss(0.0, DRIFT_BPM) * math.sqrt(1 - kept * kept)

    @property
    def posture(self) -> Posture:
        """How it lies."""
        return Posture.SIDE if self._side.at(self._now_s) else Posture.SUPINE

    def heart_rate(self) -> HeartRate:
        """What a camera would read, with its noise."""
        bpm = self._level_bpm + self._drift_bpm + self._rng.gauss(0.0, 1.2)
        return HeartRate(min(max(bpm, 40.0), 260.0), 10.0, METHOD)
