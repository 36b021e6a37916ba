"""Ways to make facts of probabilities: what edgemon/states uses, and what it was chosen over."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgemon.states.settings import Chain
from edgemon.states.switch import Switch
from export.nights.noise import STEP_S, Floats

UNKNOWN = -1
HOLD_S = 5.0
Values = NDArray[np.int8]


class Filter(Protocol):
    """One contestant."""

    def follow(self, p: Floats) -> Values:
        """0, 1 or UNKNOWN at every look, from the probabilities up to it (NaN: none)."""


@dataclass(frozen=True, slots=True)
class Mean:
    """Exponential mean of logits (bounded at 2 and 98 %), two limits, and a dwell for each way; tau 0 is no mean."""

    tau_s: float = 1.0
    enter: float = 0.7
    leave: float = 0.4
    on_s: float = 1.0
    off_s: float = 1.0

    def follow(self, p: Floats) -> Values:
        logits = _logits(p, 0.02)
        high, low = _logit(self.enter), _logit(self.leave)
        out, level, side, since, value, last = [], None, UNKNOWN, 0, UNKNOWN, -(10**9)
        hold, dwell = HOLD_S / STEP_S, (self.off_s / STEP_S, self.on_s / STEP_S)
        for i, x in enumerate(logits):
            if not math.isnan(x):
                if i - last > hold:
                    level, side, value = None, UNKNOWN, UNKNOWN
                weight = 1.0 if not self.tau_s else -math.expm1(-(i - last) * STEP_S / self.tau_s)
                level = x if level is None else level + weight * (x - level)
                now = 1 if level >= high else 0 if level <= low else side
                if now != side:
                    side, since = now, i
                if side not in (UNKNOWN, value) and i - since >= dwell[side]:
                    value = side
                last = i
            out.append(value if i - last <= hold else UNKNOWN)
        return np.array(out, np.int8)


@dataclass(frozen=True, slots=True)
class Chained:
    """What edgemon uses: `edgemon.states.switch` with a chain."""

    chain: Chain

    def follow(self, p: Floats) -> Values:
        switch, out = Switch(self.chain, HOLD_S), np.full(len(p), UNKNOWN, np.int8)
        for i, x in enumerate(p.tolist()):
            at_s = i * STEP_S
            if not math.isnan(x):
                switch.see(x, 1.0, at_s)
            if switch.held.alive(at_s):
                out[i] = bool(switch.held.value)
        return out


def _logit(p: float) -> float:
    return math.log(p / (1 - p))


def _logits(p: Floats, bound: float) -> list[float]:
    kept = np.clip(p, bound, 1 - bound)
    told: list[float] = np.log(kept / (1 - kept)).tolist()
    return told
