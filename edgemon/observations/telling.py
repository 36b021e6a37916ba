"""Which estimates of a heart rate are told: those that go on from the last one, or that come twice in a row."""

from __future__ import annotations

import math
from typing import Final

_NEAR_BPM: Final = 10.0
_FASTEST_BPM_S: Final = 2.5  # a heart rate that climbs into crying stays below
_HOLD_S: Final = 10.0
_SILENT_S: Final = 10.0  # as long as a window: what is told after it starts anew
_GOES_ON_S: Final = 2.5
_KEPT: Final = 0.2  # of quality by which a rate that goes on may fall below the one that starts
_NONE: Final = (0.0, -math.inf)  # rate and time: any rate may follow


class Telling:
    """Remembers what was told: chance agrees with itself seldom, a heart nearly always.

    Noise has a sure-looking peak once in some hundred windows, so that a rate is first told when two estimates in a
    row agree; a rate that goes on may be somewhat less sure (a Schmitt trigger).
    """

    def __init__(self, min_quality: float) -> None:
        self._min_quality = min_quality
        self._told = self._candidate = _NONE
        self._leapt_s: float | None = None

    def forget(self) -> None:
        """Start anew, with another face or after a long gap."""
        self._told = self._candidate = _NONE
        self._leapt_s = None

    def tells(self, bpm: float, quality: float, now_s: float) -> bool:
        """Whether an estimate is told; asked once for each, times rising."""
        last_bpm, told_s = self._told
        goes_on = now_s - told_s <= _GOES_ON_S and abs(bpm - last_bpm) <= _NEAR_BPM
        if quality < self._min_quality - (_KEPT if goes_on else 0.0):
            return False
        before_bpm, before_s = self._candidate
        self._candidate = (bpm, now_s)
        twice = now_s - before_s <= _GOES_ON_S and abs(bpm - before_bpm) <= _NEAR_BPM
        if now_s - told_s > _SILENT_S and not twice:
            return False
        return not self._leaps(bpm, now_s)

    def _leaps(self, bpm: float, now_s: float) -> bool:
        """Whether the rate is further from the last one told than a heart gets, and has not yet held for a window."""
        last_bpm, told_s = self._told
        if abs(bpm - last_bpm) <= _NEAR_BPM + _FASTEST_BPM_S * (now_s - told_s):
            self._told, self._leapt_s = (bpm, now_s), None
        elif self._leapt_s is None:
            self._leapt_s = now_s
        elif now_s - self._leapt_s >= _HOLD_S:
            self._told, self._leapt_s = (bpm, now_s), None
        return self._leapt_s is not None
