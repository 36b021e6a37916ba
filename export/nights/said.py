"""What a network would say of each look of a day: its face, told through a network's errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from export.nights.noise import SPELL_UP_TO_S, STEP_S, Channel, Floats, wander
from export.nights.story import Day, Hidden

GRIMACE_AS_CRY, YAWN_AS_CRY, CRY_AS_YAWN = 0.35, 0.5, 0.3  # of the way from a calm face to a crying one; our choice

Pair = tuple[Channel, Channel]  # while the truth is no, and while it is yes


@dataclass(frozen=True, slots=True)
class Errors:
    """How the three channels err."""

    eyes: Pair
    cry: Pair
    yawn: Pair


RENDERED = Errors(
    (
        Channel(-4.54, 0.03, 0.0, 1.2, 0.25, 0.37, 98.9, 0.39, 2.31),
        Channel(3.99, 0.64, 0.64, 54.7, 0.66, 0.28, 179.4, 0.39, 0.79),
    ),
    (
        Channel(-4.5, 0.08, 0.06, 1.2, 0.44, 0.4, 34.6, 0.43, 1.08),
        Channel(4.15, 0.14, 0.0, 1.2, 0.82, 0.33, 211.1, 0.25, 0.46),
    ),
    (
        Channel(-4.26, 0.15, 0.36, 11.4, 0.47, 0.59, 8.0, 0.25, 0.2),
        Channel(4.0, 0.2, 0.0, 1.2, 0.55, 0.27, 50.0, 0.45, 1.0),
    ),
)
"""What `python -m export fit-nights` prints for expression 0.3.0 on four clips of the script `visits`.

20 min with hands, turns and dusk; identities 149, 389, 719 and 1209, none of them in training. No clip yawns: the
yawn's yes is assumed.
"""


def _harder(channel: Channel) -> Channel:
    return replace(
        channel, mean=float(np.sign(channel.mean)) * 2.5, infant_sd=0.7, slow_sd=0.6, slow_tau_s=20.0, fast_sd=0.9,
        fast_tau_s=0.5, spells_per_h=channel.spells_per_h, spell_s=0.8, spell_depth=2.0,
    )  # fmt: skip


def _pair(pair: Pair) -> Pair:
    return _harder(pair[0]), _harder(pair[1])


HARD = Errors(_pair(RENDERED.eyes), _pair(RENDERED.cry), _pair(RENDERED.yawn))
"""An assumption about real wards, not a fit: half the separation, infants apart, slow drift, longer wrong spells."""

LEVELS: Mapping[str, Errors] = {"rendered": RENDERED, "hard": HARD}


@dataclass(frozen=True, slots=True)
class Said:
    """Probabilities at every look (n,), NaN where the region is hidden."""

    eyes: Floats
    cry: Floats
    yawn: Floats


def say(day: Day, errors: Errors, seed: int) -> Said:
    """The network's words on a day; another seed is another infant before it."""
    rng = np.random.default_rng([seed, 733])
    shown = (
        day.lids,
        np.maximum.reduce([day.cry_face, GRIMACE_AS_CRY * day.grimace, YAWN_AS_CRY * day.yawn]),
        np.maximum(day.yawn, CRY_AS_YAWN * day.cry_face),
    )
    pairs = (errors.eyes, errors.cry, errors.yawn)
    eyes, cry, yawn = (_channel(rng, level, pair) for level, pair in zip(shown, pairs, strict=True))
    blind = day.hidden != Hidden.NOT
    covered = blind | day.mouth_hidden
    return Said(np.where(blind, np.nan, eyes), np.where(covered, np.nan, cry), np.where(covered, np.nan, yawn))


def _channel(rng: np.random.Generator, level: Floats, pair: Pair) -> Floats:
    """Between the two means by how much is shown; each side errs in its own way."""
    no, yes = pair
    n, shown = len(level), level >= 0.5
    logits = no.mean + (yes.mean - no.mean) * level
    for channel, here in ((no, ~shown), (yes, shown)):
        noise = rng.normal(0, channel.infant_sd) + wander(rng, n, channel.fast_sd, channel.fast_tau_s)
        if channel.slow_sd:
            noise += wander(rng, n, channel.slow_sd, channel.slow_tau_s)
        wrong = _spells(rng, n, channel)
        away = -np.sign(channel.mean) * rng.uniform(0, 2 * channel.spell_depth, n)
        logits = np.where(here, np.where(wrong, away, logits + noise), logits)
    return np.asarray(1 / (1 + np.exp(-logits)))


def _spells(rng: np.random.Generator, n: int, channel: Channel) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    out = np.zeros(n, bool)
    for start in rng.integers(0, n, rng.poisson(channel.spells_per_h * n * STEP_S / 3600)):
        lasts_s = min(SPELL_UP_TO_S, STEP_S + float(rng.exponential(max(1e-3, channel.spell_s - STEP_S))))
        out[start : start + max(1, round(lasts_s / STEP_S))] = True
    return out
