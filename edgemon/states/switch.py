"""From probabilities to facts."""

from __future__ import annotations

import math

from edgemon.records import Reason
from edgemon.states.held import Held
from edgemon.states.settings import StateSettings


class Switch:
    """A probability made a fact: exponential mean of logits, a Schmitt trigger, and a dwell on its output."""

    def __init__(self, settings: StateSettings, dwell_s: float) -> None:
        self.held: Held[bool] = Held(settings.expression_hold_s)
        self.seen_s = -math.inf
        self._settings = settings
        self._dwell_s = dwell_s
        self._logit: float | None = None
        self._quality = 0.0
        self._side: bool | None = None
        self._side_since_s = -math.inf

    def see(self, p: float, quality: float, at_s: float) -> None:
        """Take in one probability."""
        s = self._settings
        gap_s = at_s - self.seen_s
        if gap_s > s.expression_hold_s:
            self.held.value = self._side = self._logit = None
        self.seen_s = at_s
        if self._logit is None:
            self._logit, self._quality = logit(p), quality
        weight = -math.expm1(-gap_s / s.tau_s)
        self._logit += weight * (logit(p) - self._logit)
        self._quality += weight * (quality - self._quality)
        self._trigger(self._logit, at_s)

    def _trigger(self, level: float, at_s: float) -> None:
        s = self._settings
        side = True if level >= logit(s.enter) else False if level <= logit(s.leave) else self._side
        if side is not self._side:
            self._side, self._side_since_s = side, at_s
        settled = side is not None and at_s - self._side_since_s >= self._dwell_s
        if side is not None and settled and side is not self.held.value:
            self.held.confirm(side, self._quality, at_s, self._side_since_s)
        elif self.held.value is None:
            self.held.refuse(Reason.WARMING_UP, at_s)
        else:
            self.held.confirm(self.held.value, self._quality, at_s, None)


def logit(p: float) -> float:
    """log(p / (1 - p)), bounded at 2 and 98 %: an overconfident network shall not be slow to change its mind."""
    p = min(0.98, max(0.02, p))
    return math.log(p / (1.0 - p))
