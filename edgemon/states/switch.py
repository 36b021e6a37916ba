"""From probabilities to facts: each is the forward filter of a Markov chain of two states."""

from __future__ import annotations

import math
from typing import Final

from edgemon.records import Reason
from edgemon.states.held import Held
from edgemon.states.settings import Chain

LOOK_S: Final = 0.25  # what `Chain.trust` is for; looks that come faster weigh less
_QUALITY_TAU_S: Final = 1.0
_SURE: Final = 30.0  # log odds beyond which doubles no longer tell


class Switch:
    """What is believed of one yes-or-no fact."""

    def __init__(self, chain: Chain, hold_s: float) -> None:
        self.held: Held[bool] = Held(hold_s)
        self.seen_s = -math.inf
        self._chain = chain
        self._enter, self._leave, self._bound = logit(chain.enter), logit(chain.leave), -logit(chain.bound)
        self._odds = 0.0
        self._quality = 0.0
        self._turned_s = -math.inf  # since when the likelier side has been so

    def see(self, p: float, quality: float, at_s: float) -> None:
        """Take in one probability."""
        gap_s = at_s - self.seen_s
        if gap_s > self.held.hold_s:
            self.held.value, self._odds, self._quality = None, 0.0, quality
            self._turned_s, gap_s = at_s, LOOK_S
        self.seen_s = at_s
        before = self._odds
        evidence = min(self._bound, max(-self._bound, logit(p)))
        weight = self._chain.trust * min(1.0, gap_s / LOOK_S)
        self._odds = min(_SURE, max(-_SURE, self._moved(gap_s) + weight * evidence))
        self._quality += -math.expm1(-gap_s / _QUALITY_TAU_S) * (quality - self._quality)
        if (self._odds > 0) is not (before > 0):
            self._turned_s = at_s
        self._tell(at_s)

    def _moved(self, gap_s: float) -> float:
        """The log odds after the chain may have moved for a while."""
        on = 1 / (1 + math.exp(-self._odds))
        leaves, enters = -math.expm1(-gap_s / self._chain.stay_on_s), -math.expm1(-gap_s / self._chain.stay_off_s)
        on = on * (1 - leaves) + (1 - on) * enters
        return math.log(on / (1 - on)) if 0 < on < 1 else self._odds

    def _tell(self, at_s: float) -> None:
        side = True if self._odds >= self._enter else False if self._odds <= self._leave else self.held.value
        if side is None:
            self.held.refuse(Reason.WARMING_UP, at_s)
        elif side is not self.held.value:
            self.held.confirm(side, self._quality, at_s, self._turned_s)
        else:
            self.held.confirm(side, self._quality, at_s, None)


def logit(p: float) -> float:
    """log(p / (1 - p)), finite for every p."""
    p = min(1 - 1e-9, max(1e-9, p))
    return math.log(p / (1.0 - p))
