"""How a network errs look after look: offset of the infant, slow drift, fast jitter, and spells of being wrong.

The logit of a channel is `mean` + offset + slow + fast, the last two Ornstein-Uhlenbeck processes, but in a spell.
`channel_of` fits all of it on traces of one truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
BOUND = 4.6  # logits of 1 and 99 %
SPELL_UP_TO_S = 3.0
STEP_S = 0.25


def logit(p: Floats) -> Floats:
    """log(p / (1 - p)) within 1 and 99 %."""
    p = np.clip(p, 0.01, 0.99)
    return np.asarray(np.log(p / (1 - p)))


@dataclass(frozen=True, slots=True)
class Channel:
    """Errors of one channel while one truth holds, in logits and seconds.

    A spell lasts one look and an exponential time, `spell_s` on the mean and SPELL_UP_TO_S at most; in it the logit
    lies on the wrong side, by `spell_depth` on the mean.
    """

    mean: float
    infant_sd: float
    slow_sd: float
    slow_tau_s: float
    fast_sd: float
    fast_tau_s: float
    spells_per_h: float
    spell_s: float
    spell_depth: float


def wander(rng: np.random.Generator, n: int, sd: float, tau_s: float, step_s: float = STEP_S) -> Floats:
    """An Ornstein-Uhlenbeck process of mean 0 in n steps."""
    keep = float(np.exp(-step_s / tau_s))
    shocks = rng.normal(0.0, sd, n)
    shocks[1:] *= np.sqrt(1 - keep**2)
    return np.fromiter(accumulate(shocks.tolist(), lambda last, shock: keep * last + shock), np.float64, n)


def channel_of(runs: Sequence[tuple[Floats, Floats]], truth: bool) -> Channel:
    """The errors in traces (times, logits), one per infant, of the same truth."""
    sign = 1.0 if truth else -1.0
    wrong = [sign * said < 0 for _, said in runs]
    hours = sum(float(np.minimum(np.diff(at_s), 1.0).sum()) for at_s, _ in runs) / 3600
    lengths_s = np.concatenate([_lengths_s(at_s, off) for (at_s, _), off in zip(runs, wrong, strict=True)])
    depths = np.concatenate([np.abs(said[off]) for (_, said), off in zip(runs, wrong, strict=True)])
    clean = [(at_s[~off], said[~off]) for (at_s, said), off in zip(runs, wrong, strict=True)]
    means = np.array([said.mean() for _, said in clean])
    rest = [(at_s, said - said.mean()) for at_s, said in clean]
    near, mid, far = (_covariance(rest, lag_s) for lag_s in (0.0, 4.0, 12.0))
    slow = min(max(mid, 0.0), 0.95 * near)
    return Channel(
        mean=round(float(means.mean()), 2),
        infant_sd=round(float(means.std(ddof=1)) if len(means) > 1 else 0.0, 2),
        slow_sd=round(float(np.sqrt(slow)), 2),
        slow_tau_s=round(_tau(far, mid, 8.0), 1),
        fast_sd=round(float(np.sqrt(near - slow)), 2),
        fast_tau_s=round(_tau(_covariance(rest, STEP_S) - slow, near - slow, STEP_S), 2),
        spells_per_h=round(len(lengths_s) / hours, 1),
        spell_s=round(float(lengths_s.mean()) if lengths_s.size else 0.0, 2),
        spell_depth=round(float(depths.mean()) if depths.size else 0.0, 2),
    )


def _lengths_s(at_s: Floats, wrong: Flags) -> Floats:
    """How long each run of wrong looks lasted."""
    edges = np.flatnonzero(np.diff(np.r_[0, wrong.astype(np.int8), 0]))
    return at_s[edges[1::2] - 1] - at_s[edges[::2]] + STEP_S


def _covariance(runs: Sequence[tuple[Floats, Floats]], lag_s: float) -> float:
    """Mean product of residuals that lie `lag_s` apart, give or take a quarter of it."""
    slack_s = lag_s / 4 + 0.01
    products: list[Floats] = []
    for at_s, rest in runs:
        partner = np.searchsorted(at_s, at_s + lag_s - slack_s)
        partner = np.minimum(partner, len(at_s) - 1)
        near = np.abs(at_s[partner] - at_s - lag_s) <= slack_s
        products.append(rest[near] * rest[partner[near]])
    joined = np.concatenate(products)
    return float(joined.mean()) if joined.size else 0.0


def _tau(later: float, earlier: float, lag_s: float) -> float:
    """The time constant of an autocovariance that falls so from one lag to the next; 0.1 s to 10 min."""
    ratio = min(max(later / earlier if earlier > 0 else 0.0, 1e-3), 0.99)
    return float(np.clip(-lag_s / np.log(ratio), 0.1, 600.0))
